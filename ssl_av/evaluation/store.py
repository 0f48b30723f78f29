"""Features on disk: written in chunks as they come, so that a pass that was interrupted goes on; then memory-mapped."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ssl_av.errors import UserError
from ssl_av.evaluation.damage import check_whole, damage_told
from ssl_av.evaluation.features import Piece
from ssl_av.evaluation.views import Column
from ssl_av.lock import locked
from ssl_av.text import parse_json, read_text
from ssl_av.whole import checksum, whole_file

ABOUT = "columns.json"
"""Says what a pass has made, when all of it is there."""
ASKED, READ = "names.npy", "index.npy"
"""The names of a pass's samples, and the numbers of those that could be read."""
CHUNK = 2**25
"""Bytes of features that are held in memory before they are written."""
EVERY = 30.0
"""Seconds after which they are written, however few they are: what a killed process loses at most."""

#: (numbers of the samples, columns, how many of these samples are done) → pieces of the others
Make = Callable[[np.ndarray, Collection[Column], int], Iterator[Piece]]
_Rest = Callable[[Collection[Column], int], Iterator[Piece]]


@dataclass(frozen=True)
class Stored:
    """What one pass over some samples made.

    Attributes:
        names: [N] of the samples that could be read.
        columns: arrays [N, D] or [N, clips, D], mapped from the disk. A change to them is not written there.
        skipped: path → reason.
    """

    names: np.ndarray
    columns: dict[Column, np.ndarray]
    skipped: dict[str, str]


