"""Measures networks by protocols: features once, kept on disk, shared by all protocols that can share them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ssl_av.data.datamodule import AVDataModule
from ssl_av.data.loader import reading_explained
from ssl_av.data.manifest import Manifest
from ssl_av.errors import unknown
from ssl_av.evaluation.code import code_version
from ssl_av.evaluation.features import Features, Piece, labels_of, pieces
from ssl_av.evaluation.kinds import KINDS, NotApplicableError, Outcome
from ssl_av.evaluation.protocols import Protocol, canonical
from ssl_av.evaluation.store import Store, digest
from ssl_av.evaluation.towers import Towers
from ssl_av.evaluation.views import Column, Cut, cut, pool_name

#: (what is going on, done, total, named numbers)
Report = Callable[[str, int, int, dict[str, float]], None]
#: from a fold's outcome to further numbers of its sides: where confidence intervals are attached
Annotate = Callable[[Outcome, Protocol, int], None]

PRECISIONS = ("float32", "float16")
ANNOTATIONS: list[Annotate] = []
"""Called on every fold's outcome, with the protocol and the seed; they may add numbers to ``outcome.results[side]``
(from ``outcome.predicted[side]``)."""


@dataclass
class Measured:
    """What a measurement found.

    Attributes:
        results: by protocol, ``{side: numbers}`` or ``{"skipped": why}``.
        protocols: by protocol, what was measured: version, hash, folds, samples.
        skipped: path → reason of what could not be read.
        outcomes: by protocol, one a fold, with the predictions.
    """

    results: dict[str, Any] = field(default_factory=dict)
    protocols: dict[str, Any] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    outcomes: dict[str, list[Outcome]] = field(default_factory=dict)


@reading_explained()
def measure(
    towers: Towers,
    folds: Sequence[AVDataModule],
    protocols: Sequence[Protocol],
    seed: int = 0,
    cache: Path | None = None,
    clips: int = 3,
    precision: str = "float32",
    report: Report | None = None,
) -> Measured:
    """All protocols on features that are computed once.

    Args:
        towers: the networks.
        folds: the official divisions of the data; one where there is no other.
        protocols: what is measured; the ones that take the division that was given use the first of ``folds``.
        seed: of the classifiers, and of random clips.
        cache: folder where features stay; None keeps them until this is done.
        clips: what ``null`` clips are.
        precision: of the features on disk.
        report: told of the progress.

    Raises:
        UserError: for an unknown precision, or if too much cannot be read.
    """
    if precision not in PRECISIONS:
        raise unknown("precision of features", precision, PRECISIONS)
    out = Measured()
    if not protocols:
        return out
    resolved = [p.with_clips(clips) for p in protocols]
    with _folder(cache) as folder:
        library = Library(towers, folder, precision, seed, report)
        for number, data in enumerate(folds):
            taking = [p for p in resolved if number == 0 or p.folds == "all"]
            library.fill(data, taking, number)
            for protocol in taking:
                _one(protocol, library, data, seed, out, report)
    for protocol in resolved:
        _conclude(protocol, out)
    out.skipped = library.skipped
    return out


def _one(
    p: Protocol, library: Library, data: AVDataModule, seed: int, out: Measured, report: Report | None
) -> None:
    """One protocol on one fold."""
    if p.name in out.results:  # it could not be run on an earlier fold
        return
    if report:
        report(p.name, 0, 0, {})
    about = out.protocols.setdefault(p.name, _about(p))
    try:
        splits = library.splits(data, p)
        about["samples"].append({name: len(f) for name, f in splits.items() if name != "val_as_train"})
        about["skipped"].append(sum(len(f.skipped) for name, f in splits.items() if name != "val_as_train"))
        outcome = KINDS[p.kind].measure(splits, p, len(data.manifest.classes), seed)
    except NotApplicableError as e:
        out.results[p.name] = {"skipped": str(e)}
        return
    for annotate in ANNOTATIONS:
        annotate(outcome, p, seed)
    about["data"].append(data.manifest.hash)
    out.outcomes.setdefault(p.name, []).append(outcome)


def _conclude(p: Protocol, out: Measured) -> None:
    """The folds' numbers together."""
    if p.name not in out.results:
        out.results[p.name] = KINDS[p.kind].combine(out.outcomes[p.name], p)
    # in the order in which they were asked for
    out.results[p.name] = out.results.pop(p.name)


def _about(p: Protocol) -> dict[str, Any]:
    return {
        "version": p.version, "hash": p.hash, "kind": p.kind, "source": p.source,
        "numbers": {k: v for k, v in canonical(p).items() if k not in ("name", "version", "kind", "source", "about")},
        "data": [], "samples": [], "skipped": [],
    }  # fmt: skip


@contextmanager
def _folder(cache: Path | None) -> Iterator[Path]:
    if cache is not None:
        yield cache
        return
    with tempfile.TemporaryDirectory(prefix="ssl-av-features-") as scratch:
        yield Path(scratch)


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
        where = {"val_as_train": "val"}
        order = ("train", "val", "test", "val_as_train")
        for (split, view), columns in sorted(wanted.items(), key=lambda item: order.index(item[0][0])):
            if columns:
                part = data.manifest.split(where.get(split, split))
                said = f"features of {split.replace('_', ' ')}" + (f", fold {fold + 1}" if fold else "")
                self._make(data, part, view, columns, said)

    def splits(self, data: AVDataModule, p: Protocol) -> dict[str, Features]:
        """A fold's features as a protocol's kind takes them."""
        out = {}
        for split in KINDS[p.kind].splits(p.settings):
            view, columns = self._cut(p, split), self._columns(p)
            manifest = data.manifest.split({"val_as_train": "val"}.get(split, split))
            names = _names(manifest)
            there = {c: _join(self._made.get((view, c), []), names) for c in columns}
            there = {c: found for c, found in there.items() if found is not None}
            kept = np.ones(len(names), dtype=bool)
            for rows, _ in there.values():
                kept &= rows >= 0
            features = Features(labels_of(manifest)[kept])
            for column, (rows, arrays) in there.items():
                getattr(features, column.what)[column.modality] = _gather(rows[kept], arrays)
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
            Column(m, what, pool_name(p.pooling, m) if what == "pooled" else "own", p.merge)
            for m in self._modalities(p)
            for what in KINDS[p.kind].needs
        ]

    def _make(self, data: AVDataModule, part: Manifest, view: Cut, columns: set[Column], said: str) -> None:
        known = {(view, c): set().union(*(r.names for r in self._made.get((view, c), []))) for c in columns}
        names = _names(part)
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


def _names(manifest: Manifest) -> list[str]:
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
