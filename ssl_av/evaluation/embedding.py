"""The features of every sample of a data set as one table, for work outside of this suite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ssl_av.data.loading import Loading
from ssl_av.data.manifest import Manifest
from ssl_av.errors import UserError
from ssl_av.evaluation.engine import PRECISIONS, Report, cache_folder
from ssl_av.evaluation.export import Embeddings
from ssl_av.evaluation.library import Library
from ssl_av.evaluation.protocols import load_protocol
from ssl_av.evaluation.rows import scratch_in
from ssl_av.evaluation.task import prepare
from ssl_av.methods.settings import Inputs


def embed(
    backbone: Any,
    data: Any,
    *,
    modality: str | None = None,
    inputs: Inputs | Mapping[str, Any] | None = None,
    waveform_rate: int | None = None,
    loading: Loading | Mapping[str, Any] | None = None,
    seed: int = 0,
    clips: int = 3,
    cache: str | Path | None = None,
    precision: str = "float32",
    report: Report | None = None,
) -> Embeddings:
    """What the protocols `linear-svm`, `ridge`, `knn` and `retrieval` measure: a vector a sample and modality.

    >>> save_embeddings(embed(net, "esc50:ESC-50", modality="audio"), "esc50.npz")  # doctest: +SKIP

    Args:
        backbone, data, modality, inputs, waveform_rate, loading, seed, cache, report: as of `ssl_av.evaluate`. Of data
            with official folds the one that is given, or the first.
        clips: evenly spaced clips of each sample, whose features are averaged.
        precision: ``float32`` or ``float16``.

    Returns:
        A table of all samples that could be read, with the split of each; ``about`` holds the data's name and hash,
        the clips, and what was skipped. It is in memory as a whole.

    Raises:
        UserError: if networks and data do not fit each other.
    """
    if clips < 1 or precision not in PRECISIONS:
        raise UserError(
            f"embed: clips is at least 1 and precision one of {PRECISIONS}, got {clips}, {precision}"
        )
    # Under its name nothing is measured: it says which clips and splits.
    p = replace(load_protocol("linear-svm"), folds="given").with_clips(clips)
    task = prepare(
        backbone, data, [p], modality=modality, inputs=inputs, waveform_rate=waveform_rate, loading=loading,
        seed=seed, measured=False,
    )  # fmt: skip
    fold = task.folds[0]
    with task.in_eval_mode(), cache_folder(Path(cache) if cache else None) as folder, scratch_in(folder):
        library = Library(task.towers, folder, precision, seed, report)
        library.fill(fold, [p], 0)
        parts = library.splits(fold, p)
        vectors = {
            m: np.concatenate([f.pooled[m].astype(precision) for f in parts.values() if m in f.pooled])
            for m in task.towers.modalities
        }
    kept = {name: fold.manifest.split(name).take(f.index) for name, f in parts.items()}
    about = {"data": task.name, "hash": fold.manifest.hash, "clips": clips, "skipped": library.skipped}
    return Embeddings(
        _names(list(kept.values())),
        vectors,
        np.concatenate([f.label for f in parts.values()]),
        fold.manifest.classes,
        about,
        [name for name, f in parts.items() for _ in range(len(f))],
    )


def _names(parts: list[Manifest]) -> list[str]:
    """Paths; of several pieces of a file with the second at which each begins."""
    paths = [path for part in parts for path in part.columns("path")["path"]]
    starts = [start for part in parts for start in part.columns("start")["start"]]
    several = {path for path, n in zip(*np.unique(paths, return_counts=True), strict=True) if n > 1}
    return [f"{p}@{s:g}" if p in several else p for p, s in zip(paths, starts, strict=True)]
