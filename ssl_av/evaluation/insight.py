"""All figures and diagnostics of one trained method, from its checkpoint and data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssl_av.checkpoint import blank
from ssl_av.data.datamodule import AVDataModule
from ssl_av.evaluation import diagnostics, figures
from ssl_av.evaluation.figures import Mark, Tile
from ssl_av.evaluation.looking import Seen, Sight, look, pictures_of
from ssl_av.evaluation.neighbours import nearest
from ssl_av.evaluation.saliency import agreement, grad_cam, overlay
from ssl_av.evaluation.synchrony import every_pair, sync_accuracy
from ssl_av.memory import Expansion, MemoryBank, agreement_positives
from ssl_av.methods.base import Method

Array = NDArray[Any]
FOLDS = 5
MEMORY = 50_000
"""Rows of a memory bank that samples are related in; the cost grows with their square."""


def draw_figures(
    method: Method,
    data: AVDataModule,
    out: Path,
    split: str = "test",
    limit: int = 300,
    beside: Mapping[str, Method] | None = None,
    seed: int = 0,
    known: bool = True,
    way: str = "tsne",
) -> tuple[dict[str, Path], dict[str, Any]]:
    """Draws what the method and the data allow, and measures what the figures show.

    Args:
        method: from `ssl_av.load_method`, or one that is being trained; it is left as it was.
        data: with the training split that a memory bank belongs to, if the method has one.
        out: the folder of the pictures: ``embeddings.png``, ``retrieval-video.png``, ``retrieval-audio.png``,
            ``saliency.png``, ``distributions.png`` and, of a memory of up to `MEMORY` rows of the same training
            samples, ``agreement.png``; what cannot be drawn is not there.
        split: whose samples are looked at; retrieval searches the training split.
        limit: samples of each split at most, evenly spread.
        beside: other methods whose features ``distributions.png`` compares, by name, e.g. the same one trained without
            a term; by default the same networks untrained.
        seed: of the maps, the queries and the untrained networks.
        way: of the maps, ``tsne`` or ``umap``.
        known: whether the data are those of the training, as far as is known: a memory is of no others.

    Returns:
        The files by name, and the numbers of `describe`.
    """
    training = method.training
    sight = Sight(method.eval())
    classes = data.manifest.classes
    seen = look(sight, data, split, limit=limit)
    drawn: dict[str, figures.Figure] = {}
    if len(seen) >= 4:
        drawn["embeddings"] = figures.embedding_map(seen.mean(), seen.label, classes, way, seed)
        train = look(sight, data, "train", clips=1, limit=limit)
        for modality in sight.modalities if len(train) else ():
            drawn[f"retrieval-{modality}"] = retrieved(
                _side(seen, modality), _side(train, modality), modality, classes, seed
            )
        if beside is None:
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                beside = {"untrained": blank(method.name, method.settings).to(method.device)}
        runs = {method.name: seen.mean()}
        for name, other in beside.items():
            runs[name] = look(Sight(other, sight.modalities), data, split, limit=limit).mean()
        drawn["distributions"] = figures.distributions(runs, seed=seed)
    if seen.video is not None:
        drawn["saliency"] = looked_at(method, sight, seen, classes)
    memory = memory_of(method, data) if known else None
    if memory is not None:
        drawn["agreement"] = related(memory, sight, data, seed)
    method.train(training)
    files = {name: figures.save(figure, out / f"{name}.png") for name, figure in drawn.items()}
    return files, describe(seen, memory, data, seed)


def describe(seen: Seen, memory: MemoryBank | None, data: AVDataModule, seed: int = 0) -> dict[str, Any]:
    """The numbers beside the figures.

    Returns:
        Those of `diagnostics.describe`; ``sync`` of pooled features and ``sync_shared`` of embeddings, with at least
        ten samples of two modalities; ``memory``: `remembered`.
    """
    pooled, query, key = (
        {m: torch.from_numpy(x) for m, x in seen.mean(k).items()} for k in ("pooled", "query", "key")
    )
    numbers = diagnostics.describe(pooled, query, key)
    for name, one, other, pairs in (
        ("sync", seen.pooled, seen.pooled, "outer"),
        ("sync_shared", seen.query, seen.key, "shared"),
    ):
        if "video" in one and "audio" in other and len(seen) >= 2 * FOLDS:
            found = every_pair(one["video"], other["audio"])
            numbers[name] = sync_accuracy(*found, pairs=pairs, folds=FOLDS, seed=seed)
    if memory is not None:
        numbers["memory"] = remembered(memory, torch.from_numpy(data.train.labels.astype(np.int64)))
    return numbers


def remembered(bank: MemoryBank, labels: Tensor) -> dict[str, Any]:
    """Mean inner products of the memories, and the precision of each way to relate them (AVID 4.3, figure 4c).

    Args:
        bank: the memories.
        labels: [N] class of each row, -1 where it is not known.

    Returns:
        ``mean_inner_product_video`` and ``_audio``; where there are two known classes, ``agreement``, ``video``,
        ``audio`` and ``either`` with precision@K of what they find, and ``chance``.
    """
    found: dict[str, Any] = {
        f"mean_inner_product_{m}": diagnostics.mean_inner_product(getattr(bank, m))
        for m in ("video", "audio")
    }
    related = diagnostics.related_precision(
        bank.video, bank.audio, labels, (1, 5, 10, 32), get_args(Expansion)
    )
    if related:
        found |= related | {"chance": diagnostics.pair_chance(labels)}
    return found


@dataclass(frozen=True)
class Side:
    """Samples that are searched for, or in.

    Attributes:
        vectors: [N, D].
        label: [N], -1 where there is none.
        pictures: of these rows.
    """

    vectors: Array
    label: Array
    pictures: Callable[[list[int]], list[Array]]


def retrieved(
    query: Side,
    gallery: Side,
    modality: str,
    classes: tuple[str, ...],
    seed: int,
    rows: int = 5,
    count: int = 5,
) -> figures.Figure:
    """Random queries with their nearest neighbours by cosine, of one modality (CrissCross S1, S2)."""
    known = np.flatnonzero(query.label >= 0)
    asked = known if len(known) else np.arange(len(query.label))
    chosen = np.sort(np.random.default_rng(seed).permutation(asked)[:rows]).tolist()
    _, near = nearest(torch.from_numpy(query.vectors[chosen]), torch.from_numpy(gallery.vectors), count)

    def mark(one: int, other: int) -> Mark:
        return _agrees(query.label[one], gallery.label[other])

    found = gallery.pictures(near.flatten().tolist())
    lines = [
        [
            Tile(picture, _name(query.label[i], classes), "query"),
            *(
                Tile(found[r * near.shape[1] + c], _name(gallery.label[j], classes), mark(i, j))
                for c, j in enumerate(near[r].tolist())
            ),
        ]
        for r, (i, picture) in enumerate(zip(chosen, query.pictures(chosen), strict=True))
    ]
    groups = [("query", 1), (f"nearest of {len(gallery.label)} training samples", near.shape[1])]
    return figures.gallery(lines, groups, f"Retrieval {modality} → {modality}")


def _side(seen: Seen, modality: str) -> Side:
    return Side(seen.mean()[modality], seen.label, lambda rows: [seen.pictures[i] for i in rows])


def looked_at(method: Method, sight: Sight, seen: Seen, classes: tuple[str, ...]) -> figures.Figure:
    """Grad-CAM on the first samples: what the picture's features come from, or what they share with the sound."""
    assert seen.video is not None
    clip = sight.prepare("video", seen.video, seen.aspect)
    target, what = None, "size of the features"
    if seen.audio is not None and "audio" in seen.query and "video" in seen.query:
        target = agreement(method, sight.prepare("audio", seen.audio))
        what = "agreement with the sound"
    heat = grad_cam(method.net("video"), clip, target).cpu().numpy()
    frames = _shown(sight, clip)
    times = np.unique(np.linspace(0, frames.shape[1] - 1, 3).round().astype(int))
    mixed = overlay(frames, heat)
    lines = [
        [
            *(Tile(frames[i, t], _name(seen.label[i], classes) if t == 0 else "") for t in times),
            *(Tile(mixed[i, t], "" if heat[i].any() else "no support") for t in times),
        ]
        for i in range(len(frames))
    ]
    return figures.gallery(lines, [("frames", len(times)), ("Grad-CAM", len(times))], f"Grad-CAM: {what}")


