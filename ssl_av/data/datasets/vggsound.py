"""VGGSound: about 200,000 clips of 10 s from YouTube, 309 classes, official training and test split."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ssl_av.data.datasets._lists import Cells, mistake, read_table, seconds
from ssl_av.data.datasets._official import OfficialDataset
from ssl_av.data.datasets._youtube import ID, ClipIndex
from ssl_av.data.rows import Row

Listed = tuple[str, float, str, str]
"""Id, start in seconds, class, split."""


@dataclass(frozen=True)
class VggsoundDataset(OfficialDataset):
    """VGGSound by ``vggsound.csv`` (id, start, class, split; no header; Chen et al. 2020).

    Where that is not there, by the repository's older ``train.csv`` and ``test.csv`` (``<id>_<start>.mp4``, class),
    one of which is enough. The lists are looked for in the root and in ``data`` in it. There is no official
    validation split: it is drawn from the training split by a hash of the paths.

    Attributes:
        root: the folder of the clips, at any depth (``<id>_<start, 6 digits>.mp4`` or another usual naming).
        lists: the folder of the lists, if they are not in the root.
    """

    needs: ClassVar[str] = "<id>_<start>.mp4; vggsound.csv, or train.csv and test.csv"
    list_folders: ClassVar[tuple[str, ...]] = ("data",)

    def rows(self) -> tuple[list[Row], tuple[str, ...]]:
        """Every clip, and the names of the classes in alphabetical order.

        Raises:
            UserError: if folder or lists are missing, a line is not as it should be, or no clip is there.
        """
        file = self.list_file("vggsound.csv", "test.csv", "train.csv")
        if file.name == "vggsound.csv":
            listed = [_whole(cells, file, at) for at, cells in read_table(file)]
        else:
            listed = list(_parts(file.parent))
        number = {name: i for i, name in enumerate(sorted({name for _, _, name, _ in listed}))}
        files = ClipIndex(self.root)
        rows = []
        for clip, start, name, split in listed:
            path = files.find(clip, start, (split, name)) or f"{clip}_{int(start):06d}.mp4"
            rows.append(Row(path, number[name], split))
        files.require(rows[0].path if rows else "nothing", len(rows), file)
        return rows, tuple(number)


def _whole(cells: Cells, file: Path, at: int) -> Listed:
    if len(cells) != 4 or not ID.fullmatch(cells[0]) or cells[3] not in ("train", "test") or not cells[2]:
        raise mistake(file, at, f"not an id, start, class and train or test: {','.join(cells)}")
    try:
        return cells[0], seconds(cells[1]), cells[2], cells[3]
    except ValueError:
        raise mistake(file, at, f"'{cells[1]}' is not a number of seconds") from None


def _parts(folder: Path) -> Iterator[Listed]:
    for split in ("train", "test"):
        file = folder / f"{split}.csv"
        for at, cells in read_table(file) if file.is_file() else ():
            clip, _, start = cells[0].removesuffix(".mp4").rpartition("_")
            if (
                len(cells) != 2
                or not ID.fullmatch(clip)
                or not re.fullmatch(r"[0-9]{1,9}", start)
                or not cells[1]
            ):
                raise mistake(file, at, f"not <id>_<start>.mp4 and a class: {','.join(cells)}")
            yield clip, seconds(start), cells[1], split
