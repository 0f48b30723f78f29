"""A limit on the time that one sample may take, so that no file can hang a run."""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

HARD = 2
"""After so many limits a reading process that does not heed the alarm is ended."""

_nowhere = open(os.devnull, "w")  # noqa: SIM115 (as long as the process lives)


class Overdue(Exception):
    """Reading took longer than it may. Not an `OSError`: decoders take those for the end of the file."""


@contextmanager
def time_limit(seconds: float, worker: bool) -> Iterator[None]:
    """Interrupts what takes too long.

    The alarm is noticed between two steps of the decoder. A decoder that never comes back from its own code does not
    notice it; if it runs in a ``worker`` process, that process is ended after ``HARD`` limits.

    Without effect outside of a process's main thread and on systems without alarms (Windows).

    Args:
        seconds: the limit.
        worker: whether this is a process that may be ended.

    Raises:
        Overdue: when the limit is reached.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def strike(*_: object) -> None:
        raise Overdue

    previous = signal.signal(signal.SIGALRM, strike)
    signal.setitimer(
        signal.ITIMER_REAL, seconds, seconds
    )  # again and again: a callback may swallow the first
    if worker:
        faulthandler.dump_traceback_later(HARD * seconds, file=_nowhere, exit=True)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
        if worker:
            faulthandler.cancel_dump_traceback_later()