def related(
    bank: MemoryBank,
    sight: Sight,
    data: AVDataModule,
    seed: int,
    rows: int = 4,
    count: int = 3,
) -> figures.Figure:
    """Training samples with their positives and with what looks alike but sounds otherwise (AVID figure 5)."""
    positives = agreement_positives(bank.video, bank.audio, min(32, len(bank) - 2))
    labels, classes = data.train.labels, data.manifest.classes
    chosen = np.sort(np.random.default_rng(seed).permutation(len(bank))[:rows]).tolist()
    lines = []
    for i in chosen:
        alike = {m: getattr(bank, m) @ getattr(bank, m)[i] for m in ("video", "audio")}
        others = rejected(alike["video"], alike["audio"], positives[i], i)[:count]
        shown = [i, *positives[i, :count].tolist(), *others.tolist()]
        lines.append(
            [
                Tile(
                    picture,
                    _name(labels[j], classes)
                    if j == i
                    else f"v {alike['video'][j]:.2f}  a {alike['audio'][j]:.2f}",
                    "query" if j == i else _agrees(labels[i], labels[j]),
                )
                for j, picture in zip(shown, pictures_of(shown, data.train, sight, data), strict=True)
            ]
        )
    groups = [
        ("reference", 1),
        ("positives", min(count, positives.shape[1])),
        ("rejected by their sound", count),
    ]
    return figures.gallery(lines, groups, "Cross-modal agreement: video and audio similarity")


