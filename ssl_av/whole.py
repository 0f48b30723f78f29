"""Files that are whole or not there: what a reader finds under a name was written to its end."""

from __future__ import annotations

import contextlib
import errno
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any


@contextlib.contextmanager
def whole_file(path: Path, mode: str = "w", before: Callable[[], None] | None = None) -> Iterator[IO[Any]]:
    """A file to write that takes its name only when all of it is on the disk.

    Until then it lies beside, as ``NAME.part``; if writing fails, the old file stays and the new one is removed.

    Args:
        path: its name in the end.
        mode: ``w`` (UTF-8, line ends as written) or ``wb``.
        before: called when all of it is on the disk, and the old file is still there.
    """
    part = path.with_name(path.name + ".part")
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
    try:
        with part.open(mode, **text) as file:  # type: ignore[call-overload]
            yield file
            file.flush()
            os.fsync(file.fileno())
        if before is not None:
            before()
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def only_a_file(path: Path) -> None:
    """Before a file is opened to add to it: a pipe would be waited for, and keeps nothing.

    Raises:
        FileExistsError: if something lies there that is no file.
    """
    if os.path.lexists(path) and not path.is_file():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


def checksum(file: Path) -> int:
    """CRC-32 of a file's bytes."""
    found = 0
    with file.open("rb") as f:
        while block := f.read(2**22):
            found = zlib.crc32(block, found)
    return found


def sync_folder(folder: Path) -> None:
    """Forces the names in a folder to disk, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
