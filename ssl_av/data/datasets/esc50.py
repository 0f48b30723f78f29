"""ESC-50: 2,000 sounds of 5 s, 50 classes, five official folds; sound only."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import ClassVar

from ssl_av.data.datasets._files import NameIndex
from ssl_av.data.datasets._lists import below, mistake, read_table
from ssl_av.data.datasets._official import OfficialDataset
from ssl_av.data.rows import Row

COLUMNS = ("filename", "fold", "target", "category")


@dataclass(frozen=True)
class Esc50Dataset(OfficialDataset):
    """ESC-50 by ``meta/esc50.csv`` (Piczak 2015).

    One fold tests and the other four train; published numbers are the mean over the five. There is no official
    validation split: it is drawn from the four by a hash of the paths. The list says ``.wav``; the older release's
    ``.ogg`` of the same name serves too.

    Attributes:
        root: the folder of the sounds, at any depth (``audio/<fold>-<id>-<take>-<target>.wav``).
        lists: the folder of ``esc50.csv``, if it is not in the root or in ``meta`` in it.
        fold: the fold that tests, 1 to 5.
        esc10: ESC-10, the 400 sounds of ten classes that the list marks so; its folds are the same.
    """

    modalities: ClassVar[tuple[str, ...]] = ("audio",)
    folds: ClassVar[int] = 5
    needs: ClassVar[str] = "audio/*.wav or .ogg; meta/esc50.csv"
    list_folders: ClassVar[tuple[str, ...]] = ("meta",)

    fold: int = 1
    esc10: bool = False

    def rows(self) -> tuple[list[Row], tuple[str, ...]]:
        """Every sound, and the names of the classes by their official numbers.

        Raises:
            UserError: if folder or list are missing, a line is not as it should be, or no sound is there.
        """
        fold = self.check_fold(self.fold)
        file = self.list_file("esc50.csv")
        table = read_table(file)
        at, header = next(table, (1, []))
        if tuple(header[: len(COLUMNS)]) != COLUMNS:
            raise mistake(file, at, f"the header is not {','.join(COLUMNS)} …")
        if self.esc10 and "esc10" not in header:
            raise mistake(file, at, "has no column esc10")
        files = NameIndex(self.root)
        names: dict[int, str] = {}
        rows = []
        for at, cells in table:
            if len(cells) != len(header) or not all(re.fullmatch(r"[0-9]{1,9}", cell) for cell in cells[1:3]):
                raise mistake(file, at, f"not a file name, fold, target and category: {','.join(cells)}")
            path, label = f"audio/{below(cells[0], file, at)}", int(cells[2])
            if names.setdefault(label, cells[3]) != cells[3]:
                raise mistake(file, at, f"target {label} is '{names[label]}', not '{cells[3]}'")
            if not self.esc10 or cells[header.index("esc10")] == "True":
                part = "test" if int(cells[1]) == fold else "train"
                rows.append(Row(files.find(path) or path, label, part))
        if sorted(names) != list(range(len(names))):
            raise mistake(file, at, "the targets do not count from 0 without a gap")
        files.require(rows[0].path if rows else "nothing", len(rows), file)
        kept = sorted({row.label for row in rows} if self.esc10 else names)
        number = {label: i for i, label in enumerate(kept)}
        rows = [replace(row, label=number[row.label]) for row in rows]
        return rows, tuple(names[label] for label in kept)
