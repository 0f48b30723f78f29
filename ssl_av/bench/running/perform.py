"""A run of a suite in the process that is given to it; whatever happens there is recorded."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ssl_av.bench.runs import checkpoint_of, finished
from ssl_av.config import RunConfig
from ssl_av.lock import locked
from ssl_av.whole import only_a_file

Message = tuple[str, int, int, dict[str, float]]
"""What is going on, how much of it is done, of how much (0: not known), and numbers by name."""

WAIT = 60.0
"""Seconds to wait for what a killed suite has left running in the run's folder."""


def perform(
    config: RunConfig, manifest: Path, folder: Path, share: int, tell: Callable[[Message], None]
) -> None:
    """Does a run, from its last checkpoint where there is one, and leaves its record.json.

    Args:
        config: the run.
        manifest: file of the suite's manifest.
        folder: the run's; what this process prints goes to ``log.txt`` there.
        share: runs that share the cores.
        tell: called with the run's progress, a few times a second at most.

    Raises:
        HeldError: if another process works in the folder.
        UserError: why the run failed, if that cannot be written.
    """
    with locked(folder, WAIT):
        if finished(folder, config):  # by the process that was waited for
            return
        begin = checkpoint_of(folder, config)
        (folder / "record.json").unlink(missing_ok=True)
        _print_to(folder / "log.txt", new=begin is None)
        from ssl_av.data.manifest import Manifest
        from ssl_av.errors import UserError
        from ssl_av.runs.run import execute

        started = now()
        last = [0.0]

        def report(what: str, done: int, total: int, numbers: dict[str, float]) -> None:
            if done in (0, total) or time.monotonic() - last[0] > 0.25:
                last[0] = time.monotonic()
                tell((what, done, total, numbers))

        try:
            execute(config, Manifest.load(manifest), folder, report, resume=begin, share=share, hold=False)
        except UserError as e:
            # A disk that was full, memory that was not there: what was trained is good.
            _record(failure(config, str(e), started) | {"goes_on": True}, folder)
        except Exception as e:
            with suppress(OSError):  # the log, too, is on that disk
                traceback.print_exc()
            line = f"{type(e).__name__}: {e}".splitlines()[0]
            error = f"{line} (traceback in {folder.name}/log.txt)"
            _record(failure(config, error, started), folder)


def _record(failed: dict[str, Any], folder: Path) -> None:
    """Leaves the record of a run that failed, or says it to whoever began the run."""
    from ssl_av.errors import UserError
    from ssl_av.runs.record import write_record

    try:
        write_record(failed, folder)
    except OSError:
        raise UserError(failed["error"]) from None


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
        "finished": now(),
    }


def now() -> str:
    """The time, to the second, in UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _print_to(file: Path, new: bool) -> None:
    only_a_file(file)
    log = file.open("w" if new else "a", encoding="utf-8", buffering=1)
    for stream in (1, 2):
        os.dup2(log.fileno(), stream)
    sys.stdout = sys.stderr = log
