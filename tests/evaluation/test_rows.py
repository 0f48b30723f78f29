"""Arrays that may be larger than memory, held against plain numpy."""

from __future__ import annotations

import dataclasses
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from ssl_av.evaluation import rows
from ssl_av.evaluation.features import Features
from ssl_av.evaluation.kinds import KINDS
from ssl_av.evaluation.kinds._labels import averaged
from ssl_av.evaluation.protocols import load_protocol


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is too large for memory."""
    monkeypatch.setattr(rows, "MEMORY", 0)
    monkeypatch.setattr(rows, "PART", 64)


@pytest.fixture
def arrays() -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    return [draw.normal(size=(n, 3, 2)).astype(np.float16) for n in (4, 1, 0, 5)]


@pytest.mark.parametrize("large", [False, True])
def test_rows_are_those_of_the_whole(large: bool, arrays, request: pytest.FixtureRequest) -> None:
    if large:
        request.getfixturevalue("small")
    whole = np.concatenate(arrays)
    order = np.random.default_rng(1).permutation(10)
    found = rows.gathered(order, arrays)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, whole[order].astype(np.float32))
    np.testing.assert_array_equal(rows.selected(whole, order < 4), whole[order < 4])
    assert rows.selected(whole, np.ones(10, bool)) is whole
    np.testing.assert_array_equal(rows.stacked(arrays), whole)
    np.testing.assert_array_equal(
        rows.beside([whole, whole[..., :1]]), np.concatenate([whole, whole[..., :1]], -1)
    )
    np.testing.assert_array_equal(averaged(whole), whole.mean(axis=1, dtype=np.float32))
    np.testing.assert_array_equal(rows.each(lambda x: x * 2, whole[:0]), whole[:0])
    assert rows.gathered(order[:0], []).shape == (0, 0)


def test_files_lie_where_they_are_told_to_and_leave_nothing(small: None, tmp_path: Path) -> None:
    with rows.scratch_in(tmp_path / "features"):
        x = rows.empty((100, 10))
        x[:] = 3
    assert isinstance(x.base, np.memmap)
    assert list(tmp_path.rglob("*")) == [tmp_path / "features"]
    assert float(x.sum()) == 3000


def test_a_second_fold_in_half_precision_stays_out_of_memory(tmp_path: Path, monkeypatch) -> None:
    """Of 64 MB on the disk, and 128 in single precision, less than 16 are in memory at any time."""
    monkeypatch.setattr(rows, "MEMORY", 2**22)
    monkeypatch.setattr(rows, "PART", 2**20)
    folds = [
        np.lib.format.open_memmap(tmp_path / f"{k}.npy", "w+", np.float16, (8192, 4, 512)) for k in range(2)
    ]
    for k, fold in enumerate(folds):
        fold[1001] = k + 1
    order = np.arange(2 * 8192).reshape(2, -1).T.ravel()  # a sample of the one, a sample of the other
    tracemalloc.start()
    with rows.scratch_in(tmp_path):
        second = rows.selected(averaged(rows.gathered(order, folds)), order % 8 != 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert second.shape == (2 * 7168, 512)
    assert peak < 2**24
    kept = order[order % 8 != 0]
    assert [second[kept == at].mean() for at in (1001, 8192 + 1001)] == [1, 2]


def features(n: int, seed: int, several: bool) -> Features:
    draw = np.random.default_rng(seed)
    label = np.arange(n) % 4
    label[: n // 10] = -1 if not several else 0
    x = draw.normal(size=(n, 2, 6)).astype(np.float32)
    x[:, :, 0] += label[:, None]
    side = {"audio": x, "video": (x[..., ::-1] + draw.normal(size=x.shape)).astype(np.float32)}
    if several:
        several_of = np.zeros((n, 4), dtype=bool)
        several_of[np.arange(n), label] = True
        return Features(several_of, side)
    return Features(label, side)


@pytest.mark.parametrize(
    ("kind", "several", "settings"),
    [
        ("knn", False, {}),
        ("retrieval", False, {}),
        ("fusion", False, {"solver": "newton", "refit": True, "costs": (1e-2, 1.0)}),
        ("linear-svm", True, {"normalise": "l2", "costs": (1e-2,)}),
        ("probe", False, {"epochs": 2, "batch_size": 32, "normalise": "standard"}),
    ],
)
def test_kinds_find_the_same_out_of_memory(kind, several, settings, monkeypatch) -> None:
    k = KINDS[kind]
    splits = {
        name: features(n, seed, several)
        for seed, (name, n) in enumerate({"train": 120, "val": 40, "test": 50, "val_as_train": 40}.items())
    }
    own = k.settings(**settings)
    protocol = dataclasses.replace(
        load_protocol("knn"), kind=kind, settings=own, modalities=("audio", "video")
    )
    mine = {name: splits[name] for name in k.splits(own)}
    inside = k.measure(mine, protocol, 4, 0)
    monkeypatch.setattr(rows, "MEMORY", 0)
    monkeypatch.setattr(rows, "PART", 500)
    outside = k.measure(mine, protocol, 4, 0)
    assert set(outside.results) == set(inside.results)
    for side, numbers in inside.results.items():
        for name, value in numbers.items():
            assert outside.results[side][name] == pytest.approx(value, abs=0.02), (side, name)
