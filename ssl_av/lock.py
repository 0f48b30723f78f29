"""One process at a time writes a folder: a lock that the system takes back when its holder dies."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from ssl_av.errors import UserError
from ssl_av.text import one_line, read_json

LOCK, HOLDER = ".lock", ".lock.json"

NAMES = frozenset({LOCK, HOLDER})
"""What a lock leaves in a folder."""

PATIENCE = 1.0
"""Seconds that are waited for a holder before it is said."""


class HeldError(UserError):
    """Another process, which is alive, works in the folder."""


@contextmanager
def locked(folder: Path, wait: float = 0.0, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
    """Holds a folder, which is made where it is not there.

    The lock is the kernel's (flock; byte ranges on NFS): a process that was killed holds nothing any more, whatever
    it has left in the folder. Children that it forked end soon after it, and until then hold it in its place.

    Args:
        folder: what is held.
        wait: seconds to wait for another holder; below 0: until it ends.
        waiting: told whom this has to wait for, after a second; None: a line to standard error.

    Raises:
        HeldError: names the process that holds it and its machine.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        try:
            lock.acquire(timeout=wait if 0 <= wait <= PATIENCE else PATIENCE, poll_interval=0.1)
        except Timeout:
            if 0 <= wait <= PATIENCE:
                raise
            (waiting or _say(folder, wait))(holder(folder))
            lock.acquire(timeout=wait - PATIENCE if wait > 0 else -1, poll_interval=0.1)
    except Timeout:
        raise HeldError(
            f"--out {folder}: {holder(folder)} is working in it; wait for it, end it, or give another --out"
        ) from None
    try:
        about = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": datetime.now().astimezone().isoformat(timespec="seconds"),
        }
        if (folder / HOLDER).is_fifo():  # it would be waited for
            (folder / HOLDER).unlink()
        (folder / HOLDER).write_text(json.dumps(about), encoding="utf-8")
        yield
    finally:
        # The lock's own file stays: taking it away would let two processes hold two files of one name.
        with suppress(OSError):  # where nothing can be written: that is for what failed inside to say
            (folder / HOLDER).unlink(missing_ok=True)
        lock.release()


def _say(folder: Path, wait: float) -> Callable[[str], None]:
    until = f"up to {wait:g} s" if wait > 0 else "until it ends"
    return lambda who: print(
        f"ssl-av: {one_line(f'{folder}: {who} is working in it; waiting {until}')}",
        file=sys.stderr,
        flush=True,
    )


def holder(folder: Path) -> str:
    """Who holds a folder: "process 4711 on alpha, since 2026-01-31T12:00:00+01:00"."""
    try:
        about = read_json(folder / HOLDER)
        return f"process {about['pid']} on {about['host']}, since {about['since']},"
    except (UserError, KeyError, TypeError):
        return "another process"


def is_held(folder: Path) -> bool:
    """Whether a living process works in a folder."""
    if not (folder / LOCK).is_file():
        return False
    with suppress(Timeout), FileLock(folder / LOCK).acquire(timeout=0):
        return False
    return True
