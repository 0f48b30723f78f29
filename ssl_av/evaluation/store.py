"""Features on disk: written in chunks as they come, so that a pass that was interrupted goes on; then memory-mapped."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ssl_av.errors import UserError
from ssl_av.evaluation.features import Piece
from ssl_av.evaluation.views import Column

CHUNK = 2**25
"""Bytes of features that are held in memory before they are written."""


@dataclass(frozen=True)
class Stored:
    """Features of one cut of some samples.

    Attributes:
        index: [N] numbers of the samples that could be read, in the manifest that was asked for.
        columns: arrays [N, D] or [N, clips, D], mapped from the disk. A change to them is not written there.
        skipped: path → reason.
    """

    index: np.ndarray
    columns: dict[Column, np.ndarray]
    skipped: dict[str, str]


def digest(content: Any) -> str:
    """16 hexadecimal digits of plain values."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


class Store:
    """The features of one cut of some samples by one network, in a folder of its own.

    Args:
        folder: named after all that makes the features.
        about: what that is, for a reader.
        dtype: ``float32`` or ``float16``, of what is stored.
    """

    def __init__(self, folder: Path, about: dict[str, Any], dtype: str = "float32") -> None:
        self.folder, self.about, self.dtype = folder, about, dtype

    def _passes(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """The passes that were finished."""
        for meta in sorted(self.folder.glob("*/columns.json")):
            if not meta.parent.name.startswith("."):
                yield meta, json.loads(meta.read_text(encoding="utf-8"))

    def find(self, columns: Collection[Column]) -> list[Stored]:
        """What is there of these columns; one entry for each pass that was made."""
        wanted, found = set(columns), []
        for meta, about in self._passes():
            names = {str(c): c for c in wanted}
            here = [names[name] for name in about["columns"] if name in names]
            absent = [names[name] for name in about["absent"] if name in names]
            if here or absent:
                wanted -= {*here, *absent}
                try:
                    arrays = {c: np.load(meta.parent / f"{c}.npy", mmap_mode="c") for c in here}
                    found.append(Stored(np.load(meta.parent / "index.npy"), arrays, about["skipped"]))
                except (OSError, ValueError, EOFError, KeyError) as e:
                    raise UserError(
                        f"{meta.parent}: features that cannot be read ({e}); remove the folder, and they are made anew"
                    ) from None
        return found

    def missing(self, columns: Collection[Column]) -> list[Column]:
        """The columns that no pass has asked for."""
        asked: set[str] = set()
        for _, about in self._passes():
            asked |= {*about["columns"], *about["absent"]}
        return sorted(c for c in set(columns) if str(c) not in asked)

    def write(self, columns: Collection[Column], make: Callable[[int], Iterator[Piece]]) -> None:
        """Makes columns, from where an earlier try stopped.

        Args:
            columns: what is made.
            make: the pieces from a number of a sample on.
        """
        name = digest(sorted(map(str, columns)))
        part = self.folder / f".{name}.part"
        part.mkdir(parents=True, exist_ok=True)
        held: list[Piece] = []
        begin = end = _reached(part)
        for piece in make(begin):
            held.append(piece)
            end = piece.end
            if sum(x.nbytes for p in held for x in p.columns.values()) >= CHUNK:
                self._chunk(part, begin, end, held)
                held, begin = [], end
        if held:
            self._chunk(part, begin, end, held)
        self._finish(part, self.folder / name, columns)

    def _chunk(self, part: Path, begin: int, end: int, held: list[Piece]) -> None:
        """Writes one chunk whole or not at all."""
        names = {c for p in held for c in p.columns}
        arrays: dict[str, Any] = {
            str(c): np.concatenate([p.columns[c] for p in held if c in p.columns]).astype(self.dtype)
            for c in names
        }
        skipped = {path: reason for p in held for path, reason in p.skipped.items()}
        file = part / f"{begin:012d}-{end:012d}.npz"
        scratch = file.with_suffix(".part")
        with scratch.open("wb") as out:
            np.savez(
                out, index=np.concatenate([p.index for p in held]), skipped=json.dumps(skipped), **arrays
            )
        scratch.replace(file)

    def _finish(self, part: Path, target: Path, columns: Collection[Column]) -> None:
        """Copies the chunks into one array a column, a chunk at a time."""
        chunks = _chunks(part)
        skipped: dict[str, str] = {}
        index: list[np.ndarray] = []
        shapes: dict[Column, tuple[int, ...]] = {}
        for chunk in chunks:
            with np.load(chunk) as held:
                index.append(held["index"])
                skipped |= json.loads(str(held["skipped"]))
                shapes |= {c: held[str(c)].shape[1:] for c in columns if str(c) in held}
        rows = np.concatenate(index) if index else np.empty(0, dtype=np.int64)
        np.save(part / "index.npy", rows)
        for column, shape in shapes.items():
            out = np.lib.format.open_memmap(
                part / f"{column}.npy", mode="w+", dtype=self.dtype, shape=(len(rows), *shape)
            )
            at = 0
            for chunk in chunks:
                with np.load(chunk) as held:
                    if str(column) in held:
                        x = held[str(column)]
                        out[at : at + len(x)] = x
                        at += len(x)
            out.flush()
        about = self.about | {
            "columns": sorted(map(str, shapes)),
            "absent": sorted(str(c) for c in columns if c not in shapes),
            "skipped": skipped,
        }
        (part / "columns.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
        if target.is_dir():  # another process was faster
            shutil.rmtree(part)
            return
        part.replace(target)
        for chunk in chunks:
            (target / chunk.name).unlink()


def _chunks(part: Path) -> list[Path]:
    """The chunks that follow each other from the first sample on."""
    found, end = [], 0
    for file in sorted(part.glob("*-*.npz")):
        begin, stop = map(int, file.stem.split("-"))
        if begin == end:
            found.append(file)
            end = stop
    return found


def _reached(part: Path) -> int:
    """Number of the first sample that is not there."""
    chunks = _chunks(part)
    return int(chunks[-1].stem.split("-")[1]) if chunks else 0
