"""One run in a process of its own: what fails there is recorded, and the suite goes on."""

from __future__ import annotations

import json
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from ssl_av.bench.running.perform import Message, failure, now, perform
from ssl_av.config import RunConfig
from ssl_av.errors import UserError
from ssl_av.lock import HeldError, holder
from ssl_av.machine import explained
from ssl_av.quiet import timm_alone

HELD = 75
"""Exit code of a process that found its folder in use (EX_TEMPFAIL)."""

UNRECORDED = 74
"""Exit code of a process that could not write down why it failed (EX_IOERR); it has told it instead."""

UNHEARD = 10.0
"""Seconds to wait for what it has told."""

GRACE = 20.0
"""Seconds that a run has to end once its suite has died."""


def context() -> Any:
    """Processes are forked from a clean server that has imported torch once; spawned where that cannot be."""
    if "forkserver" in multiprocessing.get_all_start_methods():
        found = multiprocessing.get_context("forkserver")
        found.set_forkserver_preload(["ssl_av.runs.run"])
        return found
    return multiprocessing.get_context("spawn")


def run_in_process(
    config: RunConfig,
    manifest: Path,
    out: Path,
    listen: Callable[[Message], None],
    share: int = 1,
    stop: threading.Event | None = None,
    gpu: str | None = None,
) -> dict[str, Any]:
    """Executes a run in a new process and returns its record, also if it failed or died.

    Args:
        config: the run.
        manifest: file of the suite's manifest.
        out: the run's folder; what the process prints goes to ``log.txt`` there.
        listen: called with the run's progress.
        share: runs that share the cores.
        stop: once it is set, the process is ended.
        gpu: the only one that the process sees; None: those that this one sees.

    Raises:
        InterruptedError: if ``stop`` was set before it was done.
    """
    out.mkdir(parents=True, exist_ok=True)
    ctx = context()
    messages = ctx.Queue()
    started, said = now(), ""
    process: BaseProcess = ctx.Process(
        target=_work, args=(config.to_dict(), str(manifest), str(out), share, gpu, messages), name=out.name
    )
    process.start()
    try:
        while process.is_alive():
            if stop is not None and stop.is_set():
                raise InterruptedError(out.name)
            said = _hear(messages, listen) or said
        process.join()
    except BaseException:  # the user's Ctrl-C, mostly, told by `stop`: leave no process behind
        process.terminate()
        process.join(10)
        raise
    try:
        if process.exitcode:  # a record that lies there is an older one
            raise FileNotFoundError
        record: dict[str, Any] = json.loads((out / "record.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        end = time.monotonic() + UNHEARD  # it was told before the process ended, if it was told
        while process.exitcode == UNRECORDED and not said and time.monotonic() < end:
            said = _hear(messages, listen)
        record = failure(config, said or _cause(process.exitcode, out), started)
    return record


def _hear(messages: Any, listen: Callable[[Message], None]) -> str:
    """Hands a message on if one comes soon; why the run failed, if it is that."""
    with suppress(queue.Empty):
        message = messages.get(timeout=0.5)
        if isinstance(message, str):
            return message
        listen(message)
    return ""


def _cause(code: int | None, out: Path) -> str:
    if code == HELD:
        return f"{holder(out)} is working in {out}: end it, then give the same command again"
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        cause = f"signal {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
    else:
        cause = f"exit code {code}"
    return f"the process ended with {cause}; see {out / 'log.txt'}"


def _work(
    config: dict[str, Any], manifest: str, out: str, share: int, gpu: str | None, messages: Any
) -> None:
    """The body of the process."""
    _end_with_parent()
    if gpu is not None:  # CUDA is not begun yet
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    try:
        timm_alone()
        perform(RunConfig.from_dict(config), Path(manifest), Path(out), share, messages.put)
    except HeldError:
        raise SystemExit(HELD) from None
    except UserError as e:
        messages.put(str(e))
        raise SystemExit(UNRECORDED) from None
    except (OSError, RuntimeError, MemoryError, ImportError) as e:
        if (said := explained(e)) is None:
            raise
        messages.put(said)
        raise SystemExit(UNRECORDED) from None


def _end_with_parent() -> None:
    """A run whose suite was killed ends too: it would write beside the one that takes its place."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True, name="end with parent").start()
