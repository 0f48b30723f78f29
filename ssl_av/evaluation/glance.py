"""Diagnostics and figures from the features that protocols were measured on: no other pass over the data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ssl_av.data.datamodule import AVDataModule
from ssl_av.evaluation import diagnostics, figures
from ssl_av.evaluation.export import Embeddings, save_embeddings
from ssl_av.evaluation.features import Features
from ssl_av.evaluation.insight import Side, looked_at, memory_of, related, retrieved
from ssl_av.evaluation.kinds import Splits
from ssl_av.evaluation.kinds._labels import averaged
from ssl_av.evaluation.looking import Sight, look, pictures_of
from ssl_av.evaluation.protocols import MODALITIES, Protocol
from ssl_av.memory import MemoryBank
from ssl_av.methods.base import Method

Array = NDArray[Any]
SAMPLES = 1000
"""Of each split, evenly spread: what is looked at costs seconds, whatever the size of the data."""
DPI = 110
"""Of the pictures: a report holds several for each method."""
VECTORS = "features.npz"
SHOWN = 3
"""Samples of which it is drawn where the network looks."""


@dataclass
class Some:
    """Features of some samples of a split, averaged over clips.

    Attributes:
        index: [N] rows of the split.
        label: [N], -1 where there is none or where there are several.
        vectors: by modality, [N, D].
    """

    index: Array
    label: Array
    vectors: dict[str, Array]


@dataclass
class Glance:
    """Keeps a little of the first features that it is shown; the engine's ``watch``.

    Attributes:
        test: backbone features of the test split.
        train: of the training split.
        query: embeddings of the test split in the shared space.
        key: what they are compared with.
    """

    test: Some | None = None
    train: Some | None = None
    query: dict[str, Array] = field(default_factory=dict)
    key: dict[str, Array] = field(default_factory=dict)

    def __call__(self, protocol: Protocol, splits: Splits) -> None:
        """Takes what has not been seen yet."""
        test, train = splits.get("test"), splits.get("train")
        if test is not None and len(test) and test.pooled:
            self.test = _with(self.test, test)
        if train is not None and len(train) and train.pooled:
            self.train = _with(self.train, train)
        if test is not None and len(test) and test.query and not self.query:
            rows = _spread(len(test))
            self.query, self.key = (
                {m: _means(x, rows) for m, x in side.items()} for side in (test.query, test.key)
            )

    def diagnostics(self, method: Method) -> dict[str, Any]:
        """The numbers of `diagnostics.describe` on the test split, and of the memory, if the method has one.

        ``memory_video`` and ``memory_audio``: the mean inner product of their rows (AVID 4.3), of `SAMPLES` of them.
        """
        pooled, query, key = (
            {m: torch.from_numpy(x) for m, x in side.items()}
            for side in (self.test.vectors if self.test else {}, self.query, self.key)
        )
        found = diagnostics.describe(pooled, query, key)
        bank = getattr(method, "bank", None)
        if isinstance(bank, MemoryBank) and len(bank) > 1:
            rows = _spread(len(bank))
            for m in ("video", "audio"):
                value = diagnostics.mean_inner_product(getattr(bank, m).cpu()[rows])
                found[f"memory_{m}"] = {"mean_inner_product": value}
        return found

    def draw(
        self, method: Method, data: AVDataModule, out: Path, seed: int = 0, way: str = "tsne"
    ) -> list[str]:
        """A map of the test split's features, their nearest neighbours in the training split, and the vectors.

        Also Grad-CAM on a few test samples, and what the method's memory relates to each other, if it has one.

        Args:
            method: whose features they are.
            data: of its training; only the samples that are shown are read.
            out: the folder: ``map.png``, ``retrieval-video.png``, ``retrieval-audio.png``, ``saliency.png``,
                ``agreement.png`` and `VECTORS`.
            seed: of the map and the queries.
            way: of the map, ``tsne`` or ``umap``.

        Returns:
            The names of the pictures' files.
        """
        if self.test is None or len(self.test.label) < 4:
            return []
        test, train, classes = self.test, self.train, data.manifest.classes
        drawn = {"map": figures.embedding_map(test.vectors, test.label, classes, way, seed)}
        sight = Sight(method, tuple(test.vectors))

        def pictures(some: Some, split: str) -> Callable[[list[int]], list[Array]]:
            manifest = data.manifest.split(split)
            return lambda rows: pictures_of(some.index[rows].tolist(), manifest, sight, data)

        for modality in test.vectors:
            if train is not None and modality in train.vectors:
                drawn[f"retrieval-{modality}"] = retrieved(
                    Side(test.vectors[modality], test.label, pictures(test, "test")),
                    Side(train.vectors[modality], train.label, pictures(train, "train")),
                    modality,
                    classes,
                    seed,
                )
        if "video" in test.vectors:
            some = look(sight, data, "test", clips=1, limit=SHOWN, keep=SHOWN)
            if some.video is not None:
                drawn["saliency"] = looked_at(method, sight, some, classes)
        if (memory := memory_of(method, data)) is not None:
            drawn["agreement"] = related(memory, sight, data, seed)
        paths = data.manifest.split("test").columns("path")["path"][test.index].tolist()
        vectors = {m: x.astype(np.float16) for m, x in test.vectors.items()}
        save_embeddings(Embeddings(paths, vectors, test.label, classes), out / VECTORS)
        return [figures.save(figure, out / f"{name}.png", DPI).name for name, figure in drawn.items()]


def _with(some: Some | None, features: Features) -> Some:
    """With the modalities that were not there, if they are of the same samples."""
    rows = _spread(len(features))
    index = features.index[rows]
    if some is None:
        label = features.label[rows] if features.label.ndim == 1 else np.full(len(rows), -1, dtype=np.int64)
        some = Some(index, label, {})
    if np.array_equal(index, some.index):
        for m, x in features.pooled.items():
            if m in MODALITIES and m not in some.vectors:  # single blocks are not drawn
                some.vectors[m] = _means(x, rows)
    return some


def _means(x: Array, rows: Array) -> Array:
    """Row by row: the clips of all of them might not fit into memory."""
    return np.concatenate([averaged(x[r : r + 1]) for r in rows])


def _spread(size: int) -> Array:
    return np.unique(np.linspace(0, size - 1, min(size, SAMPLES)).round().astype(int))
