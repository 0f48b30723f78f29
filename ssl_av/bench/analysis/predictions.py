"""What runs predicted, sample by sample, as they left it in ``RUN/predictions/PROTOCOL.npz``.

A file holds, for each side and fold, three arrays of as many samples: ``SIDE.FOLD.truth``, ``SIDE.FOLD.predicted`` (the
class) and ``SIDE.FOLD.index`` (the row in the manifest).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ssl_av.arrays import read_npz
from ssl_av.bench.analysis.groups import Group, seed
from ssl_av.bench.analysis.tasks import Task
from ssl_av.text import file_name

Key = tuple[str, int]
"""Fold and row of the manifest: a sample that several folds test is tested by several models."""


@dataclass(frozen=True)
class Right:
    """Which test samples the runs of a method got right.

    Attributes:
        runs: how many runs there are; samples that not all of them predicted are left out.
        share: sample → share of the runs that are right about it.
    """

    runs: int
    share: dict[Key, float]


def read_right(file: Path, side: str) -> dict[Key, bool]:
    """Whether one run was right about each test sample of a side.

    Empty where the file is not there, cannot be read, or holds no single class a sample: several labels a sample are
    neither right nor wrong.
    """
    right: dict[Key, bool] = {}
    try:
        arrays = read_npz(file)
        folds = [
            name.split(".")[1] for name in arrays if name.startswith(f"{side}.") and name.endswith(".index")
        ]
        for fold in folds:
            truth, predicted, index = (
                arrays[f"{side}.{fold}.{part}"] for part in ("truth", "predicted", "index")
            )
            if truth.ndim != 1 or predicted.shape != truth.shape or index.shape != truth.shape:
                return {}
            same = (truth == predicted).tolist()
            right |= {(fold, int(row)): bool(hit) for row, hit in zip(index.tolist(), same, strict=True)}
    except (ValueError, KeyError, IndexError, TypeError):
        return {}
    return right


def right_of(group: Group, task: Task, folders: Sequence[Path]) -> Right | None:
    """The test samples that a method's runs got right, if all of them kept their predictions.

    Args:
        group: the method.
        task: what was predicted.
        folders: of suites that may hold its runs.
    """
    kept = [
        _first(read_right(_file(folder, group, seed(run), task), task.side) for folder in folders)
        for run in group.runs
    ]
    if not kept or not all(kept):
        return None
    common = set(kept[0]).intersection(*kept[1:])
    return Right(len(kept), {key: sum(run[key] for run in kept) / len(kept) for key in sorted(common)})


def paired(one: Right, two: Right) -> tuple[np.ndarray, np.ndarray]:
    """The shares of both on the samples that both have, in one order: two arrays [N]."""
    common = sorted(one.share.keys() & two.share.keys())
    return np.array([one.share[key] for key in common]), np.array([two.share[key] for key in common])


def _file(folder: Path, group: Group, number: int, task: Task) -> Path:
    home = file_name(f"{group.method}-seed{number}")
    return folder / home / "predictions" / file_name(f"{task.protocol}.npz")


def _first(found: Iterable[dict[Key, bool]]) -> dict[Key, bool]:
    return next((one for one in found if one), {})
