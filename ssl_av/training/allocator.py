"""The C library's heap: memory that was freed serves the next allocation instead of going back to the system."""

from __future__ import annotations

import contextlib
import ctypes
import os

TRIM, MMAP = -1, -3  # numbers of <malloc.h>
KEPT = 256 << 20
"""Bytes of free memory at the top of the heap that a process keeps."""

LARGEST = 32 << 20
"""Blocks up to so many bytes come from the heap: the most that glibc allows."""


def keep_freed_memory() -> None:
    """Tells glibc to keep what is freed; elsewhere, or where the environment says otherwise, nothing happens.

    Batches, frames and activations are made and freed in blocks of some hundred kilobytes, step by step the same.
    By default such blocks go back to the system, which clears each of their pages before it hands it out again:
    a third of the time of an augmentation on a CPU.
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return
    with contextlib.suppress(OSError, AttributeError):  # no glibc
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(MMAP, LARGEST)
        mallopt(TRIM, KEPT)
