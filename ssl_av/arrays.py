"""Arrays in files that strangers may have written: nothing is unpickled, and nothing unpacks to more than it may."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MOST = 1 << 30
"""Bytes that the arrays of one file may unpack to; as many as the file has they may in any case."""


def read_npz(file: Path, most: int = MOST) -> dict[str, NDArray[np.generic]]:
    """All arrays of a ``.npz`` file, by name.

    Args:
        file: its path.
        most: bytes that it may unpack to.

    Raises:
        ValueError: if it is not there, damaged, too large, or holds anything but plain arrays.
    """
    try:
        if not file.is_file():
            raise ValueError("no such file")
        with zipfile.ZipFile(file) as archive:
            whole = sum(member.file_size for member in archive.infolist())
        if whole > max(most, file.stat().st_size):
            raise ValueError(f"unpacks to {whole >> 20} MiB, at most {most >> 20} are read")
        with np.load(file, allow_pickle=False) as arrays:
            return {name: _plain(name, arrays[name]) for name in arrays.files}
    except Exception as e:  # a damaged file raises anything from BadZipFile to MemoryError
        raise ValueError(" ".join(str(e).split()) or type(e).__name__) from None


def _plain(name: str, value: object) -> NDArray[np.generic]:
    if not isinstance(value, np.ndarray):  # numpy gives what is no array as bytes
        raise ValueError(f"'{name[:60]}' is no array")
    return value
