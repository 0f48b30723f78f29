"""Features on the disk that are not as they were written: told, and never taken for features."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ssl_av.errors import UserError
from ssl_av.whole import checksum

BROKEN = (ValueError, EOFError, LookupError, TypeError, AttributeError, zipfile.BadZipFile)


@contextmanager
def damage_told(folder: Path, *more: type[Exception]) -> Iterator[None]:
    """Raises a `UserError` in place of what a library says of a file of a pass that it cannot read.

    Args:
        folder: of the pass.
        *more: further kinds of error; the system's only where nothing is written, for a disk may be full.
    """
    try:
        yield
    except BROKEN + more as e:
        raise UserError(
            f"{folder}: features that cannot be read ({e}); remove the folder, and they are made anew"
        ) from None


_CHECKED: set[tuple[str, int, int]] = set()


def check_whole(folder: Path, names: Iterable[str], sums: Mapping[str, int]) -> None:
    """Compares files with their checksums, each file once: features that a disk has spoilt make wrong results.

    Args:
        folder: of a pass.
        names: of its files.
        sums: by name; those of before there were any have none.

    Raises:
        ValueError: if one is not as it was written.
    """
    for name in sums.keys() & set(names):
        state = (folder / name).stat()
        seen = str(folder / name), state.st_size, state.st_mtime_ns
        if seen not in _CHECKED and checksum(folder / name) != sums[name]:
            raise ValueError(f"{name} is not as it was written")
        _CHECKED.add(seen)
