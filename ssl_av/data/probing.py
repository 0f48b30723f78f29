"""Opening the files of a dataset once, to see what they hold."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TextIO

from ssl_av.data.media import Limits, MediaError, MediaInfo, Reader, create_reader
from ssl_av.data.processes import TEMPORARY, Failed, in_processes
from ssl_av.whole import only_a_file

VERSION = 4
"""Part of a cached manifest's name: raise it whenever the same files would give another manifest."""


MISSING = "no such file"
"""What a reader says of a listed file that is not on the disk."""


@dataclass(frozen=True)
class Probe:
    """Opens files with a reader; can be sent to another process.

    Attributes:
        root: what the paths are relative to.
        reader: a reader, or its name.
        limits: of one that is made by its name.
    """

    root: Path
    reader: Reader | str
    limits: Limits = Limits()

    def __call__(self, path: str) -> MediaInfo | Failed:
        """What a file holds, or why it cannot be read."""
        reader = _reader(self.reader, self.limits) if isinstance(self.reader, str) else self.reader
        try:
            return reader.probe(os.path.join(self.root, path))
        except MediaError as e:
            return Failed(str(e))


_reader = cache(create_reader)


def probe_files(
    paths: Iterable[str],
    root: Path,
    reader: Reader,
    workers: int = 0,
    progress: bool = False,
    journal: Path | None = None,
    limit: float = 60.0,
    limits: Limits = Limits(),
) -> dict[str, MediaInfo | str]:
    """What each file holds, or why it cannot be read.

    Args:
        paths: relative to ``root``; each different one is opened once.
        root: a folder.
        reader: the backend; for processes it is made anew by its name.
        workers: processes, so that a file that its decoder does not come back from or dies of is left out like any
            other; 0 opens the files in this process, without limits.
        progress: whether to show a bar with the time left.
        journal: a folder where each answer is written down as it comes, so that an interrupted run, killed even,
            goes on where it stopped, and a longer list opens only what is new. A file that has changed since (size
            or date) is opened again, and so is one that was given up for its time or for the death of its process.
        limit: seconds that one file may take.
        limits: the reader's own, what is read of a file at most.
    """
    names = list(dict.fromkeys(paths))
    kept = Journal(journal, root, kind(reader.name, limits)) if journal is not None else None
    known = kept.read(names) if kept else {}
    rest = [name for name in names if name not in known]
    answers: dict[str, MediaInfo | str] = {**dict.fromkeys(rest, MISSING), **known}
    here = rest
    found: Iterable[tuple[str, MediaInfo | Failed]]
    if workers:  # half a list may be gone: that is not worth asking another process
        here = [name for name in rest if os.path.lexists(os.path.join(root, name))]
        found = in_processes(
            Probe(root, reader.name, limits), here, workers, limit, int(limits.memory * 2**30)
        )
    else:
        found = _one_by_one(Probe(root, reader), here)
    states = {name: file_state(os.path.join(root, name)) for name in here} if kept else {}
    if progress and here:
        from rich.console import Console
        from rich.progress import track

        bar = Console(stderr=True)
        found = track(found, "opening the files", total=len(here), console=bar, transient=True)
    try:
        for name, answer in found:
            answers[name] = answer.reason if isinstance(answer, Failed) else answer
            if kept and answers[name] != MISSING and not temporary(answers[name]):
                kept.write(name, states[name], answers[name])
    finally:
        if kept:
            kept.close()
    return {name: answers[name] for name in names}


def kind(reader: str, limits: Limits) -> str:
    """A name for what the answers depend on besides the files."""
    return reader if limits == Limits() else f"{reader} {limits}"


def temporary(answer: MediaInfo | str) -> bool:
    """Whether it is a reason that may lie in the machine: another time the file may be readable."""
    return isinstance(answer, str) and answer.startswith(TEMPORARY)


def _one_by_one(probe: Probe, paths: Iterable[str]) -> Iterator[tuple[str, MediaInfo | Failed]]:
    return ((path, probe(path)) for path in paths)


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
        self._file: TextIO | None = None

    def read(self, names: Iterable[str]) -> dict[str, MediaInfo | str]:
        """What is known of these files and still holds."""
        wanted, found = set(names), {}
        try:
            only_a_file(self.path)
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return {}
        for line in lines:
            try:
                path, state, answer, *kept = json.loads(line)
                if kept and kept != [_sum(path, state, answer)]:
                    raise ValueError("not as it was written")
                if path in wanted and tuple(state) == file_state(os.path.join(self.root, path)):
                    found[path] = MediaInfo(**answer) if isinstance(answer, dict) else str(answer)
            except (ValueError, TypeError, RecursionError):  # as the last line of a run that was killed
                continue
        return found

    def write(self, path: str, state: tuple[int, int], answer: MediaInfo | str) -> None:
        """Appends one answer."""
        told = asdict(answer) if isinstance(answer, MediaInfo) else answer
        line = json.dumps((path, state, told, _sum(path, state, told)))
        if self._file is None:
            # A line without an end is what a killed run leaves: the next must not be glued to it.
            only_a_file(self.path)
            self._file = self.path.open("a", encoding="utf-8")
            self._file.write("\n" if self._file.tell() else "")
        self._file.write(line + "\n")
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()


def _sum(path: str, state: Sequence[int], answer: object) -> int:
    """A checksum of an answer: a wrong length would make other results, and nobody would know."""
    return zlib.crc32(json.dumps((path, list(state), answer)).encode())


def fingerprint(
    rows: Sequence[tuple[object, ...]], paths: Sequence[str], classes: Sequence[str], root: Path, reader: str
) -> str:
    """A name for all that a manifest depends on: the rows, and the sizes and dates of the files."""
    digest = hashlib.sha256(repr((VERSION, reader, str(root), tuple(classes))).encode())
    states: dict[str, tuple[int, int]] = {}
    for row, path in zip(rows, paths, strict=True):
        if path not in states:
            states[path] = file_state(os.path.join(root, path))
        digest.update(repr((row, states[path])).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]


def file_state(path: str) -> tuple[int, int]:
    """Size and date of a file, by which another one of the same name is told; -1 of none."""
    try:
        stat = os.stat(path)
    except (OSError, ValueError):
        return -1, -1
    return stat.st_size, stat.st_mtime_ns
