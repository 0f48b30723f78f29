"""The manifest: the table that a dataset is, one row a sample, probed once and memory-mapped afterwards."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import astuple
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ssl_av.data.datasets._files import outside, relative_path
from ssl_av.data.media import Limits, Reader
from ssl_av.data.probing import fingerprint, kind, probe_files, temporary
from ssl_av.data.rows import Row, Sample, Skip
from ssl_av.data.schema import SCHEMA, check_table, checksum
from ssl_av.data.skips import Skips
from ssl_av.data.splits import SPLITS, assign_splits
from ssl_av.errors import UserError, unknown
from ssl_av.text import one_line, parse_json, printable

__all__ = ["Manifest", "Row", "Sample", "Skip", "build_manifest"]

_OF_SAMPLE = ("path", "label", "labels", "start", "duration", "has_video", "has_audio", "aspect")

OUTSIDE = "lies outside the data set's root"
"""Why a row is left out whose path leads elsewhere."""
KEY = b"ssl_av"
SKIPPED = b"ssl_av.skipped"
SUM = b"ssl_av.sum"
"""Where the rest of a manifest, what it leaves out and the checksum of it all stand in the Arrow file's metadata."""


class Manifest:
    """A table of samples; selecting from it copies row numbers only.

    Args:
        table: with the columns of `SCHEMA`.
        root: the folder that relative paths start from.
        classes: names of the classes.
        skipped: what was left out.
        rows: numbers of the rows that are seen, default all.
        file: the Arrow file that ``table`` is mapped from, if any.
    """

    def __init__(
        self,
        table: pa.Table,
        root: Path,
        classes: Sequence[str] = (),
        skipped: Sequence[Skip] = (),
        rows: NDArray[np.int64] | None = None,
        file: Path | None = None,
    ) -> None:
        self.root = Path(root)
        self.classes = tuple(classes)
        self.skipped = Skips(skipped)
        self._table = table
        self._rows = np.arange(table.num_rows) if rows is None else rows
        self._file = file
        self._columns = {name: _whole(table.column(name)) for name in SCHEMA.names}

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:
        row = int(self._rows[index])
        cell = {name: self._columns[name][row].as_py() for name in _OF_SAMPLE}
        labels = tuple(cell.pop("labels") or ())
        return Sample(**{**cell, "labels": labels, "path": os.path.join(self.root, cell["path"])})

    def __reduce__(self) -> tuple[Any, ...]:
        # A worker process that is not forked maps the file again, instead of getting a copy of the table.
        where = self._file if self._file is not None else self._table
        return _restore, (where, self.root, self.classes, self.skipped, self._rows)

    @property
    def file(self) -> Path | None:
        """The file that it is mapped from, if any."""
        return self._file

    def columns(self, *names: str) -> dict[str, NDArray[Any]]:
        """Columns of `SCHEMA` by name, one value a sample."""
        return {name: self._values(name) for name in names}

    @property
    def labels(self) -> NDArray[np.int32]:
        """The labels of all samples, int32 [len]."""
        return self._values("label")

    @cached_property
    def hash(self) -> str:
        """16 hexadecimal digits of what the samples are, wherever they lie: the same files, the same hash."""
        digest = hashlib.sha256("\n".join(self.classes).encode())
        for path in self._values("path"):
            name = os.path.basename(path) if os.path.isabs(path) else path
            digest.update(name.encode("utf-8", "surrogateescape") + b"\n")
        digest.update("\n".join(self._values("split")).encode())
        for name in ("label", "has_video", "has_audio"):
            digest.update(self._values(name).astype("<i4").tobytes())
        several = self._columns["labels"].take(pa.array(self._rows))
        if len(several.values):  # a table without any keeps the hash from before there were some
            digest.update(repr(several.to_pylist()).encode())
        for name in ("start", "duration"):
            # Two versions of FFmpeg may differ in the last digits.
            digest.update((self._values(name) * 100).round().astype("<i8").tobytes())
        return digest.hexdigest()[:16]

    def take(self, indices: Sequence[int] | NDArray[Any]) -> Manifest:
        """These samples, in this order."""
        return self._view(self._rows[np.asarray(indices, dtype=np.int64)], self.skipped)

    def split(self, name: str) -> Manifest:
        """The samples of one split.

        Args:
            name: ``train``, ``val`` or ``test``.

        Raises:
            UserError: for another name.
        """
        if name not in SPLITS:
            raise unknown("split", name, SPLITS)
        inside = pc.equal(self._columns["split"], name).to_numpy(zero_copy_only=False)[self._rows]
        return self._view(self._rows[inside], self.skipped)

    def divided(self, splits: Sequence[str]) -> Manifest:
        """The same samples in other splits, one a sample; a copy in memory."""
        table = self._table.take(pa.array(self._rows))
        at = SCHEMA.get_field_index("split")
        table = table.set_column(at, SCHEMA.field(at), pa.array(splits, pa.string()))
        return Manifest(table, self.root, self.classes, self.skipped)

    def require(self, video: bool = False, audio: bool = False) -> Manifest:
        """The samples that have these streams; the others go to ``skipped``."""
        no_video = ~self._values("has_video") & video
        no_audio = ~self._values("has_audio") & audio
        paths = self._values("path")
        lost = no_video | no_audio
        reasons = np.where(no_video, "no video stream", "no audio stream")[lost]
        return self._view(self._rows[~lost], self.skipped.extended(paths[lost].tolist(), reasons.tolist()))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the samples that are seen to an Arrow file, whole or not at all."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        rest = {"root": str(self.root), "classes": self.classes}
        table = self._table.take(pa.array(self._rows)).combine_chunks()
        about = {KEY: json.dumps(rest).encode(), SKIPPED: self.skipped.to_bytes()}
        table = table.replace_schema_metadata({**about, SUM: str(checksum(table, *about.values()))})
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            with part.open("wb") as file:
                with pa.ipc.new_file(file, table.schema) as writer:
                    writer.write_table(table)
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Manifest:
        """Maps a saved manifest into memory: the table is read from the file when it is needed.

        Raises:
            UserError: if the file is not there or is not a manifest.
        """
        file = Path(path)
        if not file.is_file():
            raise UserError(f"the manifest '{file}' is not there")
        try:
            table = pa.ipc.open_file(pa.memory_map(str(file))).read_all()
            metadata = table.schema.metadata or {}
            rest = parse_json(metadata[KEY].decode())
            if lacking := [name for name in SCHEMA.names if name not in table.column_names]:
                raise UserError(
                    f"the manifest '{file}' was made by an older ssl-av (it has no {', '.join(lacking)}); make it again"
                )
            skipped = Skips.from_bytes(metadata[SKIPPED])
            table = table.select(SCHEMA.names).replace_schema_metadata()
            check_table(table, rest["classes"])
            written = metadata.get(SUM)  # those of before there were any have none
            if written and written != str(checksum(table, metadata[KEY], metadata[SKIPPED])).encode():
                raise ValueError("it is not as it was written")
            return cls(table, Path(rest["root"]), rest["classes"], skipped, file=file)
        except (pa.ArrowException, KeyError, TypeError, ValueError, OSError) as e:
            raise UserError(f"'{file}' is not a manifest of ssl-av ({type(e).__name__}: {e})") from None

    def _values(self, name: str) -> NDArray[Any]:
        column = self._columns[name]
        if 4 * len(self._rows) > len(column):
            return column.to_numpy(zero_copy_only=False)[self._rows]
        # of a few rows: not an object for every path of millions
        return np.array(column.take(pa.array(self._rows)).to_numpy(zero_copy_only=False))

    def _view(self, rows: NDArray[np.int64], skipped: Sequence[Skip]) -> Manifest:
        return Manifest(self._table, self.root, self.classes, skipped, rows, self._file)


