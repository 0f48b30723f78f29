"""Arrays of features that may be larger than memory: in it where they are small, else in a file without a name.

Such a file goes when the last array on it does, also when the process is killed. What is written to it is the disk's
cache: the system takes that memory back when it needs it.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np

MEMORY = 2**28
"""Bytes that an array may take in memory: 256 MiB."""
PART = 2**25
"""Bytes that are filled, or worked on, at once."""

_FOLDER: ContextVar[Path | None] = ContextVar("folder of arrays", default=None)

Array = np.ndarray


@contextmanager
def scratch_in(folder: Path) -> Iterator[None]:
    """Within this, files of large arrays lie in ``folder``; elsewhere in the system's folder for such."""
    before = _FOLDER.set(folder)
    try:
        yield
    finally:
        _FOLDER.reset(before)


def empty(shape: Sequence[int], dtype: Any = np.float32) -> Array:
    """An array to be filled, in memory or on the disk by its size."""
    if math.prod(shape) * np.dtype(dtype).itemsize <= MEMORY:
        return np.empty(shape, dtype=dtype)
    folder = _FOLDER.get()
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder, prefix=".rows-") as file:
        # A map that finds no room on its disk ends the process without a word.
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, math.prod(shape) * np.dtype(dtype).itemsize)
        return np.asarray(np.memmap(file, dtype=dtype, mode="w+", shape=tuple(shape)))


def slices(x: Array) -> Iterator[slice]:
    """Slices of rows: all of a small array, else `PART` bytes each."""
    size = max(len(x), 1) if x.nbytes <= MEMORY else max(PART // (x.nbytes // len(x)), 1)
    return (slice(at, min(at + size, len(x))) for at in range(0, len(x), size))


def each(do: Callable[[Array], Array], x: Array) -> Array:
    """What ``do`` makes of an array's rows, which must not depend on other rows; a part at a time where it is large."""
    out: Array | None = None
    for some in slices(x):
        found = do(x[some])
        if len(found) == len(x):
            return found
        if out is None:
            out = empty((len(x), *found.shape[1:]), found.dtype)
        out[some] = found
    return do(x) if out is None else out


def selected(x: Array, rows: Array) -> Array:
    """Rows by their numbers, or by a mask; the array itself where that is all of them."""
    if rows.dtype == bool:
        if rows.all():
            return x
        rows = np.flatnonzero(rows)
    return gathered(rows, [x], x.dtype)


def gathered(rows: Array, arrays: Sequence[Array], dtype: Any = np.float32) -> Array:
    """Rows of arrays laid end to end, by their numbers; an array itself where it is just that.

    Args:
        rows: [N].
        arrays: [N_i, …], alike but for their lengths; mapped from files, as a rule.
        dtype: of what comes back.
    """
    ends = np.cumsum([len(x) for x in arrays])
    for x, end in zip(arrays, ends, strict=True):
        whole = len(x) == len(rows) and np.array_equal(rows, np.arange(end - len(x), end))
        if whole and x.dtype == dtype:
            return np.asarray(x)
    if not arrays:
        return np.empty((0, 0), dtype=dtype)
    out = empty((len(rows), *arrays[0].shape[1:]), dtype)
    size = max(PART // max(out.nbytes // max(len(out), 1), 1), 1)
    for at in range(0, len(rows), size):
        some = rows[at : at + size]
        for x, end in zip(arrays, ends, strict=True):
            begin = end - len(x)
            inside = np.flatnonzero((some >= begin) & (some < end))
            out[at + inside] = x[some[inside] - begin]
    return out


def stacked(arrays: Sequence[Array]) -> Array:
    """Arrays end to end, [N_1 + N_2 + …, …]."""
    return gathered(np.arange(sum(map(len, arrays))), arrays, np.result_type(*arrays))


def beside(arrays: Sequence[Array]) -> Array:
    """Arrays side by side along their last axis."""
    first = arrays[0]
    shape = (*first.shape[:-1], sum(x.shape[-1] for x in arrays))
    out = empty(shape, np.result_type(*arrays))
    for some in slices(out):
        np.concatenate([x[some] for x in arrays], axis=-1, out=out[some])
    return out