def rejected(video: Tensor, audio: Tensor, positives: Tensor, row: int) -> Tensor:
    """The samples that look as much like ``row`` as its positives do and sound less like it, most alike first.

    Args:
        video: [N] similarities of all video memories to row's.
        audio: [N] of the audio memories.
        positives: [P] its positives.
        row: itself.
    """
    least = torch.minimum(video, audio)[positives].min()
    out = (video >= least) & (audio < least)
    out[positives] = False
    out[row] = False
    found = out.nonzero().flatten()
    return found[video[found].argsort(descending=True)]


def memory_of(method: Method, data: AVDataModule) -> MemoryBank | None:
    """The memory of the samples that the data have now, if the method has one."""
    bank = getattr(method, "bank", None)
    fits = isinstance(bank, MemoryBank) and len(bank) == len(data.train) and 3 < len(bank) <= MEMORY
    return bank if fits else None


def _shown(sight: Sight, clip: Tensor) -> NDArray[np.uint8]:
    """What the network saw, as frames [B, T, H, W, 3]: the normalisation taken back."""
    way = sight.transform.augment
    mean, std = (torch.tensor(x, device=clip.device).view(1, -1, 1, 1, 1) for x in (way.mean, way.std))
    frames = (clip * std + mean).clamp(0, 1).permute(0, 2, 3, 4, 1)
    return (frames * 255).round().byte().cpu().numpy()


def _agrees(one: int, other: int) -> Mark:
    if one < 0 or other < 0:
        return "plain"
    return "right" if one == other else "wrong"


def _name(label: int, classes: tuple[str, ...]) -> str:
    return classes[label] if 0 <= label < len(classes) else ""
