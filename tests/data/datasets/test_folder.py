"""Any folder as a data set."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssl_av.data.datasets import create_dataset, list_datasets
from ssl_av.data.datasets.folder import FolderDataset
from ssl_av.data.manifest import Row
from ssl_av.errors import UserError


def make(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_flat_folder_has_no_classes(tmp_path: Path) -> None:
    make(tmp_path, "b.mp4", "a.MKV", "notes.txt", ".hidden.mp4", "c.wav")
    assert FolderDataset(tmp_path).rows() == ([Row("a.MKV"), Row("b.mp4"), Row("c.wav")], ())


def test_sub_folders_are_classes_at_any_depth(tmp_path: Path) -> None:
    make(tmp_path, "dog/1.mp4", "cat/x/y/2.mp4", "cat/3.avi", "loose.mp4", ".git/4.mp4", "empty/readme.md")
    rows, classes = FolderDataset(tmp_path).rows()
    assert classes == ("cat", "dog")
    assert rows == [Row("cat/3.avi", 0), Row("cat/x/y/2.mp4", 0), Row("dog/1.mp4", 1), Row("loose.mp4", -1)]


def test_folders_of_splits(tmp_path: Path) -> None:
    make(tmp_path, "train/dog/1.mp4", "Validation/cat/2.mp4", "test/dog/3.mp4", "test/4.mp4")
    rows, classes = FolderDataset(tmp_path).rows()
    assert classes == ("cat", "dog")
    assert rows == [
        Row("Validation/cat/2.mp4", 0, "val"),
        Row("test/4.mp4", -1, "test"),
        Row("test/dog/3.mp4", 1, "test"),
        Row("train/dog/1.mp4", 1, "train"),
    ]


@pytest.mark.parametrize("other", ["cats/1.mp4", "1.mp4"])
def test_a_folder_named_like_a_split_among_others_is_a_class(other: str, tmp_path: Path) -> None:
    rows, classes = FolderDataset(make(tmp_path, "train/1.mp4", "test/2.mp4", other)).rows()
    assert {"train", "test"} <= set(classes)
    assert {row.split for row in rows} == {""}


def test_links_are_followed_but_not_in_a_circle(tmp_path: Path) -> None:
    make(tmp_path / "elsewhere", "1.mp4")
    root = make(tmp_path / "root", "cat/2.mp4")
    (root / "dog").symlink_to(tmp_path / "elsewhere")
    (root / "cat" / "again").symlink_to(root)
    assert [row.path for row in FolderDataset(root).rows()[0]] == ["cat/2.mp4", "dog/1.mp4"]


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--data\.root .*none: no such folder"):
        FolderDataset(tmp_path / "none").rows()
    with pytest.raises(UserError, match="is not a folder"):
        FolderDataset(make(tmp_path, "f.mp4") / "f.mp4").rows()
    with pytest.raises(UserError, match="no videos in it"):
        FolderDataset(make(tmp_path / "texts", "a.txt")).rows()


def test_created_by_name(tmp_path: Path) -> None:
    make(tmp_path, "a.mp4")
    dataset = create_dataset("folder", root=str(tmp_path))
    assert dataset.root == tmp_path
    assert {"folder", "csv"} <= set(list_datasets())
    assert all(list_datasets().values())
    with pytest.raises(UserError, match="did you mean folder"):
        create_dataset("foldr", root=tmp_path)
    with pytest.raises(UserError, match=r"needs --data\.root"):
        create_dataset("folder")
    with pytest.raises(UserError, match=r"no --data\.roots; did you mean --data\.root\?"):
        create_dataset("folder", roots=tmp_path)


def test_ucf101(shared: Path) -> None:
    rows, classes = FolderDataset(shared / "ucf101_mini").rows()
    assert classes == ("BabyCrawling", "Punch", "PushUps")
    assert [sum(row.label == label for row in rows) for label in range(3)] == [46, 46, 46]
