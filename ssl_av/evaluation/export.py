"""Embeddings as a file for others: `.npz`, Parquet or Arrow, with ids and labels beside them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
from numpy.typing import NDArray

from ssl_av.arrays import read_npz
from ssl_av.errors import UserError, unknown
from ssl_av.text import parse_json

Array = NDArray[Any]
FORMATS = (".npz", ".parquet", ".arrow", ".feather")
KEY = b"ssl_av.embeddings"
ABOUT = "about"
OWN = ("id", "label", "class", "classes", "split", ABOUT)


@dataclass
class Embeddings:
    """A table of embeddings: row i of everything belongs to one sample.

    Attributes:
        ids: name of each sample, e.g. its path from the data set's root.
        vectors: by name (``video``, ``audio``, ``audio_query`` …, letters, digits and ``_``), [N, D] float32 or
            float16.
        labels: [N] class of each sample, -1 where there is none; [N, classes] bool where a sample may have several.
        classes: names of the classes.
        about: anything else that JSON can hold: checkpoint, protocol.
        splits: of each sample, ``train``, ``val`` or ``test``; empty where that is not said.
    """

    ids: Sequence[str]
    vectors: Mapping[str, Array]
    labels: Array
    classes: Sequence[str] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    splits: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def check(self) -> None:
        """Raises a ValueError for parts that do not fit together."""
        shapes = {name: x.shape for name, x in self.vectors.items()}
        if any(len(s) != 2 or s[0] != len(self) for s in shapes.values()) or len(self.labels) != len(self):
            raise ValueError(f"{len(self)} ids do not fit labels [{len(self.labels)}] and vectors {shapes}")
        if len(self.splits) not in (0, len(self)):
            raise ValueError(f"{len(self)} ids do not fit {len(self.splits)} splits")
        for name in shapes:
            if name in OWN or not name.isidentifier():  # it becomes a file inside the .npz
                raise ValueError(f"vectors cannot be named '{name}'")
        labels = np.asarray(self.labels)
        most = labels.shape[1] - 1 if labels.ndim == 2 else int(labels.max(initial=-1))
        if labels.ndim == 2 and not self.classes:
            raise ValueError("several labels a sample need the names of the classes")
        if most >= len(self.classes) > 0:
            raise ValueError(f"label {most} lies outside of {len(self.classes)} classes")


def save_embeddings(table: Embeddings, path: str | os.PathLike[str]) -> Path:
    """Writes a table, whole or not at all; its format is the name's ending.

    In Parquet and Arrow (Feather) a vector is a fixed-size list, and a column ``class`` holds the label's name (null
    where there is none); with several labels a sample both are lists. In `.npz` each vector, ``id``, ``label``,
    ``classes`` and, where it is known, ``split`` is an array, and nothing is pickled.
    A file name that is not UTF-8 keeps its bytes: see `escape`.

    Raises:
        UserError: for another ending, or a folder that cannot be written.
    """
    target = Path(path)
    _check_format(target)
    table.check()
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as file:
                _write(table, target.suffix, file)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as e:
        raise UserError(f"{target}: cannot be written: {e.strerror or e}") from None
    return target


def load_embeddings(path: str | os.PathLike[str]) -> Embeddings:
    """Reads what `save_embeddings` wrote.

    Raises:
        UserError: if the file is not there or is something else.
    """
    source = Path(path)
    _check_format(source)
    if not source.is_file():
        raise UserError(f"{source}: no such file")
    try:
        if source.suffix == ".npz":
            held = read_npz(source)
            rest = parse_json(str(held[ABOUT]))
            vectors = {name: held[name] for name in rest["vectors"]}
            splits = held["split"].tolist() if "split" in held else ()
            return _table(held["id"].tolist(), vectors, held["label"], rest, splits)
        read = pa.parquet.read_table if source.suffix == ".parquet" else pa.feather.read_table
        rows = read(source)
        rest = parse_json(rows.schema.metadata[KEY].decode())
        vectors = {name: _matrix(rows.column(name)) for name in rest["vectors"]}
        splits = rows.column("split").to_pylist() if "split" in rows.column_names else ()
        return _table(
            rows.column("id").to_pylist(), vectors, _labels(rows.column("label"), rest), rest, splits
        )
    except (pa.ArrowException, KeyError, TypeError, ValueError, OSError, EOFError) as e:
        raise UserError(f"{source}: not a table of embeddings of ssl-av ({type(e).__name__}: {e})") from None


def escape(name: str) -> str:
    r"""A name that any UTF-8 format can hold: a byte of a file name that is no UTF-8 becomes ``\xff``, a ``\`` two.

    Names with neither stay as they are.
    """
    raw = name.encode("utf-8", "surrogateescape").replace(b"\\", b"\\\\")
    return raw.decode("utf-8", "backslashreplace")


def unescape(text: str) -> str:
    """What `escape` was given."""
    if "\\" not in text:
        return text
    out, rest = bytearray(), text.encode("utf-8")
    while rest:
        plain, slash, rest = rest.partition(b"\\")
        out += plain
        if slash and rest[:1] == b"\\":
            out, rest = out + b"\\", rest[1:]
        elif slash:  # x and two digits
            out, rest = out + bytes([int(rest[1:3], 16)]), rest[3:]
    return out.decode("utf-8", "surrogateescape")


def _check_format(path: Path) -> None:
    if path.suffix not in FORMATS:
        raise unknown("format of embeddings", path.suffix or path.name, FORMATS)


def _rest(table: Embeddings) -> str:
    rest = {"vectors": list(table.vectors), "classes": [escape(c) for c in table.classes]}
    return json.dumps(rest | {"about": dict(table.about)})


def _table(
    ids: Sequence[str], vectors: dict[str, Array], labels: Array, rest: dict[str, Any], splits: Sequence[str]
) -> Embeddings:
    classes = [unescape(c) for c in rest["classes"]]
    return Embeddings([unescape(i) for i in ids], vectors, labels, classes, rest["about"], splits)


def _write(table: Embeddings, suffix: str, file: Any) -> None:
    if suffix == ".npz":
        _write_npz(table, file)
    elif suffix == ".parquet":
        pa.parquet.write_table(_arrow(table), file)
    else:
        pa.feather.write_feather(_arrow(table), file, compression="uncompressed")


def _write_npz(table: Embeddings, file: Any) -> None:
    columns: dict[str, Any] = {name: np.asarray(x) for name, x in table.vectors.items()}
    columns["id"] = np.array([escape(i) for i in table.ids], dtype=str)
    labels = np.asarray(table.labels)
    columns["label"] = labels.astype(bool if labels.ndim == 2 else np.int64)
    if table.splits:
        columns["split"] = np.array(table.splits, dtype=str)
    columns["classes"] = np.array([escape(c) for c in table.classes], dtype=str)
    columns[ABOUT] = np.array(_rest(table))
    np.savez_compressed(file, **columns)


def _arrow(table: Embeddings) -> pa.Table:
    labels = np.asarray(table.labels)

    def name(k: int) -> str | None:
        return escape(table.classes[k]) if 0 <= k < len(table.classes) else None

    columns: dict[str, Any] = {"id": pa.array([escape(i) for i in table.ids], pa.string())}
    if labels.ndim == 2:
        several = [np.flatnonzero(row).tolist() for row in labels]
        columns["label"] = pa.array(several, pa.list_(pa.int64()))
        columns["class"] = pa.array([[name(k) for k in found] for found in several], pa.list_(pa.string()))
    else:
        columns["label"] = pa.array(labels.astype(np.int64))
        columns["class"] = pa.array([name(k) for k in labels.tolist()], pa.string())
    if table.splits:
        columns["split"] = pa.array(list(table.splits), pa.string())
    for key, x in table.vectors.items():
        flat = pa.array(np.ascontiguousarray(x).reshape(-1))
        columns[key] = pa.FixedSizeListArray.from_arrays(flat, x.shape[1])
    return pa.table(columns).replace_schema_metadata({KEY: _rest(table).encode()})


def _labels(column: pa.ChunkedArray, rest: Mapping[str, Any]) -> Array:
    if not pa.types.is_list(column.type):
        return column.to_numpy()
    labels = np.zeros((len(column), len(rest["classes"])), dtype=bool)
    for row, found in enumerate(column.to_pylist()):
        labels[row, found] = True
    return labels


def _matrix(column: pa.ChunkedArray) -> Array:
    whole = column.combine_chunks()
    flat = whole.flatten() if isinstance(whole, pa.Array) else pa.concat_arrays(whole.chunks).flatten()
    return flat.to_numpy(zero_copy_only=False).reshape(len(column), column.type.list_size)
