"""Opening the files of a dataset once, to see what they hold."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ssl_av.data.media import MediaError, MediaInfo, Reader

VERSION = 1
"""Part of a cached manifest's name: raise it whenever the same files would give another manifest."""


def relative_path(path: str, root: Path) -> str:
    """The path from the root, or the absolute one where it is not below it; always with ``/``."""
    full = Path(os.path.normpath(os.path.join(root, path)))
    return (full.relative_to(root) if full.is_relative_to(root) else full).as_posix()


def probe_files(
    paths: Iterable[str], root: Path, reader: Reader, workers: int = 1, progress: bool = False
) -> dict[str, MediaInfo | str]:
    """What each file holds, or why it cannot be read.

    Args:
        paths: relative to ``root``; each different one is opened once.
        root: a folder.
        reader: the backend.
        workers: threads; opening files is mostly waiting for them.
        progress: whether to show a bar.
    """

    def probe(path: str) -> MediaInfo | str:
        try:
            return reader.probe(os.path.join(root, path))
        except MediaError as e:
            return str(e)

    names = list(dict.fromkeys(paths))
    with ThreadPoolExecutor(max(workers, 1)) as pool:
        found: Iterable[MediaInfo | str] = pool.map(probe, names)
        if progress:
            from rich.console import Console
            from rich.progress import track

            bar = Console(stderr=True)
            found = track(found, "opening the files", total=len(names), console=bar, transient=True)
        return dict(zip(names, found, strict=True))


def fingerprint(
    rows: Sequence[tuple[object, ...]], paths: Sequence[str], classes: Sequence[str], root: Path, reader: str
) -> str:
    """A name for all that a manifest depends on: the rows, and the sizes and dates of the files."""
    digest = hashlib.sha256(repr((VERSION, reader, str(root), tuple(classes))).encode())
    states: dict[str, tuple[int, int]] = {}
    for row, path in zip(rows, paths, strict=True):
        if path not in states:
            states[path] = _state(os.path.join(root, path))
        digest.update(repr((row, states[path])).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]


def _state(path: str) -> tuple[int, int]:
    try:
        stat = os.stat(path)
    except (OSError, ValueError):
        return -1, -1
    return stat.st_size, stat.st_mtime_ns
