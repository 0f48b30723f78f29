"""UCF101: 13,320 clips of 101 actions, three official splits; sound in half of the classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ssl_av.data.datasets._files import NameIndex
from ssl_av.data.datasets._lists import below, mistake, read_lines
from ssl_av.data.datasets._official import OfficialDataset
from ssl_av.data.rows import Row


@dataclass(frozen=True)
class Ucf101Dataset(OfficialDataset):
    """UCF101 by ``classInd.txt``, ``trainlist0N.txt`` and ``testlist0N.txt`` (Soomro et al. 2012).

    The lists are looked for in the root and in ``ucfTrainTestlist`` in it. There is no official validation split: it
    is drawn from the training split by a hash of the paths.

    Attributes:
        root: the folder of the clips, at any depth (``<Class>/v_<Class>_gXX_cYY.avi``).
        lists: the folder of the lists, if they are not in the root.
        fold: the official split, 1, 2 or 3.
    """

    modalities: ClassVar[tuple[str, ...]] = ("video",)  # 51 of the classes have sound
    folds: ClassVar[int] = 3
    needs: ClassVar[str] = "<Class>/v_<Class>_gXX_cYY.avi; ucfTrainTestlist/*.txt"
    list_folders: ClassVar[tuple[str, ...]] = ("ucfTrainTestlist",)

    fold: int = 1

    def rows(self) -> tuple[list[Row], tuple[str, ...]]:
        """Every clip of the split, and the names of the classes.

        Raises:
            UserError: if folder or lists are missing, a line is not as it should be, or no clip is there.
        """
        fold = self.check_fold(self.fold)
        index = self.list_file("classInd.txt")
        train, test = (self.list_file(f"{part}list{fold:02d}.txt") for part in ("train", "test"))
        number = _classes(index)
        files = NameIndex(self.root)
        rows = []
        for split, file in (("train", train), ("test", test)):
            for path, label in _listed(file, number):
                rows.append(Row(files.find(path) or path, label, split))
        files.require(rows[0].path if rows else "nothing", len(rows), train)
        return rows, tuple(number)


def _classes(file: Path) -> dict[str, int]:
    """Names of the classes with their numbers from 0; the file counts from 1."""
    number: dict[str, int] = {}
    for at, line in read_lines(file):
        first, _, name = line.partition(" ")
        if first != str(len(number) + 1) or not name:
            raise mistake(file, at, f"'{line}' is not '{len(number) + 1} <Class>'")
        number[name] = len(number)
    return number


def _listed(file: Path, number: dict[str, int]) -> Iterator[tuple[str, int]]:
    """Path and label of every line ``Class/v_Class_gXX_cYY.avi [number]``."""
    for at, line in read_lines(file):
        path, _, given = line.partition(" ")
        folder = path.partition("/")[0]
        if folder not in number:
            raise mistake(file, at, f"'{line}' does not begin with one of the classes of classInd.txt")
        if given and given != str(number[folder] + 1):
            raise mistake(file, at, f"'{folder}' is class {number[folder] + 1}, not {given}")
        yield below(path, file, at), number[folder]
