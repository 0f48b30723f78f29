"""The features of a data set's folds: made where they are missing, found again by the samples' names."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ssl_av.data.datamodule import AVDataModule
from ssl_av.data.manifest import Manifest
from ssl_av.evaluation.code import code_version
from ssl_av.evaluation.features import Features, Piece, labels_of, pieces
from ssl_av.evaluation.kinds import KINDS, Report
from ssl_av.evaluation.protocols import Protocol, canonical
from ssl_av.evaluation.store import Store, digest
from ssl_av.evaluation.towers import Towers
from ssl_av.evaluation.views import Column, Cut, cut, pool_names

#: validation in the clips of training; its samples are those of ``val``
SOURCE = {"val_as_train": "val"}


class Library:
    """The features of all folds; a sample that another fold needed in the same way is not decoded again.

    Args:
        towers: the networks.
        folder: where features lie.
        precision: of them.
        seed: of random clips.
        report: told of the progress.
    """

    def __init__(
        self, towers: Towers, folder: Path, precision: str, seed: int, report: Report | None
    ) -> None:
        self.towers, self.folder, self.precision, self.seed, self.report = (
            towers,
            folder,
            precision,
            seed,
            report,
        )
        self.weights = towers.digest()
        self.skipped: dict[str, str] = {}
        self._made: dict[tuple[Cut, Column], list[_Rows]] = {}
        self._lost: dict[Cut, dict[str, str]] = {}

    def fill(self, data: AVDataModule, protocols: Collection[Protocol], fold: int) -> None:
        """Makes what the protocols need of a fold and is not there yet."""
        wanted: dict[tuple[str, Cut], set[Column]] = {}
        for p in protocols:
            for split in KINDS[p.kind].splits(p.settings):
                wanted.setdefault((split, self._cut(p, split)), set()).update(self._columns(p))
        order = ("train", "val", "test", "val_as_train")
        for (split, view), columns in sorted(wanted.items(), key=lambda item: order.index(item[0][0])):
            if columns:
                part = data.manifest.split(SOURCE.get(split, split))
                said = f"features of {split.replace('_', ' ')}" + (f", fold {fold + 1}" if fold else "")
                self._make(data, part, view, columns, said)

    def splits(self, data: AVDataModule, p: Protocol) -> dict[str, Features]:
        """A fold's features as a protocol's kind takes them."""
        out = {}
        for split in KINDS[p.kind].splits(p.settings):
            view, columns = self._cut(p, split), self._columns(p)
            manifest = data.manifest.split(SOURCE.get(split, split))
            names = sample_names(manifest)
            joined = ((c, _join(self._made.get((view, c), []), names)) for c in columns)
            there = {c: found for c, found in joined if found is not None}
            kept = np.ones(len(names), dtype=bool)
            for rows, _ in there.values():
                kept &= rows >= 0
            features = Features(labels_of(manifest)[kept], index=np.flatnonzero(kept))
            for column, (rows, arrays) in there.items():
                getattr(features, column.what)[column.side] = _gather(rows[kept], arrays)
            if "memory" in KINDS[p.kind].needs and split == "train":
                features.memory = self.towers.memories(data.manifest.hash, len(names))
            lost = self._lost.get(view, {})
            features.skipped = {name: lost[name] for name in _paths(manifest) if name in lost}
            out[split] = features
        return out

    def _cut(self, p: Protocol, split: str) -> Cut:
        part = p.train if split in ("train", "val_as_train") else p.test
        return cut(p, part, self.towers.inputs, self._modalities(p))

    def _modalities(self, p: Protocol) -> list[str]:
        return [m for m in self.towers.modalities if m in p.modalities]

    def _columns(self, p: Protocol) -> list[Column]:
        return [
            Column(m, what, pool, p.merge)
            for m in self._modalities(p)
            for what in KINDS[p.kind].needs
            if what != "memory"  # which no network has to be run for
            for pool in (pool_names(p.pooling, m) if what == "pooled" else ("own",))
        ]

    def _make(self, data: AVDataModule, part: Manifest, view: Cut, columns: set[Column], said: str) -> None:
        known = {(view, c): set().union(*(r.names for r in self._made.get((view, c), []))) for c in columns}
        names = sample_names(part)
        lost = self._lost.setdefault(view, {})
        rest = [i for i, n in enumerate(names) if any(n not in known[view, c] for c in columns)]
        if not rest:
            return
        if len(rest) < len(names):
            part = part.take(rest)
            names = [names[i] for i in rest]
        about = {
            "weights": self.weights, "data": part.hash, "cut": canonical(view), "precision": self.precision,
            "code": code_version(), "device": self.towers.device.type,
            "reader": data.loading.reader,
            "decode_size": view.decode_size or data.loading.decode_size,
            "seed": self.seed if view.random else None,
            # other data, whose files are called alike, have the same hash
            "files": digest([str(part.root.resolve()), _paths(part)]),
        }  # fmt: skip
        store = Store(self.folder / digest(about), about, self.precision)
        missing = store.missing(columns)
        if missing:

            def make(start: int) -> Iterator[Piece]:
                tell = self.report
                progress = (lambda done, total: tell(said, done, total, {})) if tell else None
                return pieces(self.towers, data, part, view, missing, start, self.seed, progress)

            store.write(missing, make)
        for stored in store.find(columns):
            lost |= stored.skipped
            self.skipped |= stored.skipped
            here = [names[i] for i in stored.index]
            for column, array in stored.columns.items():
                self._made.setdefault((view, column), []).append(
                    _Rows({n: r for r, n in enumerate(here)}, array)
                )


@dataclass
class _Rows:
    """The rows of an array by the name of the sample."""

    names: dict[str, int]
    array: np.ndarray


def _paths(manifest: Manifest) -> list[str]:
    return list(manifest.columns("path")["path"])


def sample_names(manifest: Manifest) -> list[str]:
    """What tells samples apart: a file, and where in it."""
    table = manifest.columns("path", "start", "duration")
    return [f"{p}\t{s:.3f}\t{d:.3f}" for p, s, d in zip(*table.values(), strict=True)]


def _join(made: Sequence[_Rows], names: Sequence[str]) -> tuple[np.ndarray, list[np.ndarray]] | None:
    """For each name a row of the arrays laid end to end, -1 where it is in none; None where there is no array."""
    if not made:
        return None
    rows = np.full(len(names), -1, dtype=np.int64)
    offset = 0
    for part in made:
        for at, name in enumerate(names):
            row = part.names.get(name)
            if row is not None and rows[at] < 0:
                rows[at] = offset + row
        offset += len(part.array)
    return rows, [part.array for part in made]


def _gather(rows: np.ndarray, arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Rows of arrays laid end to end, as float32; the mapped array itself where it is just that."""
    offset = 0
    out: np.ndarray | None = None
    for array in arrays:
        inside = (rows >= offset) & (rows < offset + len(array))
        local = rows[inside] - offset
        if inside.all():
            whole = len(local) == len(array) and np.array_equal(local, np.arange(len(array)))
            return np.asarray(array if whole else array[local], dtype=np.float32)
        if out is None:
            out = np.empty((len(rows), *array.shape[1:]), dtype=np.float32)
        out[inside] = array[local]
        offset += len(array)
    return out if out is not None else np.empty((0, 0), dtype=np.float32)
