"""A suite that is killed and given again: nothing is done twice, and the results are those of one that was let be."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from ssl_av.bench.records import load_records

SUITE = {
    "name": "killed",
    "data": {"name": "synthav", "train": 16, "val": 8, "test": 8, "batch_size": 8, "decode_size": 48},
    "budget": {"steps": 60},
    "inputs": {"frames": 8, "fps": 8, "size": 32, "audio_seconds": 1.0, "front_end": "small"},
    "networks": {
        "video": "r2plus1d_10", "video_args": {"width": 4}, "audio": "resnet9_audio", "audio_args": {"width": 4},
    },
    "evaluation": {"protocols": ["linear-svm"], "clips": 1, "probes": 3},
    "references": ["random"],
    "methods": {"avid": {"negatives": 8, "hidden": 16, "dim": 8}},
}  # fmt: skip


@pytest.fixture
def command(tmp_path: Path) -> Callable[[Path], list[str]]:
    """The command of a suite of seconds."""
    file = tmp_path / "killed.yaml"
    file.write_text(yaml.safe_dump(SUITE))
    return lambda out: ["bench", "--suite", str(file), "--methods", "avid", "--out", str(out)]


@pytest.fixture
def begin(tmp_path: Path, cache: Path) -> Callable[[list[str]], subprocess.Popen[str]]:
    """Begins a command and does not wait for it."""

    def start(words: list[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "ssl_av", *words], cwd=tmp_path, text=True,
            env={**os.environ, "SSL_AV_CACHE": str(cache), "COLUMNS": "200"},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    return start


def until(true: Callable[[], Any], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


def told(folder: Path) -> dict[str, Any]:
    """What must not depend on an interruption."""
    record = {r["method"]: r for r in load_records(folder)}["avid"]
    spent = {k: record["budget"]["spent"][k] for k in ("steps", "samples", "clips")}
    return {k: record[k] for k in ("status", "results", "curves", "collapse")} | spent


@pytest.mark.slow
def test_killed_and_given_again(ssl_av, command, begin, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    assert ssl_av(*command(whole)).returncode == 0
    for victim in ("suite", "run"):
        out = tmp_path / victim
        process = begin(command(out))
        home = out / "avid-seed0"
        until((home / "checkpoints" / "last.ckpt").exists)
        run = json.loads((home / ".lock.json").read_text())["pid"]

        # while it works, nobody else does
        other = ssl_av(*command(out))
        assert other.returncode == 2
        assert f"process {process.pid} on " in other.stderr
        assert "is working in it" in other.stderr

        os.kill(process.pid if victim == "suite" else run, signal.SIGKILL)
        said, _ = process.communicate(timeout=120)
        if victim == "suite":
            until(lambda pid=run: not psutil.pid_exists(pid), 30)  # nothing is left working
        else:
            assert process.returncode == 1
            assert "signal SIGKILL" in said
        assert not (home / "record.json").exists()

        again = ssl_av(*command(out))
        assert again.returncode == 0, again.stderr + again.stdout
        assert "random: done before" in again.stdout
        assert told(out) == told(whole)
        # It went on from a checkpoint: the log of the steps is in two parts.
        assert len(list(home.glob("metrics*.csv"))) == 2


@pytest.mark.slow
def test_dry_run_and_only(ssl_av, command, tmp_path: Path) -> None:
    out = tmp_path / "suite"
    dry = ssl_av(*command(out), "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert not out.exists()
    avid = next(line for line in dry.stdout.splitlines() if line.startswith("avid"))
    assert avid.split()[1:5] == ["to", "run", "60", "480"]
    assert "a measured step" in avid
    assert "2 of 2 runs to do" in dry.stdout

    part = ssl_av(*command(out), "--only", "random")
    assert part.returncode == 0, part.stderr
    assert {r["method"] for r in load_records(out)} == {"random"}
    assert "--only" not in json.loads((out / "suite.json").read_text())["command"]

    assert ssl_av(*command(out)).returncode == 0
    dry = ssl_av(*command(out), "--dry-run")
    assert [line.split()[1:3] for line in dry.stdout.splitlines() if line.startswith(("avid", "random"))] == [
        ["done", "before"], ["done", "before"],
    ]  # fmt: skip
    more = ssl_av(*command(out), "--seeds", "0,1", "--dry-run")
    rows = [line.split() for line in more.stdout.splitlines() if line.startswith("avid seed")]
    assert rows[0][3:5] == ["done", "before"]
    assert rows[1][3:5] == ["to", "run"]
    assert rows[1][-2:] == ["earlier", "run"]

    wrong = ssl_av(*command(out), "--only", "avit")
    assert wrong.returncode == 2
    assert "did you mean avid" in wrong.stderr


@pytest.mark.slow
def test_jobs_of_the_local_executor(ssl_av, command, tmp_path: Path) -> None:
    here, jobs = tmp_path / "here", tmp_path / "jobs"
    assert ssl_av(*command(here)).returncode == 0
    done = ssl_av(*command(jobs), "--launcher", "submitit-local")
    assert done.returncode == 0, done.stderr + done.stdout
    assert told(jobs) == told(here)
    assert (jobs / "report.html").is_file()
    again = ssl_av(*command(jobs), "--launcher", "submitit-local")
    assert again.stdout.count("done before") == 2
    wrong = ssl_av(*command(jobs), "--launcher", "submitit-local", "--launcher.partitoin", "gpu")
    assert wrong.returncode == 2
    assert "did you mean --launcher.partition" in wrong.stderr
    wrong = ssl_av(*command(jobs), "--launcher.partition", "gpu")
    assert wrong.returncode == 2
    assert "add --launcher submitit" in wrong.stderr
