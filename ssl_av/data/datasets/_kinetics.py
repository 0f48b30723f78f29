"""The Kinetics data sets: one csv a split, clips named by YouTube id and times."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

from ssl_av.data.datasets._lists import mistake, no_list, read_table
from ssl_av.data.datasets._official import OfficialDataset
from ssl_av.data.datasets._youtube import ID, ClipIndex
from ssl_av.data.rows import Row
from ssl_av.data.splits import split_name
from ssl_av.errors import UserError, unknown

NEEDED = ("youtube_id", "time_start", "time_end")


class Clip(NamedTuple):
    """A line of a list: class (empty in lists of secret labels), YouTube id, times in whole seconds, split."""

    label: str
    id: str
    start: int
    end: int
    split: str

    @property
    def path(self) -> str:
        """Where the official downloads put it."""
        folders = (self.split, self.label, f"{self.id}_{self.start:06d}_{self.end:06d}.mp4")
        return "/".join(folder for folder in folders if folder)


@dataclass(frozen=True)
class KineticsDataset(OfficialDataset):
    """A Kinetics data set by its official csv files (label, youtube_id, time_start, time_end, split).

    A list is any csv whose name ends in its split: ``train.csv``, ``validate.csv``, ``kinetics-400_val.csv`` …, in
    the root or in ``annotations`` in it; those that are there are read.

    The papers test on the validation list, and the labels of the test list came late or never. So the validation list
    is the test split, and a validation split is drawn from the training list by a hash of the paths.

    Attributes:
        root: the folder of the clips, at any depth, flat or by class (``<id>_000001_000011.mp4``: 6 digits a time).
        lists: the folder of the lists, if they are not in the root.
        test: the official list that is the test split: ``val``, or ``test``, which makes ``val`` the validation split.
    """

    needs: ClassVar[str] = (
        "<id>_<start>_<end>.mp4, 6 digits each; train.csv, val.csv or validate.csv, test.csv"
    )
    list_folders: ClassVar[tuple[str, ...]] = ("annotations",)

    test: str = "val"

    def rows(self) -> tuple[list[Row], tuple[str, ...]]:
        """Every clip of the lists, and the names of the classes in alphabetical order.

        Raises:
            UserError: if folder or lists are missing, a line is not as it should be, or no clip is there.
        """
        clips = list(self.listed())
        number = {name: i for i, name in enumerate(sorted({clip.label for clip in clips if clip.label}))}
        return self.found(clips, number), tuple(number)

    def listed(self) -> Iterator[Clip]:
        """Every line of the lists that are used."""
        if self.test not in ("val", "test"):
            raise unknown("value of --data.test", self.test, ("val", "test"))
        lists = self._lists()
        if self.test not in lists:
            raise no_list(f"list of the split '{self.test}' (such as {self.test}.csv)", self.places)
        for split in ("train", "val", *(("test",) if self.test == "test" else ())):
            if split in lists:
                yield from _clips(lists[split], split)

    def found(self, clips: list[Clip], number: dict[str, int]) -> list[Row]:
        """The rows of clips, each with its path on the disk, or the official one if it is not there.

        Args:
            clips: of the lists.
            number: of the classes.

        Raises:
            UserError: if no clip is there.
        """
        files = ClipIndex(self.root)
        rows = []
        for clip in clips:
            path = files.find(clip.id, clip.start, (clip.split, clip.label)) or clip.path
            split = "test" if clip.split == self.test else clip.split
            rows.append(Row(path, number.get(clip.label, -1), split))
        files.require(clips[0].path if clips else "nothing", len(clips), self.places[0])
        return rows

    def _lists(self) -> dict[str, Path]:
        """The list of each split."""
        found: dict[str, Path] = {}
        for folder in self.places:
            for file in sorted(folder.glob("*.csv")):
                split = split_name(re.split(r"[^A-Za-z]", file.stem)[-1])
                if split in found:
                    raise UserError(
                        f"two lists of the split '{split}': {found[split]} and {file}; "
                        "give the folder of the official lists by --data.lists DIR"
                    )
                if split:
                    found[split] = file
        return found


def _clips(file: Path, split: str) -> Iterator[Clip]:
    table = read_table(file)
    at, header = next(table, (1, []))
    if missing := [name for name in NEEDED if name not in header]:
        raise mistake(file, at, f"the header has no {' and no '.join(missing)}")
    name, start, end = map(header.index, NEEDED)
    label = header.index("label") if "label" in header else None
    for at, cells in table:
        try:
            times = int(float(cells[start])), int(float(cells[end]))
        except (ValueError, IndexError, OverflowError):
            times = -1, -1
        if len(cells) != len(header) or min(times) < 0 or not ID.fullmatch(cells[name]):
            raise mistake(file, at, f"not {','.join(header)}: {','.join(cells)}")
        clip = Clip(cells[label] if label is not None else "", cells[name], *times, split)
        if set(clip.label) & set("/\\") or clip.label == "..":
            raise mistake(file, at, f"'{clip.label}' cannot be the name of a class, which is a folder's too")
        yield clip
