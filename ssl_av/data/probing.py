"""Opening the files of a dataset once, to see what they hold."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from ssl_av.data.media import MediaError, MediaInfo, Reader

VERSION = 2
"""Part of a cached manifest's name: raise it whenever the same files would give another manifest."""


MISSING = "no such file"
"""What a reader says of a listed file that is not on the disk."""


def relative_path(path: str, root: Path) -> str:
    """The path from the root, or the absolute one where it is not below it; always with ``/``."""
    full = Path(os.path.normpath(os.path.join(root, path)))
    return (full.relative_to(root) if full.is_relative_to(root) else full).as_posix()


def probe_files(
    paths: Iterable[str],
    root: Path,
    reader: Reader,
    workers: int = 1,
    progress: bool = False,
    journal: Path | None = None,
) -> dict[str, MediaInfo | str]:
    """What each file holds, or why it cannot be read.

    Args:
        paths: relative to ``root``; each different one is opened once.
        root: a folder.
        reader: the backend.
        workers: threads; opening files is mostly waiting for them.
        progress: whether to show a bar with the time left.
        journal: a folder where each answer is written down as it comes, so that an interrupted run, killed even,
            goes on where it stopped, and a longer list opens only what is new. A file that has changed since (size
            or date) is opened again.
    """
    names = list(dict.fromkeys(paths))
    kept = Journal(journal, root, reader.name) if journal is not None else None
    known = kept.read(names) if kept else {}
    rest = [name for name in names if name not in known]

    def probe(path: str) -> MediaInfo | str:
        full = os.path.join(root, path)
        state = _state(full)
        try:
            found: MediaInfo | str = reader.probe(full)
        except MediaError as e:
            found = str(e)
        if kept and found != MISSING:
            kept.write(path, state, found)
        return found

    with ThreadPoolExecutor(max(workers, 1)) as pool:
        found: Iterable[MediaInfo | str] = pool.map(probe, rest)
        if progress and rest:
            from rich.console import Console
            from rich.progress import track

            bar = Console(stderr=True)
            found = track(found, "opening the files", total=len(rest), console=bar, transient=True)
        try:
            answers = dict(zip(rest, found, strict=True))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        finally:
            if kept:
                kept.close()
    return {name: known[name] if name in known else answers[name] for name in names}


class Journal:
    """Answers of the prober, one JSON line each, appended as they come.

    Args:
        folder: where the journals are; made if need be.
        root: the data set's folder.
        reader: the backend's name; each (root, reader) has a file of its own.
    """

    def __init__(self, folder: Path, root: Path, reader: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256(repr((VERSION, str(root), reader)).encode()).hexdigest()[:16]
        self.root, self.path = root, folder / f"{name}.jsonl"
        self._lock = threading.Lock()
        self._file: TextIO | None = None

    def read(self, names: Iterable[str]) -> dict[str, MediaInfo | str]:
        """What is known of these files and still holds."""
        wanted, found = set(names), {}
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except OSError:
            return {}
        for line in lines:
            try:
                path, state, answer = json.loads(line)
            except ValueError:  # the last line of a run that was killed
                continue
            if path in wanted and tuple(state) == _state(os.path.join(self.root, path)):
                found[path] = MediaInfo(**answer) if isinstance(answer, dict) else str(answer)
        return found

    def write(self, path: str, state: tuple[int, int], answer: MediaInfo | str) -> None:
        """Appends one answer; from any thread."""
        line = json.dumps((path, state, asdict(answer) if isinstance(answer, MediaInfo) else answer))
        with self._lock:
            if self._file is None:
                # A line without an end is what a killed run leaves: the next must not be glued to it.
                self._file = self.path.open("a", encoding="utf-8")
                self._file.write("\n" if self._file.tell() else "")
            self._file.write(line + "\n")
            self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()


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
