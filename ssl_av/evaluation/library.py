"""The features of a data set's folds: made where they are missing, found again by the samples' names."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ssl_av.data.datamodule import AVDataModule
from ssl_av.data.manifest import Manifest
from ssl_av.data.probing import file_state
from ssl_av.evaluation.code import code_version
from ssl_av.evaluation.features import Features, Piece, labels_of, pieces
from ssl_av.evaluation.kinds import KINDS, Report
from ssl_av.evaluation.protocols import Protocol, Seen, canonical
from ssl_av.evaluation.rows import gathered
from ssl_av.evaluation.store import Store, digest
from ssl_av.evaluation.towers import Towers
from ssl_av.evaluation.upkeep import discard
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
        self._folders: set[Path] = set()
        self._names: dict[tuple[int, str], np.ndarray] = {}

    def fill(self, data: AVDataModule, protocols: Collection[Protocol], fold: int) -> None:
        """Makes what the protocols need of a fold and is not there yet."""
        wanted: dict[tuple[str, Cut], set[Column]] = {}
        for p in protocols:
            for split in KINDS[p.kind].splits(p.settings):
                wanted.setdefault((split, self._cut(p, split)), set()).update(self._columns(p))
        order = ("train", "val", "test", "val_as_train")
        for (split, view), columns in sorted(wanted.items(), key=lambda item: order.index(item[0][0])):
            if columns:
                part, names = self._part(data, split)
                said = f"features of {split.replace('_', ' ')}" + (f", fold {fold + 1}" if fold else "")
                self._make(data, part, names, view, columns, said)

    def splits(self, data: AVDataModule, p: Protocol) -> dict[str, Features]:
        """A fold's features as a protocol's kind takes them."""
        out = {}
        for split in KINDS[p.kind].splits(p.settings):
            view, columns = self._cut(p, split), self._columns(p)
            manifest, names = self._part(data, split)
            joined = ((c, _join(self._made.get((view, c), []), names)) for c in columns)
            there = {c: found for c, found in joined if found is not None}
            kept = np.ones(len(names), dtype=bool)
            for rows, _ in there.values():
                kept &= rows >= 0
            features = Features(labels_of(manifest)[kept], index=np.flatnonzero(kept))
            for column, (rows, arrays) in there.items():
                getattr(features, column.what)[column.side] = gathered(rows[kept], arrays)
            if "memory" in KINDS[p.kind].needs and split == "train":
                features.memory = self.towers.memories(data.manifest.hash, len(names))
            lost = self._lost.get(view, {})
            features.skipped = {name: lost[name] for name in _paths(manifest) if name in lost}
            out[split] = features
        return out

    def forget(self) -> None:
        """Takes from the disk what was made or used; arrays that are held stay readable."""
        for folder in self._folders:
            discard(folder)

    def _part(self, data: AVDataModule, split: str) -> tuple[Manifest, np.ndarray]:
        """A split's samples and their names; the files are looked at once."""
        part, key = data.manifest.split(SOURCE.get(split, split)), (id(data), SOURCE.get(split, split))
        if key not in self._names:
            self._names[key] = sample_names(part, dated=True)
        return part, self._names[key]

    def _cut(self, p: Protocol, split: str) -> Cut:
        part = p.train if split in ("train", "val_as_train") else p.test
        if "video" not in self.towers.modalities:  # frames that no one sees tell no sounds apart
            p = replace(p, inputs=Seen(audio_seconds=p.inputs.audio_seconds))
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

    def _make(
        self,
        data: AVDataModule,
        part: Manifest,
        names: np.ndarray,
        view: Cut,
        columns: set[Column],
        said: str,
    ) -> None:
        lost = self._lost.setdefault(view, {})
        known = (_join(self._made.get((view, c), []), names) for c in columns)
        there = np.all([np.full(len(names), False) if k is None else k[0] >= 0 for k in known], axis=0)
        if there.all():
            return
        if there.any():
            part, names = part.take(np.flatnonzero(~there)), names[~there]
        about = {
            "weights": self.weights, "cut": canonical(view), "precision": self.precision, "code": code_version(),
            "device": self.towers.device.type, "reader": data.loading.reader,
            "decode_size": view.decode_size or data.loading.decode_size,
            "root": str(part.root.resolve()),  # other files may be called alike
            # the draws of a sample follow from its place in the manifest
            "drawn": [self.seed, part.hash, digest(_paths(part))] if view.random else None,
        }  # fmt: skip
        folder = self.folder / digest(about)
        self._folders.add(folder)
        store = Store(folder, about, self.precision)

        def make(rest: np.ndarray, missing: Collection[Column], start: int) -> Iterator[Piece]:
            tell = self.report
            progress = (lambda done, total: tell(said, done, total, {})) if tell else None
            some = part if len(rest) == len(part) else part.take(rest)
            return pieces(self.towers, data, some, view, missing, start, self.seed, progress)

        def waiting(holder: str) -> None:
            if self.report:
                self.report(f"{said}: {holder} is making them; waiting", 0, 0, {})

        store.fill(columns, names, make, waiting)
        for stored in store.find(columns, names):
            if stored.skipped:
                mine = set(_paths(part))
                found = {path: why for path, why in stored.skipped.items() if path in mine}
                lost |= found
                self.skipped |= found
            index = _Index.of(stored.names)
            for column, array in stored.columns.items():
                self._made.setdefault((view, column), []).append(_Rows(index, array))