def build_manifest(
    rows: Sequence[Row],
    classes: Sequence[str],
    root: Path,
    reader: Reader,
    workers: int = 0,
    cache: Path | None = None,
    progress: bool = False,
    limit: float = 60.0,
    again: bool = False,
    limits: Limits = Limits(),
) -> Manifest:
    """Probes the files of a dataset and makes its manifest.

    Probing opens a file and decodes its first frame, and its sound until that is heard. A file that fails later is
    found when it is read. A path that leads out of the root is left out; a link in it may lead anywhere, for that is
    made by whoever owns the disk, not by a list from elsewhere.

    Args:
        rows: what the dataset lists.
        classes: names of the classes.
        root: the folder that the rows' paths are relative to.
        reader: the backend that probes.
        workers: processes that probe; 0: this one, without limits, see `probe_files`.
        cache: a folder; the manifest is kept there and taken from there while the rows and the files' sizes and
            dates are the same.
        progress: whether to show a bar.
        limit: seconds that one file may take in another process.
        again: whether files are tried again for which the manifest in the cache says that they were given up.
        limits: the reader's own, what is read of a file at most.
    """
    classes = [printable(name) for name in classes]
    root = Path(os.path.abspath(root))
    paths = [relative_path(row.path, root) for row in rows]
    kept: Path | None = None
    if cache is not None:
        key = fingerprint([astuple(row) for row in rows], paths, classes, root, kind(reader.name, limits))
        kept = cache / f"{key}.arrow"
    if kept is not None and kept.is_file():
        try:
            found = Manifest.load(kept)
            if not (again and any(map(temporary, found.skipped.reasons()))):
                return found
        except UserError as e:
            print(f"ssl-av: warning: {one_line(e)}; it is made anew", file=sys.stderr)
    inside = [path for path in paths if not outside(path)]
    infos = probe_files(inside, root, reader, workers, progress, cache and cache / "probed", limit, limits)
    splits = assign_splits(paths, [row.label for row in rows], [row.split for row in rows])
    columns: dict[str, list[object]] = {name: [] for name in SCHEMA.names}
    skipped: dict[Skip, None] = {}  # in order, each once
    for row, path, split in zip(rows, paths, splits, strict=True):
        info = infos.get(path, OUTSIDE)
        if isinstance(info, str):
            skipped[Skip(path, info)] = None
            continue
        end = info.duration if row.end is None else min(row.end, info.duration)
        if not 0 <= row.start < end:
            reason = f"nothing from {row.start:.2f} s to {end:.2f} s (the file has {info.duration:.2f} s)"
            skipped[Skip(path, reason)] = None
            continue
        cells = {"path": path, "label": row.label, "labels": list(row.labels), "split": split}
        cells |= {"start": row.start, "duration": end - row.start}
        for name, column in columns.items():
            column.append(cells[name] if name in cells else getattr(info, name))
    manifest = Manifest(pa.table(columns, schema=SCHEMA), root, classes, tuple(skipped))
    if kept is None:
        return manifest
    manifest.save(kept)
    return Manifest.load(kept)


def _restore(
    where: Path | pa.Table,
    root: Path,
    classes: Sequence[str],
    skipped: Sequence[Skip],
    rows: NDArray[np.int64],
) -> Manifest:
    if isinstance(where, pa.Table):
        return Manifest(where, root, classes, skipped, rows)
    table = Manifest.load(where)._table
    return Manifest(table, root, classes, skipped, rows, where)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array; without a copy where it is one chunk, as in a saved manifest."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
