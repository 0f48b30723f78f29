"""HMDB51: 6,766 clips of 51 actions, three official splits of 70 + 30 a class."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ssl_av.data.datasets._files import NameIndex
from ssl_av.data.datasets._lists import below, mistake, no_list, read_lines
from ssl_av.data.datasets._official import OfficialDataset
from ssl_av.data.rows import Row

TAGS = {"0": "", "1": "train", "2": "test"}
"""What stands behind a name in a list; 0 is a clip that the split does not use."""


@dataclass(frozen=True)
class Hmdb51Dataset(OfficialDataset):
    """HMDB51 by ``<class>_test_split<N>.txt``, one list a class (Kuehne et al. 2011).

    The lists are looked for in the root and in ``testTrainMulti_7030_splits`` in it. There is no official validation
    split: it is drawn from the training split by a hash of the paths.

    Attributes:
        root: the folder of the clips, at any depth (``<class>/<name>.avi``).
        lists: the folder of the lists, if they are not in the root.
        fold: the official split, 1, 2 or 3.
    """

    modalities: ClassVar[tuple[str, ...]] = ("video",)
    folds: ClassVar[int] = 3
    needs: ClassVar[str] = "<class>/<name>.avi; testTrainMulti_7030_splits/<class>_test_split<N>.txt"
    list_folders: ClassVar[tuple[str, ...]] = ("testTrainMulti_7030_splits",)

    fold: int = 1

    def rows(self) -> tuple[list[Row], tuple[str, ...]]:
        """Every clip that the split uses, and the names of the classes.

        Raises:
            UserError: if folder or lists are missing, a line is not as it should be, or no clip is there.
        """
        files = _lists(self.places, self.check_fold(self.fold))
        disk = NameIndex(self.root)
        rows = []
        for label, (name, file) in enumerate(files.items()):
            for at, line in read_lines(file):
                clip, _, tag = line.rpartition(" ")  # names have brackets, signs, anything but a blank
                if tag not in TAGS or not clip:
                    raise mistake(file, at, f"'{line}' is not a name and 0, 1 or 2")
                path = f"{name}/{below(clip.strip(), file, at)}"
                if split := TAGS[tag]:
                    rows.append(Row(disk.find(path) or path, label, split))
        disk.require(rows[0].path if rows else "nothing", len(rows), next(iter(files.values())).parent)
        return rows, tuple(files)


def _lists(places: Sequence[Path], fold: int) -> dict[str, Path]:
    """The classes in alphabetical order, each with its list; from the first place that has lists."""
    pattern = re.compile(rf"(.+)_test_split{fold}\.txt")
    for folder in places:
        found = {m[1]: f for f in folder.glob(f"*_test_split{fold}.txt") if (m := pattern.fullmatch(f.name))}
        if found:
            return dict(sorted(found.items()))
    raise no_list(f"<class>_test_split{fold}.txt", places)
