"""Which samples train, which choose, which test: given by the dataset, or drawn the same way on every machine."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from itertools import groupby

SPLITS = ("train", "val", "test")

SHARES = {"val": 0.1, "test": 0.2}
"""What is taken from samples without a split; the rest trains."""

VAL_OF_TRAIN = 1 / 8
"""What is taken for validation from a training split that comes without one."""

NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "validate", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}


def split_name(text: str) -> str | None:
    """``train``, ``val`` or ``test`` for one of their usual spellings, else None."""
    word = text.strip().lower()
    return next((name for name, spellings in NAMES.items() if word in spellings), None)


def assign_splits(paths: Sequence[str], labels: Sequence[int], given: Sequence[str]) -> list[str]:
    """The split of every sample.

    What was given stays, but for this:

    - samples without a split get one, 70 / 10 / 20; so do all where every one says ``train``;
    - where there is no ``test`` but a ``val``, that is the test set (as in the papers' Kinetics numbers);
    - where there is then no ``val``, an eighth of ``train`` becomes it.

    Drawn by a hash of the path, evenly over the labels: neither the order nor the machine matters, samples of one
    file stay together, and every label keeps one for training.

    Args:
        paths: relative to the dataset's root.
        labels: one a sample.
        given: ``train``, ``val``, ``test`` or an empty string.
    """
    splits = list(given)
    if set(splits) == {"train"}:
        splits = [""] * len(splits)
    elif set(splits) == {"train", "val"}:
        splits = ["test" if split == "val" else split for split in splits]
    _draw(splits, "", paths, labels, SHARES)
    splits = [split or "train" for split in splits]
    if "val" not in splits and "" not in given:
        _draw(splits, "train", paths, labels, {"val": VAL_OF_TRAIN})
    return splits


def _draw(
    splits: list[str], old: str, paths: Sequence[str], labels: Sequence[int], shares: Mapping[str, float]
) -> None:
    """Moves shares of the samples of split ``old`` to other splits, in place."""
    files: dict[str, int] = {}
    for path, label, split in zip(paths, labels, splits, strict=True):
        if split == old:
            files.setdefault(path, label)
    ordered = sorted(files, key=lambda path: (files[path], _digest(path)))
    moved: dict[str, str] = {}
    taken = dict.fromkeys(shares, 0)
    total = 0
    for _, group in groupby(ordered, key=files.__getitem__):
        left = list(group)
        total += len(left)
        for name, share in shares.items():
            # By what is due over all labels so far: rounding label by label would starve small classes' splits.
            due = max(min(round(share * total) - taken[name], len(left) - 1), 0)
            moved.update(dict.fromkeys(left[:due], name))
            taken[name] += due
            left = left[due:]
    for i, path in enumerate(paths):
        if splits[i] == old:
            splits[i] = moved.get(path, old)


def _digest(path: str) -> bytes:
    return hashlib.sha256(f"ssl-av split {path}".encode("utf-8", "surrogateescape")).digest()
