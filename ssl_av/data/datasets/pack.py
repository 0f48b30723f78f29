"""A pack that `ssl-av data pack` has made: any data set, decoded once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ssl_av.data.rows import Row
from ssl_av.errors import UserError

if TYPE_CHECKING:
    from ssl_av.data.manifest import Manifest


@dataclass(frozen=True)
class PackDataset:
    """The samples of a pack, with the labels, splits and classes of the manifest that it was made from.

    Attributes:
        root: the pack's folder.
    """

    label_type: ClassVar[str] = "single"
    modalities: ClassVar[tuple[str, ...]] = ("video", "audio")
    folds: ClassVar[int] = 1
    needs: ClassVar[str] = (
        "a folder that `ssl-av data pack` has made; labels as in the data set it was made from"
    )

    root: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root).expanduser())

    def manifest(self) -> Manifest:
        """The pack's own manifest; nothing has to be opened to make it.

        Raises:
            UserError: if the folder is not a pack, or not a finished one.
        """
        from ssl_av.data.manifest import Manifest
        from ssl_av.data.pack import MANIFEST_FILE, pack_at

        if not self.root.is_dir():
            raise UserError(f"--data.root {self.root}: no such folder")
        if pack_at(self.root) is None:
            raise UserError(
                f"--data.root {self.root}: not a pack; `ssl-av data pack NAME --out DIR` makes one"
            )
        if not (self.root / MANIFEST_FILE).is_file():
            raise UserError(f"the pack {self.root} is not finished; run its `ssl-av data pack` command again")
        manifest = Manifest.load(self.root / MANIFEST_FILE)
        manifest.root = self.root.absolute()  # wherever it was moved to
        return manifest

    def rows(self) -> tuple[list[Row], tuple[str, ...]]:
        """Every sample, and the names of the classes.

        Raises:
            UserError: if the folder is not a pack, or not a finished one.
        """
        manifest = self.manifest()
        rows = []
        for split in ("train", "val", "test"):
            part = manifest.split(split)
            for sample in map(part.__getitem__, range(len(part))):
                rows.append(
                    Row(sample.path, sample.label, split, sample.start, sample.start + sample.duration)
                )
        return rows, manifest.classes
