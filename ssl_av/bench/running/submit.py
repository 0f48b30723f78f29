"""`--launcher submitit`: each run is a job of SLURM, all of them one array; or of submitit's local executor."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from ssl_av.bench.running.job import PROGRESS, RunJob, progress
from ssl_av.bench.running.launch import Record, Task
from ssl_av.bench.running.live import Board
from ssl_av.bench.running.perform import failure, now
from ssl_av.bench.runs import finished
from ssl_av.errors import UserError, unknown

if TYPE_CHECKING:
    from submitit import AutoExecutor, Job

    from ssl_av.bench.running.run_suite import Launch

POLL = 1.0
"""Seconds between two looks at the jobs' files; SLURM itself is asked less often."""

GENERAL = ("name", "timeout_min", "mem_gb", "nodes", "cpus_per_task", "gpus_per_node", "stderr_to_stdout")
DEFAULTS = {"name": "ssl-av", "timeout_min": 24 * 60, "stderr_to_stdout": True}
TIMEOUTS = "max_num_timeout"
"""How often a job whose time is over is queued again (10): each goes on from its last checkpoint."""

ALIVE = ("PENDING", "CONFIGURING", "RUNNING", "REQUEUED", "COMPLETING", "PREEMPTED", "SUSPENDED")


@dataclass
class Watched:
    """A job that was handed over.

    Attributes:
        task: the run.
        job: submitit's.
        before: the record.json that lay there when it was handed over.
        seen: the last report of its progress.
    """

    task: Task
    job: Job[None]
    before: bytes | None
    seen: Any = None


def submitted(launcher: str, settings: Mapping[str, Any], out: Path, at_once: int) -> Launch:
    """What does the runs of a suite as jobs.

    Args:
        launcher: ``submitit`` (SLURM) or ``submitit-local``.
        settings: arguments of submitit's executor, ``timeout_min``, ``gpus_per_node``, ``partition`` …
        out: the suite's folder; the jobs' own files go to ``jobs`` there.
        at_once: jobs of the array that may run at a time.

    Raises:
        UserError: without submitit or SLURM, or for a setting that they do not know.
    """
    if shutil.which("srun") is None and launcher == "submitit":
        raise UserError(
            "--launcher submitit: there is no SLURM here (no srun in the path); give the command where jobs are "
            "submitted, or try it with --launcher submitit-local"
        )
    local = launcher == "submitit-local"
    with tempfile.TemporaryDirectory() as scratch:  # a wrong setting is told before data are prepared
        _executor(local, settings, Path(scratch), at_once)

    def launch(
        tasks: Sequence[Task], manifest: Path, jobs: int, board: Board
    ) -> Generator[tuple[Task, Record], None, None]:
        executor = _executor(local, settings, out / "jobs", at_once)
        waiting, running = list(tasks), list[Watched]()
        try:
            while waiting or running:
                room = max(jobs - len(running), 0) if local else len(waiting)
                begin, waiting = waiting[:room], waiting[room:]
                running += _hand_over(begin, executor, manifest, jobs if local else 1, board)
                for watched in list(running):
                    _look(watched, board)
                    if watched.job.done():
                        running.remove(watched)
                        yield watched.task, _record(watched)
                time.sleep(POLL if running else 0)
        except BaseException:
            names = ", ".join(w.job.job_id for w in running)
            if local:
                for watched in running:
                    watched.job.cancel()
            elif running:
                board.console.print(f"the jobs go on: {names}; the same command watches them again")
            raise

    return launch


