from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ssl_av.bench.records import FILE, append_record, find, load_records, read_records
from ssl_av.errors import UserError

Make = Callable[..., dict[str, Any]]


def test_what_is_appended_is_read_back(tmp_path: Path, record: Make) -> None:
    records = [record("brave"), record("avid", seed=1)]
    for one in records:
        append_record(tmp_path / "suite", one)
    assert load_records(tmp_path / "suite") == json.loads(json.dumps(records))


def test_later_record_of_a_method_and_seed_wins_in_place(tmp_path: Path) -> None:
    for method, seed, status in (
        ("a", 0, "failed"),
        ("b", 0, "completed"),
        ("a", 0, "completed"),
        ("a", 1, "failed"),
    ):
        append_record(tmp_path, {"method": method, "seed": seed, "status": status})
    reading = read_records(tmp_path)
    assert [(r["method"], r["seed"], r["status"]) for r in reading.records] == [
        ("a", 0, "completed"),
        ("b", 0, "completed"),
        ("a", 1, "failed"),
    ]
    assert reading.replaced == 1


def test_truncated_last_line_is_counted_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    append_record(tmp_path, {"method": "a", "seed": 0, "note": "é"})
    whole = (tmp_path / FILE).read_bytes()
    for cut in range(1, len(whole) - 1):  # also within the two bytes of é
        (tmp_path / FILE).write_bytes(whole + whole[:cut])
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            reading = read_records(tmp_path)
        assert len(reading.records) == 1
        assert reading.unreadable == (2,)
        assert "line 2" in caplog.text


def test_append_after_a_truncated_line_does_not_glue_to_it(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"method": "a", "se', encoding="utf-8")
    append_record(tmp_path, {"method": "b", "seed": 0})
    reading = read_records(tmp_path)
    assert [r["method"] for r in reading.records] == ["b"]
    assert reading.unreadable == (1,)


@pytest.mark.parametrize(
    "line", ["[1, 2]", "3", '{"seed": 0}', '{"method": 3}', '{"method": "a", "seed": "x"}']
)
def test_lines_that_are_no_records_are_counted(tmp_path: Path, line: str) -> None:
    (tmp_path / FILE).write_text(line + "\n\n", encoding="utf-8")
    assert read_records(tmp_path).unreadable == (1,)


def test_file_is_strict_json_whatever_the_record_holds(tmp_path: Path) -> None:
    values = {
        "nan": math.nan,
        "inf": math.inf,
        "numpy": np.float32(0.5),
        "array": np.array([1.0, np.nan]),
        "torch": torch.tensor(2),
        "path": Path("a/b"),
        "set": {1},
        "true": True,
    }
    append_record(tmp_path, {"method": "a", "seed": np.int64(3), "results": values})
    text = (tmp_path / FILE).read_text(encoding="utf-8")

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    found = json.loads(text, parse_constant=refuse)
    assert found["seed"] == 3
    assert found["results"] == {
        "nan": None,
        "inf": None,
        "numpy": 0.5,
        "array": [1.0, None],
        "torch": 2,
        "path": "a/b",
        "set": [1],
        "true": True,
    }


def test_long_record_is_one_line(tmp_path: Path) -> None:
    curve = [[i, i / 7] for i in range(20000)]
    append_record(tmp_path, {"method": "a", "seed": 0, "curves": {"loss": curve}})
    assert load_records(tmp_path)[0]["curves"]["loss"] == curve
    assert (tmp_path / FILE).read_text(encoding="utf-8").count("\n") == 1


def test_no_file_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"records\.jsonl"):
        load_records(tmp_path / "nowhere")


def test_a_pipe_keeps_no_record(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / FILE)
    with pytest.raises(FileExistsError, match=FILE):
        append_record(tmp_path, {"method": "avid", "seed": 0})


def test_a_record_needs_a_method(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="method"):
        append_record(tmp_path, {"seed": 0})


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ({"svm": {"video": {"top1": 0.5}}}, (0.5, "")),
        ({"svm": {"skipped": "no labels"}}, (None, "skipped: no labels")),
        ({"svm": {"video": {"skipped": "no video"}}}, (None, "skipped: no video")),
        ({"svm": {"audio": {"top1": 0.5}}}, (None, "not recorded")),
        ({}, (None, "not recorded")),
        ({"svm": {"video": {"top1": math.nan}}}, (None, "no finite number")),
        ({"svm": {"video": {"top1": None}}}, (None, "no finite number")),
        ({"svm": {"video": {"top1": "high"}}}, (None, "not a number")),
    ],
)
def test_find_gives_the_number_or_the_reason(
    results: dict[str, Any], expected: tuple[float | None, str]
) -> None:
    assert find({"results": results}, "results", "svm", "video", "top1") == expected
