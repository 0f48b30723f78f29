"""Splits are the same whatever the order and the machine."""

from __future__ import annotations

from collections import Counter

import pytest

from ssl_av.data.splits import assign_splits, split_name


def test_shares_within_every_label() -> None:
    paths = [f"{label}/{i}.mp4" for label in range(5) for i in range(20)]
    labels = [label for label in range(5) for _ in range(20)]
    splits = assign_splits(paths, labels, [""] * 100)
    assert Counter(zip(labels, splits, strict=True)) == {
        (label, split): n for label in range(5) for split, n in (("train", 14), ("val", 2), ("test", 4))
    }


def test_order_does_not_matter_and_pieces_of_a_file_stay_together() -> None:
    paths = [f"{i // 3}.mp4" for i in range(300)]
    labels = [i // 3 % 4 for i in range(300)]
    splits = assign_splits(paths, labels, [""] * 300)
    backwards = assign_splits(paths[::-1], labels[::-1], [""] * 300)
    assert splits == backwards[::-1]
    assert all(len({splits[3 * i + k] for k in range(3)}) == 1 for i in range(100))
    assert Counter(splits) == {"train": 210, "val": 30, "test": 60}


def test_small_labels_keep_a_sample_for_training() -> None:
    paths = [f"{label}-{i}" for label in range(30) for i in range(2)]
    labels = [label for label in range(30) for _ in range(2)]
    splits = assign_splits(paths, labels, [""] * 60)
    assert {label for label, split in zip(labels, splits, strict=True) if split == "train"} == set(range(30))
    assert Counter(splits)["test"] == 12
    assert assign_splits(["a", "b"], [0, 1], ["", ""]) == ["train", "train"]


def test_given_splits_stay() -> None:
    given = ["train"] * 6 + ["val"] * 2 + ["test"] * 2
    assert assign_splits([str(i) for i in range(10)], [0] * 10, given) == given


def test_validation_comes_from_training_where_there_is_none() -> None:
    paths, labels = [str(i) for i in range(100)], [i % 2 for i in range(100)]
    splits = assign_splits(paths, labels, ["train"] * 80 + ["test"] * 20)
    assert splits[80:] == ["test"] * 20
    assert Counter(zip(labels[:80], splits[:80], strict=True)) == {
        (0, "train"): 35,
        (0, "val"): 5,
        (1, "train"): 35,
        (1, "val"): 5,
    }


def test_validation_is_the_test_set_where_there_is_none() -> None:
    splits = assign_splits([str(i) for i in range(100)], [0] * 100, ["train"] * 80 + ["val"] * 20)
    assert splits[80:] == ["test"] * 20
    assert Counter(splits[:80]) == {"train": 70, "val": 10}


def test_training_alone_is_no_split() -> None:
    splits = assign_splits([str(i) for i in range(100)], [0] * 100, ["train"] * 100)
    assert Counter(splits) == {"train": 70, "val": 10, "test": 20}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("train", "train"),
        (" Validation ", "val"),
        ("TESTING", "test"),
        ("dev", "val"),
        ("", None),
        ("trian", None),
    ],
)
def test_spellings(text: str, name: str | None) -> None:
    assert split_name(text) == name
