"""Text that strangers wrote: files of any kind and size, names with any signs."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path
from typing import Any

from ssl_av.errors import UserError

MOST = 256 << 20
"""Bytes of a text file that are read at most, if nothing else is said."""

DEEPEST = 100
"""Levels of lists and mappings in each other that are read; settings and records have less than ten."""

# Control characters, line ends of any kind, what turns the direction of writing, halves of a character.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_HALVES = re.compile(r"\\u[dD][89a-fA-F]")
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]')


def printable(text: object) -> str:
    """A text on one line whose every sign is seen: a line end is ``\\n``, a terminal's escape ``\\x1b``."""
    return _UNSEEN.sub(lambda found: ascii(found[0])[1:-1], str(text))


def file_name(text: str) -> str:
    """A text as the name of a file or a folder, which leads nowhere else."""
    return re.sub(r"[/\\\0]", "-", text)


def one_line(text: object, most: int = 2000) -> str:
    """A message on one line, the middle of a very long one left out: what it quotes may be a whole file."""
    line = printable(" ".join(str(text).splitlines()))
    return line if len(line) <= most else f"{line[: most - 500]} … {line[-500:]}"


def read_text(path: Path, most: int = MOST) -> str:
    """A text file in UTF-8, with or without a mark at its beginning.

    Args:
        path: of the file. A pipe or a device, which may never end, is not opened.
        most: bytes that it may have.

    Raises:
        UserError: if it is not there, no file, too large, or no text.
    """
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise UserError(f"{path}: {no_file(about.st_mode)}")
        if about.st_size > most:
            raise UserError(
                f"{path}: cannot be read ({about.st_size / 2**20:.0f} MiB of text, at most {most >> 20} are read)"
            )
        with path.open("rb") as file:
            return file.read(most).decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, ValueError) as e:
        raise UserError(f"{path}: cannot be read ({getattr(e, 'strerror', None) or e})") from None


def no_file(mode: int) -> str:
    """What something is that is no file, by its mode."""
    return "is a directory" if stat.S_ISDIR(mode) else "is no file but a pipe, a socket or a device"


def parse_json(text: str) -> Any:
    """What a text in JSON says.

    Raises:
        ValueError: if it is not JSON, or nested too deeply to be ours.
    """
    level = 0
    for found in _BRACKETS.finditer(text):
        level += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found[0], 0)
        if level > DEEPEST:
            raise ValueError(f"nested more than {DEEPEST} levels deep")
    value = json.loads(text)
    return _whole_signs(value) if _HALVES.search(text) else value


def read_json(path: Path, most: int = MOST) -> Any:
    """What a file in JSON says.

    Raises:
        UserError: as `read_text`, and if it is not JSON.
    """
    try:
        return parse_json(read_text(path, most))
    except ValueError as e:
        raise UserError(f"{path}: is not JSON ({one_line(e)})") from None


def _whole_signs(value: Any) -> Any:
    """The value with ``?`` for each half of a character, which no file can hold."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_whole_signs(item) for item in value]
    if isinstance(value, dict):
        return {_whole_signs(key): _whole_signs(item) for key, item in value.items()}
    return value
