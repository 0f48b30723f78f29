"""Runs beside each other: records in the order of the plan, and nothing left running."""

from __future__ import annotations

import errno
import io
import json
import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ssl_av.bench.records import load_records
from ssl_av.bench.running import launch, perform, run_suite, worker
from ssl_av.bench.suite import SuiteFolder, load_suite
from ssl_av.errors import UserError

METHODS = ["brave", "avid", "stica"]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[dict[str, Any]]]:
    """Runs a plan whose runs are a function's."""

    def go(one: Callable[..., dict[str, Any]], jobs: int) -> list[dict[str, Any]]:
        monkeypatch.setattr(launch, "run_in_process", one)
        suite = load_suite("tiny", {"references": []})
        folder = SuiteFolder(tmp_path / "suite", suite, "hash", METHODS, "")
        console = Console(file=io.StringIO())
        return run_suite._run(suite.plan(METHODS), folder, tmp_path, jobs, 8, console, launch.locally)

    return go


def record(config: Any) -> dict[str, Any]:
    return {
        "method": config.method["name"], "seed": 0, "status": "completed", "error": None,
        "results": {}, "cost": {"total_seconds": 1.0},
    }  # fmt: skip


def test_runs_share_the_machine_and_keep_their_order(run, tmp_path: Path):
    together = threading.Barrier(2, timeout=20)
    shares = []

    def one(config, manifest, out, listen, share, stop, gpu):
        shares.append(share)
        if config.method["name"] != "stica":
            together.wait()  # breaks unless two runs go on at once
        if config.method["name"] == "brave":
            time.sleep(0.2)  # ends last
        return record(config)

    assert [r["method"] for r in run(one, 2)] == METHODS
    assert shares == [2, 2, 2]
    assert {r["method"] for r in load_records(tmp_path / "suite")} == set(METHODS)


def test_a_run_whose_record_is_damaged_begins_anew_and_that_is_told(run, tmp_path: Path, capsys):
    SuiteFolder(tmp_path / "suite", load_suite("tiny", {"references": []}), "hash", METHODS, "")
    home = tmp_path / "suite" / "avid-seed0"
    home.mkdir()
    (home / "record.json").write_text('{"status": "comp')
    assert len(run(lambda config, *rest: record(config), 1)) == 3
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith(f"ssl-av: warning: {home / 'record.json'}: is not JSON")
    assert said[0].endswith("the run begins anew")


def test_an_interruption_ends_what_runs_and_begins_nothing_else(run):
    begun, ended = [], []
    runs = threading.Event()

    def one(config, manifest, out, listen, share, stop, gpu):
        if config.method["name"] == "avid":
            assert runs.wait(20)  # else it may be over before the other thread has begun anything
        begun.append(config.method["name"])
        if config.method["name"] == "avid":
            raise KeyboardInterrupt
        runs.set()
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


