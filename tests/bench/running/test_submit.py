"""Jobs: what is refused before anything is done, what is handed over, what comes back."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ssl_av.bench.running.job import PROGRESS, RunJob, progress
from ssl_av.bench.running.launch import Task
from ssl_av.bench.running.live import Board
from ssl_av.bench.running.submit import _executor, _living_job, submitted
from ssl_av.bench.suite import load_suite
from ssl_av.errors import UserError

pytest.importorskip("submitit")


def test_without_slurm_it_says_where_to_go(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="there is no SLURM here"):
        submitted("submitit", {}, tmp_path / "suite", 2)


def test_without_submitit_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UserError, match=r"pip install 'ssl-av\[slurm\]'"):
        submitted("submitit-local", {}, tmp_path / "suite", 2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"partitoin": "gpu"}, r"unknown option '--launcher\.partitoin'; did you mean --launcher\.partition"),
        ({"timeout_min": "soon"}, r"--launcher\.\*: .*timeout_min.*soon"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        submitted("submitit-local", settings, tmp_path / "suite", 2)
    assert not (tmp_path / "suite").exists()


def test_progress_is_read_as_it_was_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = load_suite("tiny").run_config("avid", 0)
    seen: list[Any] = []

    def perform(run: Any, manifest: Path, folder: Path, share: int, tell: Callable[[Any], None]) -> None:
        assert (run, manifest, folder, share) == (config, Path("m.arrow"), tmp_path, 3)
        for done in range(101):
            tell(("training", done, 100, {"loss": 1.5}))
            seen.append(progress(tmp_path))

    monkeypatch.setattr("ssl_av.bench.running.job.perform", perform)
    job = RunJob(config.to_dict(), "m.arrow", str(tmp_path), 3)
    job()
    assert seen[0] == ("training", 0, 100, {"loss": 1.5})
    assert seen[99] == seen[0]  # files on a shared disk are not written at each step
    assert seen[-1] == ("training", 100, 100, {"loss": 1.5})
    assert job.checkpoint().function is job
    (tmp_path / PROGRESS).write_text("[1")
    assert progress(tmp_path) is None


#: A SLURM that does at once, and one after the other, what is submitted; `sacct` and `scontrol` know it.
SBATCH = """#!{python}
import os, re, subprocess, sys
text = open(sys.argv[1]).read()
open({log!r}, "a").write(text)
array = re.search(r"--array=.?0-(\\d+)%(\\d+)", text)
print("Submitted batch job 77", flush=True)
for index in range(int(array[1]) + 1 if array else 1):
    env = dict(os.environ, SLURM_JOB_ID=str(770 + index), SLURM_NTASKS="1", SLURM_JOB_NAME="ssl-av")
    if array:
        env |= dict(SLURM_ARRAY_JOB_ID="77", SLURM_ARRAY_TASK_ID=str(index))
    subprocess.Popen(["bash", sys.argv[1]], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
"""
SRUN = """#!{python}
import os, sys
command = sys.argv[1:]
while command[0].startswith("--"):
    del command[: 1 if "=" in command[0] or command[0] == "--unbuffered" else 2]
os.execvp(command[0], command)
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made-up SLURM in the path; what it was given is in the file that this returns."""
    log = tmp_path / "submitted.txt"
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, text in (("sbatch", SBATCH), ("srun", SRUN), ("sacct", "#!/bin/sh\necho 'JobID|State'\n")):
        file = tools / name
        file.write_text(text.replace("{python}", sys.executable).replace("{log!r}", repr(str(log))))
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    return log


#: What stands for a run in a job: it leaves a record, or dies.
FAKE = """
import json
from pathlib import Path
from ssl_av.bench.running import job

def perform(config, manifest, folder, share, tell):
    tell(("training", 5, 5, {}))
    if config.method["name"] == "stica":
        raise SystemExit(3)
    record = {"method": config.method["name"], "seed": 0, "status": "completed", "results": {}, "cost": {}}
    Path(folder, "record.json").write_text(json.dumps(record))

job.perform = perform
"""


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["submitit", "submitit-local"])
def test_each_run_is_a_job_and_a_dead_one_a_failure(
    launcher: str, slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Python reads this at its start, in the jobs too.
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(FAKE)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'site'}:{os.environ.get('PYTHONPATH', '')}")
    out = tmp_path / "suite"
    suite = load_suite("tiny")
    tasks = [
        Task(n, method, suite.run_config(method, 0), out / method)
        for n, method in enumerate(("brave", "avid", "stica"))
    ]
    settings = {"partition": "gpu", "gpus_per_node": 0, "timeout_min": 5}
    launch = submitted(launcher, settings, out, 2)
    board = Board(Console(file=io.StringIO()), [task.label for task in tasks], 2)
    begun = time.monotonic()
    records = {}
    for task, record in launch(tasks, out / "manifest.arrow", 2, board):
        records[task.label] = record
        if len(records) == 2 and launcher == "submitit":
            break  # submitit believes its SLURM for minutes before it takes a silent job for dead
    assert time.monotonic() - begun < 120
    done = [label for label, record in records.items() if record["status"] == "completed"]
    assert sorted(done) == ["avid", "brave"]
    assert board.rows["avid"].done == 5
    assert json.loads((out / "avid" / "job.json").read_text())["id"]
    if launcher == "submitit":
        text = slurm.read_text()
        for line in ("--array=0-2%2", "--partition=gpu", "--time=5", "--job-name=ssl-av"):
            assert line in text
        assert (out / "avid" / "job.json").read_text() == '{"id": "77_1"}'
    else:
        assert records["stica"]["status"] == "failed"
        assert "without a record" in records["stica"]["error"]


@pytest.fixture
def left(tmp_path: Path) -> Task:
    """A run whose job an earlier command has left: job.json names it."""
    task = Task(0, "avid", load_suite("tiny").run_config("avid", 0), tmp_path / "avid-seed0")
    task.folder.mkdir()
    return task


def test_a_local_job_of_a_killed_command_is_watched_and_not_begun_again(left: Task, tmp_path: Path) -> None:
    executor = _executor(True, {}, tmp_path / "jobs", 1)
    assert _living_job(left, executor) is None
    words = [sys.executable, "-c", "import time; time.sleep(60)", "submitit.local._local"]
    process = subprocess.Popen(words)
    (left.folder / "job.json").write_text(json.dumps({"id": str(process.pid)}))
    job = _living_job(left, executor)
    assert job is not None
    assert not job.done()
    job.cancel()
    process.wait()
    assert job.done()
    assert _living_job(left, executor) is None
    (left.folder / "job.json").write_text(
        json.dumps({"id": str(os.getpid())})
    )  # a number that was given again
    assert _living_job(left, executor) is None


@pytest.mark.parametrize(
    ("state", "alive"),
    [("PENDING", True), ("RUNNING", True), ("COMPLETED", False), ("CANCELLED by 7", False)],
)
def test_a_slurm_job_is_asked_after(slurm: Path, left: Task, tmp_path: Path, state: str, alive: bool) -> None:
    sacct = tmp_path / "bin" / "sacct"
    sacct.write_text(f"#!/bin/sh\necho 'JobID|State|NodeList'\necho '77_3|{state}|n1'\n")
    executor = _executor(False, {}, tmp_path / "jobs", 1)
    (left.folder / "job.json").write_text(json.dumps({"id": "77_3"}))
    assert (_living_job(left, executor) is not None) == alive
    (left.folder / "job.json").write_text(json.dumps({"id": "99"}))  # which SLURM has forgotten
    assert _living_job(left, executor) is None
