"""Reading official list files; every mistake in them is named with its file and line."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ssl_av.data.datasets._files import check_folder
from ssl_av.errors import UserError

Cells = list[str]

LONGEST = 500
"""Characters of a line that a message quotes."""


def mistake(file: Path, line: int, what: str) -> UserError:
    """An error about a line of a list; of a very long line its beginning."""
    return UserError(f"{file}, line {line}: {what if len(what) <= LONGEST else what[:LONGEST] + ' …'}")


def seconds(text: str) -> float:
    """A time in seconds.

    Raises:
        ValueError: if it is no number, or none that there is.
    """
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def read_lines(file: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their numbers, without blanks and line ends (``\\n`` or ``\\r\\n``).

    Raises:
        UserError: if the file cannot be read.
    """
    try:
        # Names on a disk are bytes: those that are no UTF-8 come back from os.walk in this same disguise.
        with file.open(encoding="utf-8-sig", errors="surrogateescape") as text:
            for at, line in enumerate(text, 1):
                if line := line.strip():
                    yield at, line
    except OSError as e:
        raise UserError(f"{file}: cannot be read ({e.strerror})") from None


def read_table(file: Path, comment: str | None = None) -> Iterator[tuple[int, Cells]]:
    """The rows of a csv file that are not blank, with the numbers of their lines, cells stripped.

    Args:
        file: in UTF-8, with or without a mark, commas between the cells.
        comment: lines that begin with it are passed over.

    Raises:
        UserError: if the file cannot be read or is not csv.
    """
    at = 0
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text, skipinitialspace=True, strict=True)
            for cells in reader:
                at = reader.line_num
                if cells and not (comment and cells[0].startswith(comment)) and any(map(str.strip, cells)):
                    yield at, [cell.strip() for cell in cells]
    except (UnicodeDecodeError, csv.Error) as e:
        raise mistake(file, at + 1, f"not a readable csv file ({e})") from None
    except OSError as e:
        raise UserError(f"{file}: cannot be read ({e.strerror})") from None


def below(path: str, file: Path, line: int) -> str:
    """The path of a list, if it stays below the root; always with ``/``.

    Raises:
        UserError: if it is absolute or leads out of the root.
    """
    parts = path.replace("\\", "/").split("/")
    if ".." in parts or not parts[0] or re.fullmatch("[A-Za-z]:", parts[0]) or "\0" in path:
        raise mistake(file, line, f"'{path}' leads out of the folder of the data set")
    return "/".join(parts)


def places(root: Path, lists: Path | None, usual: Sequence[str]) -> list[Path]:
    """Where lists may lie: the folder that the user names, else the root; and the usual folders in it.

    Raises:
        UserError: if the folder that is named is not there.
    """
    if lists is not None:
        check_folder(lists, "--data.lists")
    top = root if lists is None else lists
    return [top, *(top / name for name in usual)]


def find_list(where: Sequence[Path], *names: str) -> Path:
    """A list file: the first of the names in the first place that has one.

    Raises:
        UserError: if none has it.
    """
    for folder in where:
        for name in names:
            if (folder / name).is_file():
                return folder / name
    raise no_list(" or ".join(names), where)


def no_list(what: str, where: Sequence[Path]) -> UserError:
    """An error about a list file that is not there."""
    looked = ", ".join(str(folder) for folder in where)
    return UserError(f"no {what} in {looked}; give the folder of the official lists by --data.lists DIR")
