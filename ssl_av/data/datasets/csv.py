"""A table of videos: one row a sample, a path column, any label columns, an optional split column."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ssl_av.data.datasets._files import outside, relative_path
from ssl_av.data.datasets._lists import seconds
from ssl_av.data.rows import Row
from ssl_av.data.splits import split_name
from ssl_av.errors import UserError, unknown

PATHS = ("path", "file", "filename", "video", "filepath", "video_path", "clip")
LABELS = ("label", "class", "category")


@dataclass(frozen=True)
class CsvDataset:
    """Samples listed in a text file in UTF-8 with a header line; commas, semicolons or tabs between the cells.

    Paths are absolute or relative to the root, and lie below it. Columns ``start`` and ``end`` (seconds), where there
    are any, cut a sample out of its file. Without a column of splits, splits are drawn by a hash of the paths. Other
    columns are passed over.

    Attributes:
        file: the table.
        root: what its paths are relative to; the table's own folder by default.
        label: column with the class names; by default label, class or category, if one is there.
        path: column with the paths; by default the first of path, file, filename, video … that is there.
        split: column with train, val or test; by default ``split``, if it is there.
        label_separator: what stands between several labels in one cell, e.g. ``|``; then samples have many labels
            each. Without it a cell is one label, whatever is in it.
    """

    label_type: ClassVar[str] = "single"
    modalities: ClassVar[tuple[str, ...]] = ("video", "audio")
    folds: ClassVar[int] = 1
    needs: ClassVar[str] = "one table with a header; files below the root"

    file: Path
    root: Path = None  # type: ignore[assignment]  # becomes a Path below
    label: str | None = None
    path: str | None = None
    split: str | None = None
    label_separator: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "file", Path(self.file).expanduser())
        object.__setattr__(self, "root", Path(self.root).expanduser() if self.root else self.file.parent)
        if self.label_separator:
            object.__setattr__(self, "label_type", "multi")

    def rows(self) -> tuple[list[Row], tuple[str, ...]]:
        """Every line of the table, and the names of the classes.

        Raises:
            UserError: if the file, the folder, a column or a path is missing, or a cell is not what it should be.
        """
        header, lines = self._table()
        path = self._column("path", self.path, header, PATHS)
        if path is None:
            raise UserError(
                f"--data.file {self.file}: name its column of paths by --data.path (it has {', '.join(header)})"
            )
        label = self._column("label", self.label, header, LABELS)
        split = self._column("split", self.split, header, ("split",))
        start, end = (self._column(name, None, header, (name,)) for name in ("start", "end"))
        if self.label_separator and label is None:
            raise UserError(
                f"{self.file}: name its column of labels by --data.label (it has {', '.join(header)})"
            )
        named = [self._labels(line[label]) if label else [] for _, line in lines]
        classes = _classes([name for names in named for name in names])
        number = {name: i for i, name in enumerate(classes)}
        root = Path(os.path.abspath(self.root))
        rows = []
        for (at, line), names in zip(lines, named, strict=True):
            if not line[path]:
                raise UserError(f"{self.file}, line {at}: no path in column '{path}'")
            if outside(relative_path(line[path], root)):
                raise UserError(
                    f"{self.file}, line {at}: '{line[path]}' leads out of the root {root}; --data.root names a folder "
                    "that holds all files"
                )
            rows.append(
                Row(
                    path=line[path],
                    label=number[names[0]] if names and not self.label_separator else -1,
                    split=self._split(line[split], at) if split else "",
                    start=self._seconds(line, start, at) or 0.0,
                    end=self._seconds(line, end, at),
                    labels=tuple(number[name] for name in names) if self.label_separator else (),
                )
            )
        return rows, classes

    def _table(self) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
        """The column names, and each line's number with its cells."""
        if not self.root.is_dir():
            raise UserError(f"--data.root {self.root}: no such folder")
        try:
            header, *lines = self._cells()
        except FileNotFoundError:
            raise UserError(f"--data.file {self.file}: no such file") from None
        except IsADirectoryError:
            tables = sorted(f.name for f in self.file.iterdir() if f.suffix in (".csv", ".tsv"))
            there = f"; in it: {', '.join(tables[:5])}" if tables else ""
            raise UserError(f"--data.file {self.file}: is a folder; name the table{there}") from None
        except (OSError, UnicodeDecodeError, csv.Error) as e:
            raise UserError(f"--data.file {self.file}: not a readable CSV file ({e})") from None
        except ValueError:
            raise UserError(f"--data.file {self.file}: is empty") from None
        if not lines:
            raise UserError(f"--data.file {self.file}: has no rows under its header")
        for at, cells in lines:
            if len(cells) != len(header[1]):
                count = f"{len(cells)} cells, the header has {len(header[1])}"
                raise UserError(f"{self.file}, line {at}: {count}")
        return header[1], [(at, dict(zip(header[1], cells, strict=True))) for at, cells in lines]

    def _cells(self) -> Iterator[tuple[int, list[str]]]:
        """The lines that are not blank, with their numbers."""
        with self.file.open(encoding="utf-8-sig", newline="") as text:
            first = text.readline()
            text.seek(0)
            reader = csv.reader(text, delimiter=max(",;\t", key=first.count))
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield reader.line_num, [cell.strip() for cell in cells]

    def _column(
        self, what: str, named: str | None, header: Sequence[str], usual: Sequence[str]
    ) -> str | None:
        """The column that the user names, or the first of the usual ones that is there."""
        if named and named not in header:
            raise unknown(f"column for --data.{what} in {self.file}", named, header)
        if named:
            return named
        return next((c for u in usual for c in header if c.lower() == u), None)

    def _labels(self, text: str) -> list[str]:
        """The different labels of a cell; an empty one is none."""
        names = text.split(self.label_separator) if self.label_separator else [text]
        return list(dict.fromkeys(name.strip() for name in names if name.strip()))

    def _split(self, text: str, at: int) -> str:
        name = split_name(text)
        if name is None and text:
            raise UserError(f"{self.file}, line {at}: split '{text}' is none of train, val, test")
        return name or ""

    def _seconds(self, line: Mapping[str, str], column: str | None, at: int) -> float | None:
        text = line[column] if column else ""
        try:
            return seconds(text) if text else None
        except ValueError:
            raise UserError(f"{self.file}, line {at}: {column} '{text}' is not a number of seconds") from None


def _classes(labels: Sequence[str]) -> tuple[str, ...]:
    """The different labels: whole numbers by size, else by name."""
    names = set(labels)
    numbers = all(name.isdecimal() and len(name) < 19 for name in names)
    return tuple(sorted(names, key=int) if numbers else sorted(names))
