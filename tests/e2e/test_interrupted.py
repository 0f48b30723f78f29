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
from commands import Command

from ssl_av.bench.records import load_records
from ssl_av.cli import run as run_command
from ssl_av.errors import UserError

SUITE = {
    "name": "killed",
    "data": {"name": "synthav", "train": 16, "val": 8, "test": 8, "batch_size": 8, "decode_size": 48},
    "budget": {"steps": 30},
    "jobs": 1,
    "inputs": {"frames": 8, "fps": 8, "size": 32, "audio_seconds": 1.0, "front_end": "small"},
    "networks": {
        "video": "r2plus1d_10", "video_args": {"width": 4}, "audio": "resnet9_audio", "audio_args": {"width": 4},
    },
    "evaluation": {"protocols": ["linear-svm"], "clips": 1, "probes": 3},
    "references": ["random"],
    "methods": {"avid": {"negatives": 8, "hidden": 16, "dim": 8}},
}  # fmt: skip


WORDS = ["bench", "--suite", "killed.yaml", "--methods", "avid", "--out"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the suite's file."""
    home = tmp_path_factory.mktemp("suites")
    (home / "killed.yaml").write_text(yaml.safe_dump(SUITE))
    return home


@pytest.fixture(scope="module")
def begin(home: Path, environ: Callable[[], dict[str, str]]) -> Callable[..., Command]:
    """Begins the suite in a folder and does not wait for it."""
    return lambda out, *more: Command([*WORDS, out, *more], home, environ())


@pytest.fixture(scope="module")
def bench(begin: Callable[..., Command]) -> Callable[..., tuple[int, str]]:
    """Runs the suite in a folder: its exit code and what it said."""

    def run(out: Path, *more: str) -> tuple[int, str]:
        done = begin(out, *more).ended(600)
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.fixture(scope="module")
def whole(
    home: Path, environ: Callable[[], dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The suite that nothing happened to, by the command that a user gives: processes and all."""
    out = tmp_path_factory.mktemp("whole") / "suite"
    done = subprocess.run(
        [sys.executable, "-m", "ssl_av", *WORDS, out],
        cwd=home, env=environ(), capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def until(true: Callable[[], Any], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


def works(pid: int) -> bool:
    """Whether a process is there, and not only its exit code, which nobody has asked for."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def told(folder: Path) -> dict[str, Any]:
    """What must not depend on an interruption."""
    record = {r["method"]: r for r in load_records(folder)}["avid"]
    spent = {k: record["budget"]["spent"][k] for k in ("steps", "samples", "clips")}
    return {k: record[k] for k in ("status", "results", "curves", "collapse")} | spent


def went_on(run: Path) -> bool:
    """Whether a run that is done did not begin anew."""
    return bool(json.loads((run / "record.json").read_text())["health"]["resumed_at"])


@pytest.mark.slow
def test_killed_and_given_again(begin, bench, whole: Path, tmp_path: Path) -> None:
    """The suite is killed; tests/e2e/test_killed.py kills a run."""
    process = begin(tmp_path)
    home = tmp_path / "avid-seed0"
    until((home / "checkpoints" / "last.ckpt").exists)
    run = json.loads((home / ".lock.json").read_text())["pid"]
    os.kill(run, signal.SIGSTOP)  # while it works, nobody else does
    code, said = bench(tmp_path)
    assert code == 2, said
    assert f"process {process.pid} on " in said
    process.kill()
    os.kill(run, signal.SIGCONT)
    process.ended(60)
    until(lambda: not works(run))  # nothing is left working
    assert not (home / "record.json").exists()

    code, said = bench(tmp_path)
    assert code == 0, said
    assert "random: done before" in said
    assert told(tmp_path) == told(whole)
    assert went_on(home)


@pytest.mark.slow
def test_dry_run(bench, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "suite"
    code, said = bench(out, "--dry-run")
    assert code == 0, said
    assert not out.exists()
    avid = next(line.split() for line in said.splitlines() if line.strip().startswith("avid"))
    assert avid[1:5] == ["to", "run", "30", "240"]
    assert avid[-3:] == ["a", "measured", "step"]
    assert "2 of 2 runs to do" in said

    before = {p: p.stat().st_mtime_ns for p in whole.rglob("*")}
    code, said = bench(whole, "--seeds", "0,1", "--dry-run")
    assert code == 0, said
    rows = [line.split() for line in said.splitlines() if line.strip().startswith("avid seed")]
    assert rows[0][3:5] == ["done", "before"]
    assert rows[1][3:5] == ["to", "run"]
    assert rows[1][-2:] == ["earlier", "run"]
    assert before == {p: p.stat().st_mtime_ns for p in whole.rglob("*")}


@pytest.mark.slow
def test_jobs_of_the_local_executor(begin, whole: Path, tmp_path: Path) -> None:
    """One of them is asked to make room: it saves, is queued again, and goes on."""
    process = begin(tmp_path, "--launcher", "submitit-local")
    home = tmp_path / "avid-seed0"
    until((home / "checkpoints" / "last.ckpt").exists)
    os.kill(json.loads((home / ".lock.json").read_text())["pid"], signal.SIGUSR2)
    done = process.ended(600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert told(tmp_path) == told(whole)
    assert went_on(home)
    assert (tmp_path / "report.html").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--only", "avit"], "did you mean avid"),
        (["--launcher.partition", "gpu"], "add --launcher submitit"),
        (["--launcher", "slurm"], "unknown name 'slurm'"),
        (
            ["--launcher", "submitit-local", "--launcher.partitoin", "gpu"],
            "did you mean --launcher.partition",
        ),
    ],
)
def test_wrong_words(words: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        run_command(["bench", "--methods", "avid", "--out", str(tmp_path / "suite"), *words])
    assert not (tmp_path / "suite").exists()
