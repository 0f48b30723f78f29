"""Any folder of videos; its sub-folders are the classes, if there are any."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ssl_av.data.datasets._files import check_folder, media_files
from ssl_av.data.rows import Row
from ssl_av.data.splits import split_name
from ssl_av.errors import UserError


@dataclass(frozen=True)
class FolderDataset:
    """Videos below a folder, at any depth, in the order of their paths; sounds too.

    The first sub-folder is the class; files that lie in the folder itself have none. Where all of the first
    sub-folders are named train, val or test (or the like), they are the splits, and the next level is the class;
    else splits are drawn by a hash of the paths. Hidden files and folders are passed over.

    Attributes:
        root: the folder.
    """

    label_type: ClassVar[str] = "single"
    modalities: ClassVar[tuple[str, ...]] = ("video", "audio")
    folds: ClassVar[int] = 1
    needs: ClassVar[str] = "videos or sounds at any depth; sub-folders are classes, or splits and classes"

    root: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root).expanduser())

    def rows(self) -> tuple[list[Row], tuple[str, ...]]:
        """Every file, and the names of the classes.

        Raises:
            UserError: if the folder is missing or holds no video and no sound.
        """
        check_folder(self.root)
        files = sorted(media_files(self.root))
        if not files:
            raise UserError(
                f"--data.root {self.root}: no videos in it or below it (.mp4, .avi, .mkv, .webm …)"
            )
        splits = [split_name(parts[0]) if len(parts) > 1 else None for parts in files]
        # A lone folder "test" is more likely a class or a name than a split without anything to train on.
        divided = all(splits) and "train" in splits
        names = [parts[1:-1] if divided else parts[:-1] for parts in files]
        classes = tuple(sorted({folders[0] for folders in names if folders}))
        number = {name: i for i, name in enumerate(classes)}
        rows = [
            Row(
                path="/".join(parts),
                label=number[folders[0]] if folders else -1,
                split=split if divided and split else "",
            )
            for parts, folders, split in zip(files, names, splits, strict=True)
        ]
        return rows, classes
