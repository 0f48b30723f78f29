"""What the data sets with official lists have in common."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ssl_av.data.datasets._lists import find_list, places
from ssl_av.errors import UserError


@dataclass(frozen=True)
class OfficialDataset:
    """A folder of media, and the official lists, in it or elsewhere.

    Attributes:
        root: the folder of the media, at any depth.
        lists: the folder of the official lists; by default they are looked for in ``root``.
    """

    label_type: ClassVar[str] = "single"
    modalities: ClassVar[tuple[str, ...]] = ("video", "audio")
    folds: ClassVar[int] = 1
    needs: ClassVar[str] = ""
    list_folders: ClassVar[tuple[str, ...]] = ()

    root: Path
    lists: Path | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root).expanduser())
        if self.lists is not None:
            object.__setattr__(self, "lists", Path(self.lists).expanduser())

    @property
    def places(self) -> list[Path]:
        """The folders in which the lists are looked for."""
        return places(self.root, self.lists, self.list_folders)

    def list_file(self, *names: str) -> Path:
        """An official list by its name.

        Raises:
            UserError: if it is not there.
        """
        return find_list(self.places, *names)

    def check_fold(self, fold: int) -> int:
        """The fold, if the data set has it.

        Raises:
            UserError: if it has not.
        """
        if not 1 <= fold <= self.folds:
            raise UserError(f"--data.fold {fold}: there are the official folds 1 to {self.folds}")
        return fold
