"""What W&B shows beside numbers: a run's pictures and its features as tables that can be projected."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ssl_av.evaluation.export import Embeddings

ROWS = 500
"""Samples of a table of features, evenly spread: a few megabytes a run."""


def media(figures: Path) -> dict[str, Any]:
    """What is logged of a run's ``figures/``.

    Returns:
        ``figures/views`` (what the networks get: frames and spectrograms), ``figures/retrieval-video`` … as pictures,
        and ``embeddings/video``, ``embeddings/audio`` as tables with a column for each dimension, as W&B's
        projections want them.
    """
    import wandb

    from ssl_av.evaluation.export import load_embeddings
    from ssl_av.evaluation.glance import VECTORS

    found: dict[str, Any] = {
        f"figures/{file.stem}": wandb.Image(str(file)) for file in sorted(figures.glob("*.png"))
    }
    if (figures / VECTORS).is_file():
        table = load_embeddings(figures / VECTORS)
        for name in table.vectors:
            columns, rows = features(table, name)
            found[f"embeddings/{name}"] = wandb.Table(columns=columns, data=rows)
    return found


def features(table: Embeddings, name: str) -> tuple[list[str | int], list[list[Any]]]:
    """The features of up to `ROWS` samples: sample, class, and a column for each dimension."""
    vectors = np.asarray(table.vectors[name], dtype=np.float64)
    some = np.unique(np.linspace(0, len(vectors) - 1, min(len(vectors), ROWS)).round().astype(int))
    rows = []
    for row in some.tolist():
        label = int(table.labels[row])
        of = str(table.classes[label]) if 0 <= label < len(table.classes) else ""
        rows.append([str(table.ids[row]), of, *vectors[row].round(5).tolist()])
    return ["sample", "class", *(f"D{k}" for k in range(1, vectors.shape[1] + 1))], rows
