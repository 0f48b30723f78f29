"""Kinetics-Sound: the classes of Kinetics-400 that are seen and heard, by the list of 32 or of 34 classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ssl_av.data.datasets._kinetics import KineticsDataset
from ssl_av.data.datasets._lists import read_lines
from ssl_av.data.rows import Row
from ssl_av.errors import unknown

LISTS = ("32", "34")
"""The shipped files ``kinetics_sound_<N>.txt``, which say where they are from."""


@dataclass(frozen=True)
class KineticsSoundDataset(KineticsDataset):
    """A part of Kinetics-400: its files and lists, but only the clips of some classes.

    Attributes:
        classes: the list of classes. 32: CrissCross's (22,000 clips). 34: the original of L3-Net, which names classes
            of Kinetics before its release; three of them (typing, fingerpicking, patting) are not in the released
            Kinetics-400, so 31 classes are left.
    """

    needs: ClassVar[str] = "what kinetics400 needs, or its clips of these classes"

    classes: int = 32

    def rows(self) -> tuple[list[Row], tuple[str, ...]]:
        """Every clip of the classes, and their names in Kinetics-400, in the order of the list.

        Raises:
            UserError: if folder or lists are missing, a line is not as it should be, or no clip is there.
        """
        names = class_list(self.classes)
        number = {name: i for i, name in enumerate(names)}
        return self.found([clip for clip in self.listed() if clip.label in number], number), names


def class_list(count: int) -> tuple[str, ...]:
    """The classes of a list by their names in Kinetics-400; those that it has not are left out.

    Args:
        count: the list's name, 32 or 34.

    Raises:
        UserError: for another list.
    """
    if str(count) not in LISTS:
        raise unknown("value of --data.classes", str(count), LISTS)
    file = Path(__file__).with_name(f"kinetics_sound_{count}.txt")
    names = []
    for _, line in read_lines(file):
        old, sign, new = (word.strip() for word in line.partition("="))
        if not old.startswith("#") and (new or not sign):
            names.append(new or old)
    return tuple(names)
