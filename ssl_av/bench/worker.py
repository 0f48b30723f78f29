"""One run in a process of its own: what fails there is recorded, and the suite goes on."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from datetime import datetime, timezone
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from ssl_av.config import RunConfig

Message = tuple[str, int, int, dict[str, float]]


def context() -> Any:
    """Processes are forked from a clean server that has imported torch once; spawned where that cannot be."""
    if "forkserver" in multiprocessing.get_all_start_methods():
        found = multiprocessing.get_context("forkserver")
        found.set_forkserver_preload(["ssl_av.run"])
        return found
    return multiprocessing.get_context("spawn")


def run_in_process(
    config: RunConfig,
    manifest: Path,
    out: Path,
    resume: bool,
    listen: Callable[[Message], None],
    share: int = 1,
    stop: threading.Event | None = None,
) -> dict[str, Any]:
    """Executes a run in a new process and returns its record, also if it failed or died.

    Args:
        config: the run.
        manifest: file of the suite's manifest.
        out: the run's folder; what the process prints goes to ``log.txt`` there.
        resume: continue from its last checkpoint.
        listen: called with the run's progress.
        share: runs that share the cores.
        stop: once it is set, the process is ended.

    Raises:
        InterruptedError: if ``stop`` was set before it was done.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / "record.json").unlink(missing_ok=True)
    ctx = context()
    messages = ctx.Queue()
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    process: BaseProcess = ctx.Process(
        target=_work, args=(config.to_dict(), str(manifest), str(out), resume, share, messages), name=out.name
    )
    process.start()
    try:
        while process.is_alive():
            if stop is not None and stop.is_set():
                raise InterruptedError(out.name)
            try:
                listen(messages.get(timeout=0.5))
            except queue.Empty:
                continue
        process.join()
    except BaseException:  # the user's Ctrl-C, mostly, told by `stop`: leave no process behind
        process.terminate()
        process.join(10)
        raise
    import json

    try:
        record: dict[str, Any] = json.loads((out / "record.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        record = failure(
            config, f"the process ended with {_cause(process.exitcode)}; see {out / 'log.txt'}", started
        )
    return record


def failure(config: RunConfig, error: str, started: str, status: str = "failed") -> dict[str, Any]:
    """The record of a run that has no results."""
    from ssl_av.methods import list_methods

    name = config.method["name"]
    return {
        "method": name,
        "paper": list_methods().get(name, name).split(":")[0],
        "seed": config.seed,
        "suite": config.suite,
        **({"row": config.row} if config.row else {}),
        "status": status,
        "error": error,
        "budget": {"asked": config.budget.asked(), "spent": {}},
        "started": started,
        "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _cause(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        return f"signal {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
    return f"exit code {code}"


def _work(config: dict[str, Any], manifest: str, out: str, resume: bool, share: int, messages: Any) -> None:
    """The body of the process."""
    folder = Path(out)
    log = (folder / "log.txt").open("a" if resume else "w", encoding="utf-8", buffering=1)
    for stream in (1, 2):
        os.dup2(log.fileno(), stream)
    sys.stdout = sys.stderr = log
    from ssl_av.data.manifest import Manifest
    from ssl_av.errors import UserError
    from ssl_av.resume import last_checkpoint
    from ssl_av.run import execute, write_record

    run = RunConfig.from_dict(config)
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    last = [0.0]

    def report(what: str, done: int, total: int, numbers: dict[str, float]) -> None:
        if done in (0, total) or time.monotonic() - last[0] > 0.25:
            last[0] = time.monotonic()
            messages.put((what, done, total, numbers))

    try:
        begin = last_checkpoint(folder) if resume else None
        execute(run, Manifest.load(Path(manifest)), folder, report, resume=begin, share=share)
    except UserError as e:
        write_record(failure(run, str(e), started), folder)
    except Exception as e:
        traceback.print_exc()
        line = f"{type(e).__name__}: {e}".splitlines()[0]
        write_record(failure(run, f"{line} (traceback in {folder.name}/log.txt)", started), folder)
