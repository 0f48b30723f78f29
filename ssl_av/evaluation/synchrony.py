"""Can frozen features tell sound that belongs to the picture from sound of another moment of the same sample?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ssl_av.errors import unknown

Array = NDArray[Any]
PAIRS = ("outer", "shared")


def every_pair(video: Array, audio: Array) -> tuple[Array, Array, Array, Array]:
    """Aligned and shifted pairs of clips, in which picture alone and sound alone say nothing.

    Clip k of the picture with clip k of the sound, and with the next clip's (the last one with the first's): every
    clip stands in as many aligned as shifted pairs.

    Args:
        video: [clips, N, D] features of at least two clips of each sample, each clip at its own time.
        audio: [clips, N, E] of the sound at the same times.

    Returns:
        video [M, D], aligned [M, E], shifted [M, E] and sample [M], M = clips × N; as `sync_accuracy` takes them.
    """
    clips, samples = video.shape[:2]
    if clips < 2 or audio.shape[:2] != (clips, samples):
        raise ValueError(
            f"need the same two or more clips of both, got {list(video.shape)} and {list(audio.shape)}"
        )
    shifted = np.roll(audio, -1, axis=0)
    flat = [x.reshape(clips * samples, -1) for x in (video, audio, shifted)]
    return flat[0], flat[1], flat[2], np.tile(np.arange(samples), clips)


def sync_accuracy(
    video: Array,
    aligned: Array,
    shifted: Array,
    sample: Array | None = None,
    pairs: str = "outer",
    folds: int = 5,
    components: int = 16,
    cost: float = 0.1,
    seed: int = 0,
) -> dict[str, float]:
    """Accuracy at telling (picture, its sound) from (picture, shifted sound); chance is 0.5.

    A logistic regression on what the two sides have in common, cross-validated: no sample has pairs both in training
    and in test. Each row gives one pair of each kind, so the problem is balanced.

    Args:
        video: [M, D] features.
        aligned: [M, E] features of the sound at the picture's time.
        shifted: [M, E] features of the same sample's sound at another time.
        sample: [M] which sample a row is of; by default each row is one.
        pairs: ``outer``: all products of the leading principal components of either side, which fits features of any
            two networks. ``shared``: products and absolute differences of unit rows, for embeddings of one space.
        folds: of the cross-validation.
        components: of each side for ``outer``, at most.
        cost: C of the regression, on standardised inputs.
        seed: of the folds.

    Returns:
        ``accuracy``, ``std`` over the folds, ``audio_only`` (a control: the same from the sound alone; well above 0.5,
        the shift can be heard without the picture), ``chance`` and ``pairs``.
    """
    if pairs not in PAIRS:
        raise unknown("kind of pairs", pairs, PAIRS)
    if len(video) != len(aligned) or aligned.shape != shifted.shape:
        raise ValueError(f"rows must pair up: {video.shape}, {aligned.shape}, {shifted.shape}")
    if pairs == "shared" and video.shape[1] != aligned.shape[1]:
        raise ValueError(f"not one space: {video.shape[1]} and {aligned.shape[1]} dimensions")
    groups = np.arange(len(video)) if sample is None else np.asarray(sample)
    names = np.unique(groups)
    if len(names) < folds:
        raise ValueError(f"{folds} folds need as many samples, got {len(names)}")
    fold = np.random.default_rng(seed).permutation(len(names))[np.searchsorted(names, groups)] % folds
    found: dict[str, list[float]] = {"accuracy": [], "audio_only": []}
    for k in range(folds):
        train, test = fold != k, fold == k
        common = (
            _shared
            if pairs == "shared"
            else _Outer(video[train], np.concatenate([aligned[train], shifted[train]]), components)
        )
        for name, inputs in (("accuracy", common), ("audio_only", lambda _, audio: audio)):
            x, y = _both(inputs, video[train], aligned[train], shifted[train])
            model = make_pipeline(StandardScaler(), LogisticRegression(C=cost, max_iter=500)).fit(x, y)
            found[name].append(model.score(*_both(inputs, video[test], aligned[test], shifted[test])))
    return {
        "accuracy": float(np.mean(found["accuracy"])),
        "std": float(np.std(found["accuracy"])),
        "audio_only": float(np.mean(found["audio_only"])),
        "chance": 0.5,
        "pairs": 2 * len(video),
    }


class _Outer:
    """All products of the principal components of two sides: a bilinear form has its weights as a matrix."""

    def __init__(self, video: Array, audio: Array, components: int) -> None:
        self.sides = [
            make_pipeline(
                StandardScaler(), PCA(min(components, *x.shape), whiten=True, svd_solver="full")
            ).fit(x)
            for x in (video, audio)
        ]

    def __call__(self, video: Array, audio: Array) -> Array:
        v, a = (side.transform(x) for side, x in zip(self.sides, (video, audio), strict=True))
        return np.einsum("nv,na->nva", v, a).reshape(len(v), -1)


def _shared(video: Array, audio: Array) -> Array:
    v, a = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (video, audio))
    return np.concatenate([v * a, np.abs(v - a)], axis=1)


def _both(inputs: Any, video: Array, aligned: Array, shifted: Array) -> tuple[Array, Array]:
    """Inputs and truth of both kinds of pairs."""
    x = np.concatenate([inputs(video, aligned), inputs(video, shifted)])
    return x, np.repeat([1, 0], len(video))
