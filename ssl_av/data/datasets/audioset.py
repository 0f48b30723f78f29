"""AudioSet: 2 million segments of 10 s from YouTube, 527 classes, several labels each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ssl_av.data.datasets._lists import Cells, mistake, read_table, seconds
from ssl_av.data.datasets._official import OfficialDataset
from ssl_av.data.datasets._youtube import ID, ClipIndex
from ssl_av.data.rows import Row
from ssl_av.errors import unknown

TRAIN = {
    "all": ("balanced_train_segments", "unbalanced_train_segments"),
    "balanced": ("balanced_train_segments",),
    "unbalanced": ("unbalanced_train_segments",),
}


@dataclass(frozen=True)
class AudiosetDataset(OfficialDataset):
    """AudioSet by its official segment lists and ``class_labels_indices.csv`` (Gemmeke et al. 2017).

    ``eval_segments.csv`` is the test split. There is no official validation split: it is drawn from the training
    split by a hash of the paths.

    Attributes:
        root: the folder of the clips, at any depth, named by the id, alone or with where it was cut (see
            docs/datasets.md), as videos or sounds.
        lists: the folder of the lists, if they are not in the root.
        train: the lists that train: ``balanced``, ``unbalanced`` or ``all`` (both).
        whole: files hold whole videos, out of which the lists' segments are still to be cut.
    """

    label_type: ClassVar[str] = "multi"
    needs: ClassVar[str] = "<id>….mp4 or .wav; *_segments.csv, class_labels_indices.csv"

    train: str = "all"
    whole: bool = False

    def rows(self) -> tuple[list[Row], tuple[str, ...]]:
        """Every segment, and the display names of the classes by their official numbers.

        Raises:
            UserError: if folder or lists are missing, a line is not as it should be, or no clip is there.
        """
        if self.train not in TRAIN:
            raise unknown("value of --data.train", self.train, TRAIN)
        number, classes = _classes(self.list_file("class_labels_indices.csv"))
        splits = dict.fromkeys(TRAIN[self.train], "train") | {"eval_segments": "test"}
        lists = {name: self.list_file(f"{name}.csv") for name in splits}
        files = ClipIndex(self.root)
        seen: dict[str, tuple[int, ...]] = {}  # many segments share their labels: one tuple for all of them
        rows: list[Row] = []
        for name, file in lists.items():
            split = splits[name]
            hints = (name, split)
            for at, cells in read_table(file, comment="#"):
                clip, start, end = _segment(cells, file, at)
                labels = seen.get(cells[3])
                if labels is None:
                    labels = seen[cells[3]] = _labels(cells[3], number, file, at)
                path = files.find(clip, start, hints) or f"{name}/{clip}.mp4"
                rows.append(
                    Row(path, -1, split, start, end, labels)
                    if self.whole
                    else Row(path, -1, split, labels=labels)
                )
        files.require(rows[0].path if rows else "nothing", len(rows), lists["eval_segments"])
        return rows, classes


def _classes(file: Path) -> tuple[dict[str, int], tuple[str, ...]]:
    """The number of every mid (``/m/09x0r``), and the display names."""
    number: dict[str, int] = {}
    names: list[str] = []
    for at, cells in read_table(file):
        if cells == ["index", "mid", "display_name"]:
            continue
        if len(cells) != 3 or cells[0] != str(len(names)):
            raise mistake(file, at, f"not the index {len(names)}, a mid and a name: {','.join(cells)}")
        number[cells[1]] = len(names)
        names.append(cells[2])
    return number, tuple(names)


def _segment(cells: Cells, file: Path, at: int) -> tuple[str, float, float]:
    try:
        clip, start, end, _ = cells
        if ID.fullmatch(clip):
            return clip, seconds(start), seconds(end)
    except ValueError:
        pass
    raise mistake(file, at, f"not an id, start, end and quoted labels: {', '.join(cells)}")


def _labels(text: str, number: dict[str, int], file: Path, at: int) -> tuple[int, ...]:
    mids = text.split(",")
    for mid in mids:
        if mid not in number:
            raise mistake(file, at, f"label '{mid}' is not in class_labels_indices.csv")
    return tuple(number[mid] for mid in mids)
