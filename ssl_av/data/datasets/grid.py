"""GRID: 34 talkers, 1,000 sentences of six words each; a file's name spells its sentence."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

from ssl_av.data.datasets._files import VIDEO_SUFFIXES, check_folder, media_files
from ssl_av.data.datasets._lists import below, mistake, read_table
from ssl_av.data.rows import Row
from ssl_av.data.splits import assign_splits, split_name
from ssl_av.errors import UserError, unknown

WORDS: dict[str, dict[str, str]] = {
    "command": {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    "color": {"b": "blue", "g": "green", "r": "red", "w": "white"},
    "preposition": {"a": "at", "b": "by", "i": "in", "w": "with"},
    "letter": {letter: letter for letter in "abcdefghijklmnopqrstuvxyz"},  # w, of three syllables, is never said
    "digit": {
        "z": "zero", "1": "one", "2": "two", "3": "three", "4": "four", "5": "five", "6": "six", "7": "seven",
        "8": "eight", "9": "nine",
    },
    "adverb": {"a": "again", "n": "now", "p": "please", "s": "soon"},
}  # fmt: skip
"""The words of a sentence in their order, each by the sign that a name has for it (Cooke et al. 2006, table I)."""

NAME = re.compile(
    r"(?:(s\d{1,2})_)?(" + "".join(f"[{''.join(signs)}]" for signs in WORDS.values()) + ")", re.IGNORECASE
)
TALKER = re.compile(r"(s\d{1,2})(?![a-z0-9]).*", re.IGNORECASE)
"""A folder of a talker: ``s1``, ``s1_50kHz``, ``s1.mpg_vcd``."""


class Utterance(NamedTuple):
    """Who says what: ``s1`` (empty where neither folder nor name tells), ``bbaf2n``."""

    talker: str
    sentence: str


@dataclass(frozen=True)
class GridDataset:
    """The GRID corpus (Cooke et al. 2006) by the names of its files; any one of the six words is the label.

    There is no official division. It is that of ``labels.csv`` in the root (columns ``file`` and ``split``), where
    there is one, which then says what is listed; else 70 / 10 / 20 by a hash of the paths, evenly over the talkers;
    or by talkers. It is the same for each word, so that what was trained on one can be tested on another.

    Attributes:
        root: the folder of the files, at any depth (``s1/bbaf2n.mpg`` or ``s1_bbaf2n.mp4``).
        word: the label: ``command``, ``color``, ``preposition``, ``letter``, ``digit`` or ``adverb``.
        test_talkers: those who test and never train (``s1,s2,s20,s22``), whatever ``labels.csv`` says.
    """

    label_type: ClassVar[str] = "single"
    modalities: ClassVar[tuple[str, ...]] = ("video", "audio")
    folds: ClassVar[int] = 1
    needs: ClassVar[str] = (
        "s<talker>/<sentence>.mpg or s<talker>_<sentence>.mp4; labels.csv if it has a split"
    )

    root: Path
    word: str = "command"
    test_talkers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root).expanduser())
        # A list, where it comes from a file.
        object.__setattr__(self, "test_talkers", tuple(self.test_talkers))

    def rows(self) -> tuple[list[Row], tuple[str, ...]]:
        """Every utterance, and the word's values: digits by their size, others by the alphabet.

        Raises:
            UserError: for an unknown word or talker, or if there is no file, or one that is not named as it should be.
        """
        if self.word not in WORDS:
            raise unknown("value of --data.word", self.word, WORDS)
        check_folder(self.root)
        files = _files(self.root)
        if not files:
            raise UserError(
                f"--data.root {self.root}: no videos or sounds in it or below it whose names spell a sentence of GRID, "
                "such as s1/bbaf2n.mpg or s1_bbaf2n.mp4"
            )
        table = self.root / "labels.csv"
        listed = _listed(table) if table.is_file() else {}
        if listed and not listed.keys() & files.keys():
            raise UserError(
                f"--data.root {self.root}: holds {len(files)} utterances, but none of the {len(listed)} that {table} "
                "lists"
            )
        said = sorted(listed or files)
        paths = [files.get(one) or listed[one][0] for one in said]
        talkers = sorted({one.talker for one in said})
        given = [listed[one][1] if listed else "" for one in said]
        if self.test_talkers:
            given = self._by_talker([one.talker for one in said], talkers)
        splits = assign_splits(paths, [talkers.index(one.talker) for one in said], given)
        signs = list(WORDS[self.word])
        place = list(WORDS).index(self.word)
        rows = [
            Row(path, signs.index(one.sentence[place]), split)
            for path, one, split in zip(paths, said, splits, strict=True)
        ]
        return rows, tuple(WORDS[self.word].values())

    def _by_talker(self, spoken: list[str], talkers: Collection[str]) -> list[str]:
        """The split of each utterance; validation is drawn from the talkers who train."""
        for talker in self.test_talkers:
            if talker not in talkers:
                raise unknown("talker in --data.test_talkers", talker, talkers)
        if set(talkers) <= set(self.test_talkers):
            raise UserError(f"--data.test_talkers {','.join(self.test_talkers)}: leaves nobody to train on")
        return ["test" if talker in self.test_talkers else "train" for talker in spoken]


def _utterance(path: str) -> Utterance | None:
    """What a file holds by its name and its folders, None where the name spells no sentence."""
    *folders, name = path.split("/")
    found = NAME.fullmatch(os.path.splitext(name)[0])
    if found is None:
        return None
    talker = found[1] or next((m[1] for f in reversed(folders) if (m := TALKER.fullmatch(f))), "")
    return Utterance(talker.lower(), found[2].lower())


def _files(root: Path) -> dict[Utterance, str]:
    """The file of each utterance; a video before a sound, which the corpus has beside it; then the first by name."""
    files: dict[Utterance, str] = {}
    paths = ["/".join(parts) for parts in media_files(root)]
    for path in sorted(paths, key=lambda p: (os.path.splitext(p)[1].lower() not in VIDEO_SUFFIXES, p)):
        if utterance := _utterance(path):
            files.setdefault(utterance, path)
    return files


def _listed(table: Path) -> dict[Utterance, tuple[str, str]]:
    """Utterances of a table with their paths and splits; none where it has no column ``split``."""
    listed: dict[Utterance, tuple[str, str]] = {}
    lines = read_table(table)
    at, header = next(lines, (1, []))
    if "split" not in header:
        return listed
    if "file" not in header:
        raise mistake(table, at, "the header has a split, but no file")
    file, split = header.index("file"), header.index("split")
    for at, cells in lines:
        if len(cells) != len(header):
            raise mistake(table, at, f"{len(cells)} cells, the header has {len(header)}")
        path = below(cells[file], table, at)
        utterance, name = _utterance(path), split_name(cells[split])
        if utterance is None:
            raise mistake(table, at, f"'{path}' does not spell a sentence of GRID, such as s1/bbaf2n.mpg")
        if name is None and cells[split]:
            raise mistake(table, at, f"split '{cells[split]}' is none of train, val, test")
        if utterance in listed:
            raise mistake(table, at, f"'{path}' is the utterance of '{listed[utterance][0]}', above it")
        listed[utterance] = path, name or ""
    return listed