def digest(content: Any) -> str:
    """16 hexadecimal digits of plain values."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def read_about(file: Path) -> dict[str, Any]:
    """What a pass says that it has made.

    Raises:
        UserError: if it does not say it.
    """
    with damage_told(file.parent, OSError):
        about = parse_json(read_text(file))
        words = [*about["columns"], *about["absent"], *about["skipped"], *about["skipped"].values()]
        if not all(isinstance(word, str) for word in words):
            raise ValueError(f"{ABOUT} names columns by what is no text")
    return dict(about)


class Store:
    """The features of one cut by one network, in a folder of its own: a folder in it for each pass over some samples.

    A sample is known by its name, 16 bytes. One that another pass has read is not read again, whatever data set, fold
    or label it was read for.

    Args:
        folder: named after all that makes the features.
        about: what that is, for a reader.
        dtype: ``float32`` or ``float16``, of what is stored.
    """

    def __init__(self, folder: Path, about: dict[str, Any], dtype: str = "float32") -> None:
        self.folder, self.about, self.dtype = folder, about, dtype

    def _passes(self) -> Iterator[tuple[Path, dict[str, Any], np.ndarray]]:
        """The passes that were finished: folder, what is in it, and the names of its samples."""
        for meta in sorted(self.folder.glob(f"*/{ABOUT}")):
            if not (folder := meta.parent).name.startswith("."):
                about = read_about(meta)
                with damage_told(folder, OSError):
                    check_whole(folder, [ASKED], about.get("checksums", {}))
                    asked = np.load(folder / ASKED)
                yield folder, about, asked

    def find(self, columns: Collection[Column], names: np.ndarray) -> list[Stored]:
        """What is there of these columns of any of these samples; one entry for each pass that was made."""
        wanted, found = {str(c): c for c in columns}, []
        for folder, about, asked in self._passes():
            here = [wanted[name] for name in about["columns"] if name in wanted]
            if here and np.isin(asked, names).any():
                with damage_told(folder, OSError):
                    check_whole(folder, [READ, *(f"{c}.npy" for c in here)], about.get("checksums", {}))
                    arrays = {c: np.load(folder / f"{c}.npy", mmap_mode="c") for c in here}
                    found.append(Stored(asked[np.load(folder / READ)], arrays, about["skipped"]))
        return found

    def missing(self, columns: Collection[Column], names: np.ndarray) -> tuple[np.ndarray, list[Column]]:
        """The numbers of the samples that some column was never asked of, and these columns."""
        had = {c: np.zeros(len(names), dtype=bool) for c in sorted(columns)}
        for _, about, asked in self._passes():
            mine = {*about["columns"], *about["absent"]}
            if any(str(c) in mine for c in had):
                there = np.isin(names, asked)
                for column, done in had.items():
                    if str(column) in mine:
                        done |= there
        lacking = [c for c, done in had.items() if not done.all()]
        rest = ~np.all(list(had.values()), axis=0) if had else np.zeros(len(names), dtype=bool)
        return np.flatnonzero(rest), lacking

    def fill(
        self, columns: Collection[Column], names: np.ndarray, make: Make, waiting: Callable[[str], None]
    ) -> None:
        """Makes what is missing, from where an earlier try stopped.

        One process at a time: another one waits, and then takes what the first has made, or goes on where it died.

        Args:
            columns: what is asked for.
            names: [N] of the samples.
            make: gives the pieces.
            waiting: told who is making them, where this has to wait.
        """
        if not self.missing(columns, names)[1]:
            return
        with locked(self.folder, wait=-1, waiting=waiting):
            rest, missing = self.missing(columns, names)
            if missing:
                self._write(missing, names[rest], partial(make, rest))

    def _write(self, columns: Collection[Column], names: np.ndarray, make: _Rest) -> None:
        name = digest([sorted(map(str, columns)), names.tobytes().hex()])
        part, target = self.folder / f".{name}.part", self.folder / name
        part.mkdir(parents=True, exist_ok=True)
        if not (part / ABOUT).is_file():  # it was not killed after the last of its work
            self._collect(part, columns, make)
            with damage_told(part):
                self._join(part, columns, names)
        for file in _scraps(part):
            file.unlink()
        if target.is_dir():  # what it says of itself has gone: a pass that nobody finds
            shutil.rmtree(target)
        part.replace(target)

    def _collect(self, part: Path, columns: Collection[Column], make: _Rest) -> None:
        """Writes chunks until there is nothing more."""
        held: list[Piece] = []
        begin = end = _reached(part)
        size, written = 0, time.monotonic()
        for piece in make(columns, begin):
            held.append(piece)
            end = piece.end
            size += sum(x.nbytes for x in piece.columns.values())
            if size >= CHUNK or time.monotonic() - written >= EVERY:
                self._chunk(part, begin, end, held)
                held, begin, size, written = [], end, 0, time.monotonic()
        if held:
            self._chunk(part, begin, end, held)

    def _chunk(self, part: Path, begin: int, end: int, held: list[Piece]) -> None:
        """Writes one chunk whole or not at all."""
        names = {c for p in held for c in p.columns}
        with np.errstate(over="ignore"):  # it is looked for below
            arrays: dict[str, Any] = {
                str(c): np.concatenate([p.columns[c] for p in held if c in p.columns]).astype(self.dtype)
                for c in names
            }
        for name, x in arrays.items():
            if not np.isfinite(x).all():  # finite they were, as single precision
                raise UserError(
                    f"{name}: features above {np.finfo(self.dtype).max:g} do not fit into {self.dtype}: give "
                    "--evaluation.precision float32"
                )
        skipped = {path: reason for p in held for path, reason in p.skipped.items()}
        file = part / f"{begin:012d}-{end:012d}.npz"
        with whole_file(file, "wb") as out:
            np.savez(
                out, index=np.concatenate([p.index for p in held]), skipped=json.dumps(skipped), **arrays
            )

    def _join(self, part: Path, columns: Collection[Column], names: np.ndarray) -> None:
        """Copies the chunks into one array a column, a chunk at a time; says last that it is done."""
        chunks = _chunks(part)
        skipped: dict[str, str] = {}
        index: list[np.ndarray] = []
        shapes: dict[Column, tuple[int, ...]] = {}
        for chunk in chunks:
            with damage_told(part), np.load(chunk) as held:
                index.append(held["index"])
                skipped |= json.loads(str(held["skipped"]))
                shapes |= {c: held[str(c)].shape[1:] for c in columns if str(c) in held}
        rows = np.concatenate(index) if index else np.empty(0, dtype=np.int64)
        for file, array in ((ASKED, names), (READ, rows)):
            with whole_file(part / file, "wb") as out:
                np.save(out, array)
        for column, shape in shapes.items():
            # Written, not mapped: a map of a file that finds no room on its disk ends the process without a word.
            with whole_file(part / f"{column}.npy", "wb") as out:
                about = {
                    "descr": np.dtype(self.dtype).str,
                    "fortran_order": False,
                    "shape": (len(rows), *shape),
                }
                np.lib.format.write_array_header_1_0(out, about)
                for chunk in chunks:
                    with np.load(chunk) as held:
                        if str(column) in held:
                            out.write(np.ascontiguousarray(held[str(column)], self.dtype).data)
        files = [ASKED, READ, *(f"{c}.npy" for c in shapes)]
        about = self.about | {
            "checksums": {name: checksum(part / name) for name in files},
            "columns": sorted(map(str, shapes)),
            "absent": sorted(str(c) for c in columns if c not in shapes),
            "skipped": skipped,
        }
        with whole_file(part / ABOUT) as out:
            json.dump(about, out, indent=1)


def _chunks(part: Path) -> list[Path]:
    """The chunks that follow each other from the first sample on."""
    found, end = [], 0
    for file in sorted(part.glob("[0-9]*-[0-9]*.npz")):
        begin, stop = map(int, file.stem.split("-"))
        if begin == end:
            found.append(file)
            end = stop
    return found


def _reached(part: Path) -> int:
    """Number of the first sample that is not there."""
    chunks = _chunks(part)
    return int(chunks[-1].stem.split("-")[1]) if chunks else 0


def _scraps(part: Path) -> list[Path]:
    """All chunks, and one that was being written."""
    return [*part.glob("[0-9]*-[0-9]*.npz"), *part.glob("[0-9]*-[0-9]*.npz.part")]
