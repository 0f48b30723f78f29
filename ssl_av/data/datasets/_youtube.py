"""Clips of YouTube videos, named by the video's id and where they were cut out of it."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path

from ssl_av.data.datasets._files import VIDEO_SUFFIXES, Index, media_files
from ssl_av.data.splits import split_name

ID = re.compile(r"[A-Za-z0-9_-]{11}")
"""A YouTube id: eleven letters, digits, ``_`` and ``-``; the first can be any of them."""


class ClipIndex(Index):
    """Clips by id, in any of the usual namings, flat or in any folders.

    ``ID``, ``ID_30``, ``ID_000030_000040`` (seconds), ``ID_30.000_40.000``, ``ID_30000_40000`` (milliseconds), each
    with or without a ``Y`` before the id (AudioSet's own feature files).
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        for parts in media_files(root):
            self.size += 1
            path = "/".join(parts)
            for name in _ids(_stem(path)):
                self._add(name, path)

    def find(self, name: str, start: float, hints: Collection[str] = ()) -> str | None:
        """The path of a clip relative to the root, or None.

        A clip whose name says that it was cut elsewhere is another clip. Of several, a video comes before a sound,
        one out of a folder ``replacement…`` (Kinetics-400 ships whole files for broken ones there) before others,
        then those whose folders are named by the hints; then the first by name.

        Args:
            name: the id.
            start: where the clip begins in the video, in seconds.
            hints: names that folders may have: the split (any spelling), the class.
        """
        paths = [path for path in self._get(name) if _fits(_stem(path), name, start)]
        if not paths:
            return None
        self.found += 1
        if len(paths) == 1:
            return paths[0]

        def strangeness(path: str) -> tuple[bool, bool, int, str]:
            folders = path.split("/")[:-1]
            fitting = sum(folder in hints or split_name(folder) in hints for folder in folders)
            sound = os.path.splitext(path)[1].lower() not in VIDEO_SUFFIXES
            return sound, not any(f.startswith("replacement") for f in folders), -fitting, path

        return min(paths, key=strangeness)


def _stem(path: str) -> str:
    return os.path.splitext(path[path.rfind("/") + 1 :])[0]


def _ids(stem: str) -> list[str]:
    """What may be the id in a name; two answers only for a few that begin with Y."""
    return [
        stem[at : at + 11] for at in (0, 1) if _tail(stem, at) is not None and (at == 0 or stem[0] == "Y")
    ]


def _tail(stem: str, at: int) -> str | None:
    """What follows the id that begins at a place, None if that cannot be one."""
    rest = stem[at + 11 :]
    if len(stem) < at + 11 or (rest and rest[0] != "_"):
        return None
    return rest[1:]


def _fits(stem: str, name: str, start: float) -> bool:
    tail = _tail(stem, 0 if stem.startswith(name) else 1)
    if not tail:
        return True
    try:
        said = float(tail.split("_")[0])
        return said in (start, int(start), round(1000 * start))
    except (ValueError, OverflowError):
        return True  # not a time: a quality or the like
