"""A shard: an Arrow IPC file with one record batch a sample, so that a sample is found by its number."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
from numpy.typing import NDArray

SCHEMA = pa.schema(
    [
        ("error", pa.string()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("times", pa.large_binary()),
        ("end", pa.float64()),
        ("picture", pa.large_binary()),
        ("packets", pa.large_binary()),
        ("sound", pa.large_binary()),
        ("scale", pa.float64()),
    ]
)


@dataclass(frozen=True)
class Packed:
    """A sample as a shard holds it. Times are seconds from the beginning of the sample.

    Attributes:
        error: why it could not be packed; the other fields are then empty.
        height: of a stored frame, 0 without video.
        width: of a stored frame, 0 without video.
        times: when each frame begins to be shown, float64 [T].
        end: when the last frame ends.
        picture: bytes uint8: the frames [T, H, W, 3], or the H.264 stream (Annex B).
        packets: int64 [T + 1]: where in the stream each frame's packet begins, and where the last one ends; empty for
            frames.
        sound: int16 [samples]; times ``scale`` it is the waveform.
        scale: full scale over 32767; 0 without sound.
    """

    error: str | None = None
    height: int = 0
    width: int = 0
    times: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    end: float = 0.0
    picture: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    packets: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    sound: NDArray[np.int16] = field(default_factory=lambda: np.empty(0, np.int16))
    scale: float = 0.0


ARRAYS = {"times": np.float64, "picture": np.uint8, "packets": np.int64, "sound": np.int16}


def write_shard(file: Path, samples: Iterable[Packed]) -> None:
    """Writes a shard, whole or not at all.

    Raises:
        OSError: if the disk is full or cannot be written.
    """
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as sink:
            with pa.ipc.new_file(sink, SCHEMA) as writer:
                for sample in samples:
                    writer.write_batch(_batch(sample))
            sink.flush()
            os.fsync(sink.fileno())
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def remove_parts(folder: Path) -> None:
    """Removes what a killed process has left of shards; what a living one is writing stays."""
    for part in folder.glob(".*.part"):
        pid = part.name.split(".")[-2]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            part.unlink(missing_ok=True)


class Shard:
    """A shard, mapped into memory: what is not asked for is not read.

    Raises:
        OSError: if it is not there.
        pa.ArrowInvalid: if it is not a shard.
    """

    def __init__(self, file: Path) -> None:
        if file.exists() and not file.is_file():
            raise OSError("no file")  # a pipe would be waited for
        with file.open("rb") as opened:
            mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        # Not pyarrow's memory map: it asks the system to read the whole of each batch ahead.
        self._batches = pa.ipc.open_file(pa.BufferReader(pa.py_buffer(mapped)))

    def __len__(self) -> int:
        count: int = self._batches.num_record_batches
        return count

    def __getitem__(self, row: int) -> Packed:
        batch = self._batches.get_batch(row)
        cells: dict[str, Any] = {}
        for cell in fields(Packed):
            column = batch.column(cell.name)
            dtype = ARRAYS.get(cell.name)
            if dtype is None:
                cells[cell.name] = column[0].as_py()
            else:  # the buffer itself: a scalar of a binary column would be a copy
                data = column.buffers()[2]
                cells[cell.name] = np.frombuffer(data, dtype) if data else np.empty(0, dtype)
        return Packed(**cells)

    def error(self, row: int) -> str | None:
        """Why a sample could not be packed, None if it could."""
        reason: str | None = self._batches.get_batch(row).column("error")[0].as_py()
        return reason


def _batch(sample: Packed) -> pa.RecordBatch:
    columns = []
    for cell in SCHEMA:
        value = getattr(sample, cell.name)
        if cell.name in ARRAYS:
            # Around the memory as it is: no copy of what may be a gigabyte.
            ends = pa.py_buffer(np.array([0, value.nbytes], np.int64))
            columns.append(pa.Array.from_buffers(cell.type, 1, [None, ends, pa.py_buffer(value)]))
        else:
            columns.append(pa.array([value], cell.type))
    return pa.record_batch(columns, schema=SCHEMA)
