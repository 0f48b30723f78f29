"""Media files below a folder: the disk is listed once, then every name is looked up in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ssl_av.errors import UserError

VIDEO_SUFFIXES = frozenset(
    {".3gp", ".asf", ".avi", ".divx", ".flv", ".m2ts", ".m2v", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"}
    | {".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"}
)  # fmt: skip
SOUND_SUFFIXES = frozenset(
    {".aac", ".aif", ".aiff", ".au", ".flac", ".m4a", ".mka", ".mp2", ".mp3", ".oga", ".ogg", ".opus", ".wav", ".wma"}
)  # fmt: skip
SUFFIXES = VIDEO_SUFFIXES | SOUND_SUFFIXES
"""Files that are taken for videos or sounds; others (texts, pictures, archives) are passed over."""


def check_folder(folder: Path, option: str = "--data.root") -> None:
    """Raises a `UserError` where there is no such folder."""
    if not folder.is_dir():
        problem = "is not a folder" if folder.exists() else "no such folder"
        raise UserError(f"{option} {folder}: {problem}")


def relative_path(path: str, root: Path) -> str:
    """The path from the root, or the absolute one where it is not below it; always with ``/``."""
    full = Path(os.path.normpath(os.path.join(root, path)))
    return (full.relative_to(root) if full.is_relative_to(root) else full).as_posix()


def outside(path: str) -> bool:
    """Whether what `relative_path` gave leads out of the root."""
    return os.path.isabs(path)


def media_files(root: Path) -> Iterator[tuple[str, ...]]:
    """The parts of each media file's path below ``root``.

    Links are followed, but never in a circle. Hidden files and folders are passed over.
    """
    seen = {os.path.realpath(root)}
    for folder, folders, files in os.walk(root, followlinks=True):
        below = Path(folder).relative_to(root).parts
        kept = []
        for name in sorted(folders):
            real = os.path.realpath(os.path.join(folder, name))
            if not name.startswith(".") and real not in seen:
                seen.add(real)
                kept.append(name)
        folders[:] = kept
        for name in files:
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES:
                yield (*below, name)


class Index:
    """Paths by a key; the common key with one path costs no list.

    Attributes:
        root: what was listed.
        size: number of files.
        found: number of look-ups that found one.
    """

    def __init__(self, root: Path) -> None:
        check_folder(root)
        self.root = root
        self.size = 0
        self.found = 0
        self._paths: dict[str, str | list[str]] = {}

    def _add(self, key: str, path: str) -> None:
        other = self._paths.setdefault(key, path)
        if isinstance(other, list):
            other.append(path)
        elif other is not path:
            self._paths[key] = [other, path]

    def _get(self, key: str) -> Sequence[str]:
        paths = self._paths.get(key, ())
        return (paths,) if isinstance(paths, str) else paths

    def require(self, listed: str, count: int, file: Path) -> None:
        """Raises a `UserError` if not one look-up has found its file: then it is the wrong folder.

        Args:
            listed: one path that was looked for.
            count: how many were.
            file: the list that they stand in.
        """
        if not self.found:
            raise UserError(
                f"--data.root {self.root}: holds {self.size} videos or sounds, at any depth, but none of the {count} "
                f"that {file} lists, such as {listed[:200]}"
            )


class NameIndex(Index):
    """Files by their name, whatever the folder, the ending and the case of letters.

    Lists say ``HandstandPushups/v_HandStandPushups_g01_c01.avi`` where disks have another case, a folder more
    (``UCF-101/``) or another container after a re-encoding.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        for parts in media_files(root):
            self.size += 1
            self._add(_stem(parts[-1]).casefold(), "/".join(parts))

    def find(self, listed: str) -> str | None:
        """The path of a listed file, relative to the root, or None.

        Of several, the one in the listed folder comes first, then the one with the listed ending.
        """
        folder, _, name = listed.rpartition("/")
        paths = self._get(_stem(name).casefold())
        if not paths:
            return None
        self.found += 1
        if len(paths) == 1:
            return paths[0]

        def strangeness(path: str) -> tuple[bool, bool, str]:
            above, _, here = path.rpartition("/")
            near = above.rpartition("/")[2].casefold() == folder.rpartition("/")[2].casefold()
            return not near, os.path.splitext(here)[1] != os.path.splitext(name)[1], path

        return min(paths, key=strangeness)


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]