def _executor(local: bool, settings: Mapping[str, Any], folder: Path, at_once: int) -> AutoExecutor:
    try:
        import submitit
    except ImportError:
        raise UserError("--launcher submitit needs submitit: pip install 'ssl-av[slurm]'") from None
    slurms = submitit.SlurmExecutor._valid_parameters() - {"time", "job_name", "num_gpus", *GENERAL}
    known = (*GENERAL, *sorted(slurms), TIMEOUTS)
    wanted: dict[str, Any] = {**DEFAULTS, "slurm_array_parallelism": at_once}
    for name, value in settings.items():
        if name not in known:
            raise unknown("option", f"--launcher.{name}", [f"--launcher.{n}" for n in known])
        wanted[name if name in GENERAL else f"slurm_{name}"] = value
    requeue = wanted.pop(f"slurm_{TIMEOUTS}", 10)
    try:
        executor = submitit.AutoExecutor(
            folder=folder,
            cluster="local" if local else "slurm",
            **{f"{cluster}_{TIMEOUTS}": requeue for cluster in ("slurm", "local")},
        )
        executor.update_parameters(**wanted)
    except (AssertionError, NameError, TypeError, ValueError) as e:
        raise UserError(f"--launcher.*: {' '.join(str(e).split())[:300]}") from None
    return executor


def _hand_over(
    tasks: Sequence[Task], executor: AutoExecutor, manifest: Path, share: int, board: Board
) -> list[Watched]:
    """Submits what no job of an earlier command is still at; several as one array."""
    found = []
    new: list[Task] = []
    for task in tasks:
        job = _living_job(task, executor)
        if job is None:
            new.append(task)
        else:
            found.append(Watched(task, job, None))
            board.begin(task.label, f"job {job.job_id}")
    handed: list[tuple[Task, Job[None], bytes | None]] = []
    with executor.batch(allow_implicit_submissions=True):
        for task in new:
            task.folder.mkdir(parents=True, exist_ok=True)
            (task.folder / PROGRESS).unlink(missing_ok=True)
            where = str(manifest.absolute()), str(task.folder.absolute())
            job = executor.submit(RunJob(task.config.to_dict(), *where, share))
            handed.append((task, job, _read(task.folder / "record.json")))
    for task, job, before in handed:
        (task.folder / "job.json").write_text(json.dumps({"id": job.job_id}), encoding="utf-8")
        found.append(Watched(task, job, before))
        board.begin(task.label, f"job {job.job_id}")
    return found


def _living_job(task: Task, executor: AutoExecutor) -> Job[None] | None:
    """The job of an earlier command that still waits or works for this run."""
    try:
        name = str(json.loads((task.folder / "job.json").read_text(encoding="utf-8"))["id"])
    except (OSError, ValueError, KeyError):
        return None
    if executor.cluster == "local":
        return _LivingProcess(executor.folder, name) if _is_controller(name) else None  # type: ignore[return-value]
    from submitit import SlurmJob

    job: Job[None] = SlurmJob(folder=executor.folder, job_id=name)
    state = str(job.get_info(mode="force").get("State", "")).split(" ")[0].rstrip("+")
    return job if state.upper() in ALIVE else None


@dataclass(frozen=True)
class _LivingProcess:
    """A job of the local executor that an earlier command has left: submitit follows its own ones only."""

    folder: Path
    job_id: str

    def done(self) -> bool:
        return not _is_controller(self.job_id)

    def cancel(self) -> None:
        psutil.Process(int(self.job_id)).terminate()

    @property
    def state(self) -> str:
        return "FINISHED" if self.done() else "RUNNING"


def _is_controller(name: str) -> bool:
    try:
        process = psutil.Process(int(name))
        return process.status() != psutil.STATUS_ZOMBIE and "submitit.local._local" in process.cmdline()
    except (psutil.Error, ValueError):
        return False


def _look(watched: Watched, board: Board) -> None:
    """Tells the board what the job has reported since."""
    found = progress(watched.task.folder)
    if found is not None and found != watched.seen:
        watched.seen = found
        board.show(watched.task.label, found)


def _record(watched: Watched) -> Record:
    """The record of a job that is over, also if it has left none."""
    task, job = watched.task, watched.job
    text = _read(task.folder / "record.json")
    try:
        if text is None or (text == watched.before and not finished(task.folder, task.config)):
            raise ValueError
        record: Record = json.loads(text)
    except ValueError:
        error = (
            f"job {job.job_id} ended ({job.state}) without a record; see {task.folder / 'log.txt'} and jobs/"
        )
        record = failure(task.config, error, now())
    return record


def _read(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None
