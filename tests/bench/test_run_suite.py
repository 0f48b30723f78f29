"""Runs beside each other: records in the order of the plan, and nothing left running."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ssl_av.bench import run_suite
from ssl_av.bench.records import load_records
from ssl_av.bench.suite import SuiteFolder, load_suite
from ssl_av.errors import UserError

METHODS = ["brave", "avid", "stica"]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[dict[str, Any]]]:
    """Runs a plan whose runs are a function's."""

    def go(one: Callable[..., dict[str, Any]], jobs: int) -> list[dict[str, Any]]:
        monkeypatch.setattr(run_suite, "run_in_process", one)
        suite = load_suite("tiny", {"references": []})
        folder = SuiteFolder(tmp_path / "suite", suite, "hash", METHODS, "")
        console = Console(file=io.StringIO())
        return run_suite._run(suite.plan(METHODS), suite, folder, tmp_path, jobs, 8, console)

    return go


def record(config: Any) -> dict[str, Any]:
    return {
        "method": config.method["name"], "seed": 0, "status": "completed", "error": None,
        "results": {}, "cost": {"total_seconds": 1.0},
    }  # fmt: skip


def test_runs_share_the_machine_and_keep_their_order(run, tmp_path: Path):
    together = threading.Barrier(2, timeout=20)
    shares = []

    def one(config, manifest, out, resume, listen, share, stop):
        shares.append(share)
        if config.method["name"] != "stica":
            together.wait()  # breaks unless two runs go on at once
        if config.method["name"] == "brave":
            time.sleep(0.2)  # ends last
        return record(config)

    assert [r["method"] for r in run(one, 2)] == METHODS
    assert shares == [2, 2, 2]
    assert {r["method"] for r in load_records(tmp_path / "suite")} == set(METHODS)


def test_an_interruption_ends_what_runs_and_begins_nothing_else(run):
    begun, ended = [], []

    def one(config, manifest, out, resume, listen, share, stop):
        begun.append(config.method["name"])
        if config.method["name"] == "avid":
            raise KeyboardInterrupt
        if stop.wait(20):
            ended.append(config.method["name"])
        raise InterruptedError

    with pytest.raises(KeyboardInterrupt):
        run(one, 2)
    assert begun == ["brave", "avid"]
    assert ended == ["brave"]


@pytest.mark.parametrize("jobs", [0, "two", True])
def test_a_number_of_jobs_that_cannot_be(jobs: object):
    with pytest.raises(UserError, match="jobs is a number of runs at a time"):
        load_suite("tiny", {"jobs": jobs})
