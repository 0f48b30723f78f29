"""Limits on the time and the memory that one sample may take, so that no file can hang a run or fill the machine."""

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


def lower_memory(more: int) -> tuple[int, int] | None:
    """From now on this process may allocate so many bytes more than it has (Linux).

    Returns:
        The limits of before, None where the system has none.
    """
    try:
        import resource

        with open("/proc/self/statm", encoding="ascii") as sizes:
            used = int(sizes.read().split()[5]) * resource.getpagesize()
        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = used + more if hard == resource.RLIM_INFINITY else min(used + more, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    except (ImportError, OSError, ValueError):  # another system
        return None
    return soft, hard


@contextmanager
def memory_limit(gib: float, worker: bool) -> Iterator[None]:
    """Lets the work inside allocate so much and no more; only in a ``worker`` process, which nothing else shares.

    Raises:
        MemoryError: by whoever asks for more, if it does not say so otherwise.
    """
    before = lower_memory(int(gib * 2**30)) if worker else None
    try:
        yield
    finally:
        if before is not None:
            import resource

            resource.setrlimit(resource.RLIMIT_DATA, before)
