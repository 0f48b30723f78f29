"""DCASE 2014 (of the 2013 challenge): 200 sounds of 30 s, 10 scenes, 100 to train and 100 to test; sound only."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ssl_av.data.datasets._files import check_folder, media_files
from ssl_av.data.rows import Row
from ssl_av.errors import UserError

CLASSES = (
    "bus", "busystreet", "office", "openairmarket", "park",
    "quietstreet", "restaurant", "supermarket", "tube", "tubestation",
)  # fmt: skip

PARTS = {"scenes_stereo": "train", "scenes_stereo_testset": "test"}
"""The two official archives: the challenge's public development set, and what it tested on, published later."""

EACH = 10
"""Sounds of a scene in each part."""


@dataclass(frozen=True)
class Dcase2014Dataset:
    """The scenes of the first DCASE challenge (Stowell et al. 2015), which papers call DCASE or DCASE 2014.

    The division is that of CrissCross's official code: the development set trains, the test set tests. (The challenge
    itself cross-validated on the test set, which was secret.) There is no official validation split: it is drawn from
    the development set by a hash of the paths. The names of the files are the labels. There are no lists and the
    numbers in the names have gaps, so that a missing file cannot be named; but each part holds ten sounds of each
    scene, and those that lack are listed as ``scenes_stereo/<scene>NN (10 of 10)``.

    Attributes:
        root: the folder that the two archives were unpacked in, at any depth.
    """

    label_type: ClassVar[str] = "single"
    modalities: ClassVar[tuple[str, ...]] = ("audio",)
    folds: ClassVar[int] = 1
    needs: ClassVar[str] = "scenes_stereo/<scene>NN.wav; scenes_stereo_testset/<scene>NN.wav"

    root: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root).expanduser())

    def rows(self) -> tuple[list[Row], tuple[str, ...]]:
        """Every sound, those that lack behind the others, and the names of the scenes.

        Raises:
            UserError: if the folder or one of the two parts is missing, or a name is not that of a scene.
        """
        check_folder(self.root)
        rows = sorted(self._listed(), key=lambda row: row.path)
        for part, split in PARTS.items():
            if all(row.split != split for row in rows):
                raise UserError(f"--data.root {self.root}: no sounds in a folder '{part}' in it or below it")
        here = Counter((row.split, row.label) for row in rows)
        for part, split in PARTS.items():
            for label, scene in enumerate(CLASSES):
                lacking = range(here[split, label] + 1, EACH + 1)
                rows += [Row(f"{part}/{scene}NN ({i} of {EACH})", label, split) for i in lacking]
        return rows, CLASSES

    def _listed(self) -> Iterator[Row]:
        for parts in media_files(self.root):
            # The archives hold a folder of their own name; some unpack them into another one.
            part = next((folder for folder in reversed(parts[:-1]) if folder in PARTS), None)
            if part is None:
                continue
            # A widely used downloader puts `test_` before the names of the test set, which are the other set's too.
            match = re.fullmatch(r"(?:test_)?([a-z]+)\d\d\.\w+", parts[-1])
            path = "/".join(parts)
            if match is None or match[1] not in CLASSES:
                raise UserError(
                    f"{self.root / path}: not named <scene>NN.wav with one of {', '.join(CLASSES)}"
                )
            yield Row(path, CLASSES.index(match[1]), PARTS[part])
