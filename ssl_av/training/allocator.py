"""The C library's heap: memory that was freed serves the next allocation instead of going back to the system."""

from __future__ import annotations

import contextlib
import ctypes
import os

TRIM, MAPPED = -1, -4  # numbers of <malloc.h>
KEPT = 1 << 30
"""Bytes of free memory at the top of the heap that a process keeps."""


def keep_freed_memory() -> None:
    """Tells glibc to keep what is freed; elsewhere, or where the environment says otherwise, nothing happens.

    Batches, frames and activations are made and freed in blocks of a hundred kilobytes to some hundred megabytes, step
    by step the same. By default such blocks go back to the system, which clears each of their pages before it hands it
    out again: a third of the time of an augmentation on a CPU, and a tenth of a network's where its maps are large.
    So no block is mapped on its own, however large (a threshold for it cannot be more than 32 MiB).
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return
    with contextlib.suppress(OSError, AttributeError):  # no glibc
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(MAPPED, 0)
        mallopt(TRIM, KEPT)