def test_runs_at_once_have_a_gpu_each_and_share_where_there_are_fewer(run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4, GPU-7")
    together = threading.Barrier(3, timeout=20)
    seen = []

    def one(config, manifest, out, listen, share, stop, gpu):
        seen.append(gpu)
        together.wait()
        return record(config)

    run(one, 3)
    assert sorted(seen) == ["4", "4", "GPU-7"]


def test_a_gpu_is_used_again_by_the_next_run(run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    busy: list[str] = []

    def one(config, manifest, out, listen, share, stop, gpu):
        assert gpu not in busy
        busy.append(gpu)
        time.sleep(0.05)
        busy.remove(gpu)
        return record(config)

    assert len(run(one, 2)) == 3


@pytest.mark.parametrize(
    ("jobs", "gpus", "found"),
    [(1, ["0", "1"], ["0"]), (3, ["0", "1"], ["0", "1", "0"]), (2, [], [None, None])],
)
def test_a_run_has_one_gpu(jobs: int, gpus: list[str], found: list[str | None]):
    assert launch.shared_gpus(jobs, gpus) == found


@pytest.mark.parametrize("said", ["", "-1"])
def test_hidden_gpus_are_none(said: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", said)
    assert launch.visible_gpus() == []


def test_a_folder_whose_suite_was_killed_at_its_first_breath_is_taken(tmp_path: Path):
    suite = load_suite("tiny")
    for left in (".lock", ".lock.json", "suite.part"):
        (tmp_path / left).write_text("{")
    SuiteFolder(tmp_path, suite, "hash", METHODS, "ssl-av bench --methods brave,avid,stica")
    about = json.loads((tmp_path / "suite.json").read_text())
    assert about["methods"] == METHODS


def test_methods_that_come_later_do_not_take_the_earlier_command_away(tmp_path: Path):
    suite = load_suite("tiny")
    for methods, command in ((["avid"], "first"), (["brave"], "wrong"), (["brave"], "second")):
        SuiteFolder(tmp_path, suite, "hash", methods, command)
    about = json.loads((tmp_path / "suite.json").read_text())
    assert about["command"] == "first\nsecond"
    assert about["methods"] == ["avid", "brave"]


@pytest.mark.parametrize(
    "odd", [{"commands": ["first"]}, {"methods": 3}, {"identity": []}, {"commands": {"a": 1}}]
)
def test_a_description_that_is_none_of_a_suite_is_one_line(odd: dict[str, Any], tmp_path: Path):
    suite = load_suite("tiny")
    SuiteFolder(tmp_path, suite, "hash", METHODS, "first")
    about = json.loads((tmp_path / "suite.json").read_text())
    (tmp_path / "suite.json").write_text(json.dumps(about | odd))
    with pytest.raises(UserError, match=r"suite\.json: does not say what a suite is"):
        SuiteFolder(tmp_path, suite, "hash", METHODS, "second")
    (tmp_path / "suite.json").write_text(json.dumps(about | {"commands": None, "methods": None}))
    SuiteFolder(tmp_path, suite, "hash", METHODS, "second")
    assert json.loads((tmp_path / "suite.json").read_text())["command"] == "second"


def test_a_pipe_in_the_place_of_a_log_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "log.txt")
    with pytest.raises(FileExistsError, match=r"log\.txt"):
        perform.perform(load_suite("tiny").run_config("avid", 0), tmp_path, tmp_path, 1, lambda message: None)


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def raising(error: BaseException) -> Callable[..., Any]:
    def function(*args: Any, **kwargs: Any) -> Any:
        raise error

    return function


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (UserError("a/last.ckpt cannot be written"), "a/last.ckpt cannot be written"),
        (PermissionError(errno.EPERM, "Operation not permitted", "a/.lock"), "a/.lock: Operation not perm"),
        (SystemExit(worker.UNRECORDED), "the process ended with exit code 74"),  # and says nothing
    ],
)
def test_a_run_that_cannot_write_down_why_it_failed_tells_it(
    error: BaseException, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config = load_suite("tiny").run_config("avid", 0)
    with monkeypatch.context() as patched:
        patched.setattr(perform, "_print_to", lambda file, new: None)
        patched.setattr("ssl_av.data.manifest.Manifest.load", lambda file: None)
        patched.setattr("ssl_av.runs.run.execute", raising(UserError("no room")))
        patched.setattr("ssl_av.runs.record.write_record", raising(FULL))
        with pytest.raises(UserError, match="no room"):
            perform.perform(config, tmp_path, tmp_path, 1, lambda message: None)
    monkeypatch.setattr(worker, "UNHEARD", 1.0)
    monkeypatch.setattr(worker, "perform", raising(error))
    monkeypatch.setattr(worker, "context", lambda: multiprocessing.get_context("fork"))
    record = worker.run_in_process(config, tmp_path / "m.arrow", tmp_path / "run", lambda message: None)
    assert record["status"] == "failed"
    assert record["error"].startswith(says)


def test_a_report_that_finds_no_room_takes_no_words_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run_suite, "write_report", raising(FULL))
    console = Console(file=io.StringIO(), width=200)
    plan = load_suite("tiny").plan(["avid"])
    records = [record(plan[0]), perform.failure(plan[1], "why it failed", "")]
    with pytest.raises(OSError, match="No space"):
        run_suite._finish(tmp_path, records, console)
    assert "failed: avid seed 0: why it failed" in console.file.getvalue()
