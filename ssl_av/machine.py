"""What is said of a machine that fails a command: a disk that is full or cannot be written, memory that ends."""

from __future__ import annotations

import errno

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
TAKEN = (errno.EISDIR, errno.EEXIST, errno.ENOTDIR)
"""A folder lies where a file is to be, or a file where a folder is."""
UNWRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, *TAKEN)

NO_MEMORY = (
    "out of memory",  # a GPU's
    "can't allocate memory",  # torch
    "cannot allocate memory",  # the system, of a library that is loaded late
    "failed to map segment",
    "can't start new thread",
    "storage size calculation overflowed",  # torch, of a network that no memory holds
)


def of_the_disk(error: BaseException) -> OSError | None:
    """The error of a disk that is behind an error, into whatever a library has turned it; None if none is."""
    seen: BaseException | None = error
    while seen is not None and not (isinstance(seen, OSError) and seen.errno in (*FULL, *UNWRITABLE)):
        seen = seen.__cause__ or seen.__context__
    return seen if isinstance(seen, OSError) else None


def told(error: OSError) -> str:
    """What it says, and of which file; the system names none for a write that did not fit."""
    # Of a file that was to be renamed, its name in the end.
    name = next((n for n in (error.filename2, error.filename) if isinstance(n, str)), None)
    return f"{name}: {error.strerror}" if name else str(error.strerror)


def of_memory(error: BaseException | None) -> bool:
    """Whether memory, or the address space, was not there."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    if isinstance(error, OSError | RuntimeError | ImportError):
        return any(words in str(error).lower() for words in NO_MEMORY) or of_memory(error.__cause__)
    return False


def explained(error: BaseException) -> str | None:
    """The line for a command that such an error ended; None for any other error."""
    if of_memory(error):
        return (
            "out of memory: end other processes, or ask for smaller batches, fewer clips or fewer processes"
        )
    seen = of_the_disk(error) if isinstance(error, OSError) else None
    if seen is None:
        return None
    return (
        f"{told(seen)}; make room, see to the rights of the file and its folder, or give another folder; then give the "
        "same command again"
    )
