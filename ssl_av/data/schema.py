"""The columns of a manifest, and whether a table that was read has them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ssl_av.data.datasets._files import outside
from ssl_av.text import printable

SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("label", pa.int32()),
        ("split", pa.string()),
        ("start", pa.float64()),
        ("duration", pa.float64()),
        ("has_video", pa.bool_()),
        ("has_audio", pa.bool_()),
        ("aspect", pa.float64()),
        ("labels", pa.list_(pa.int32())),
        ("fps", pa.float64()),
        ("audio_duration", pa.float64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("codec", pa.string()),
        ("audio_codec", pa.string()),
        ("audio_rate", pa.int32()),
        ("silent", pa.bool_()),
    ]
)
"""``path`` is relative to the root; ``label`` is -1 where there is none or ``labels`` holds several; times in seconds;
the rest is what `MediaInfo` says of the file, where ``start`` and ``duration`` may be those of a piece of it. What
cannot be read has no row: it is under `Manifest.skipped` with the reason."""


def check_table(table: pa.Table, classes: Any) -> None:
    """Whether a table from a file is a manifest's, and leads to files below its root only.

    Raises:
        ValueError: if not.
    """
    if not table.schema.equals(SCHEMA):
        wrong = [f.name for f, right in zip(table.schema, SCHEMA, strict=True) if not f.equals(right)]
        raise ValueError(f"of another type: {', '.join(wrong)}")
    table.validate(full=True)
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise ValueError("its classes are no list of names")
    empty = [name for name in SCHEMA.names if name != "labels" and table.column(name).null_count]
    if empty:
        raise ValueError(f"cells without a value: {', '.join(empty)}")
    paths = table.column("path")
    strange = pc.starts_with(paths, "/")
    for sign in ("..", "\0"):
        strange = pc.or_(strange, pc.match_substring(paths, sign))
    for path in table.filter(strange).column("path").to_pylist():
        if outside(path) or ".." in path.split("/") or "\0" in path:
            raise ValueError(f"'{printable(path)}' leads out of its root")


def checksum(table: pa.Table, *more: bytes) -> int:
    """CRC-32 of what a table that `check_table` has passed holds, however it lies in memory, and of further bytes."""
    found = 0
    for part in more:
        found = zlib.crc32(part, found)
    for batch in table.to_batches(max_chunksize=2**16):  # so much is copied at a time
        for column in batch.columns:
            for content in _content(column):
                found = zlib.crc32(content, found)
    return found


def _content(column: pa.Array) -> Iterator[Any]:
    """The bytes of a column: lengths and values of texts and lists, of others the values."""
    if pa.types.is_list(column.type):
        yield pc.list_value_length(column).fill_null(-1).to_numpy().tobytes()
        column = column.flatten()
    elif pa.types.is_string(column.type):
        yield pc.binary_length(column).to_numpy().tobytes()
        _, ends, text = column.buffers()
        if text is not None and len(column):
            ends = np.frombuffer(ends, np.int32)[column.offset : column.offset + len(column) + 1]
            yield memoryview(text)[ends[0] : ends[-1]]
        return
    yield column.to_numpy(zero_copy_only=False).tobytes()