@dataclass(frozen=True)
class _Index:
    """Rows by the name of the sample.

    Attributes:
        names: sorted.
        rows: the row of each.
    """

    names: np.ndarray
    rows: np.ndarray

    @classmethod
    def of(cls, names: np.ndarray) -> _Index:
        """Of the rows' names in their order; of equal ones the last row counts."""
        order = np.argsort(names, kind="stable")
        return cls(names[order], order)

    def find(self, names: np.ndarray) -> np.ndarray:
        """[len(names)] rows, -1 where there is none."""
        if not len(self.names):
            return np.full(len(names), -1)
        at = np.searchsorted(self.names, names, side="right") - 1
        return np.where((at >= 0) & (self.names[at] == names), self.rows[at], -1)


@dataclass(frozen=True)
class _Rows:
    """An array, and whose its rows are."""

    index: _Index
    array: np.ndarray


def _paths(manifest: Manifest) -> list[str]:
    return list(manifest.columns("path")["path"])


def sample_names(manifest: Manifest, dated: bool = False) -> np.ndarray:
    """[N] what tells samples apart, a file and where in it, in 16 bytes each: millions of words take much memory.

    Args:
        manifest: the samples.
        dated: a file's size and date are part of its name, so that another one in its place has another name.
    """
    digests = (hashlib.blake2b(word, digest_size=16).digest() for word in _words(manifest, dated))
    return np.fromiter(digests, dtype="S16", count=len(manifest))


def _words(manifest: Manifest, dated: bool) -> Iterator[bytes]:
    last, state = None, ""
    for p, s, d in zip(*manifest.columns("path", "start", "duration").values(), strict=True):
        if dated and p != last:
            last, file = p, os.path.join(manifest.root, p)
            found = file_state(file)
            if found[0] < 0:  # a pack's path is that of a shard, and a row
                found = file_state(file.rpartition("#")[0])
            state = f"\t{found[0]}\t{found[1]}"
        yield f"{p}\t{s:.3f}\t{d:.3f}{state}".encode("utf-8", "surrogateescape")


def _join(made: Sequence[_Rows], names: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]] | None:
    """For each name a row of the arrays laid end to end, -1 where it is in none; None where there is no array."""
    if not made:
        return None
    rows = np.full(len(names), -1, dtype=np.int64)
    offset = 0
    for part in made:
        found = part.index.find(names)
        rows = np.where((rows < 0) & (found >= 0), offset + found, rows)
        offset += len(part.array)
    return rows, [part.array for part in made]
