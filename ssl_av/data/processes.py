"""Work on files in processes that may hang, crash or eat the memory: that file fails, the rest goes on.

`concurrent.futures` gives up all of its processes when one dies, does not say which item it died of, and knows no
limits; reading broken media needs the opposite.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from types import ModuleType
from typing import Any, Generic, TypeVar

from ssl_av.data.watch import lower_memory
from ssl_av.errors import UserError

Item = TypeVar("Item")
Answer = TypeVar("Answer")

MEMORY = 4 << 30
"""Bytes that the work on one file may allocate (Linux): twice what the largest frames that are read need."""

STARTUP = 300.0
"""Seconds that a process may take to begin; importing from a slow disk takes long."""

AHEAD = 8
"""Items that lie ready for each process, so that none waits for the main process between two."""


@dataclass(frozen=True)
class Failed:
    """The work on an item that came to no end, and why."""

    reason: str


OVERDUE = "took longer than"
DIED = "the process that opened it died"
TEMPORARY = (OVERDUE, DIED)
"""How reasons begin that may lie in the machine, not in the file: they are not believed for ever."""


def in_processes(
    work: Callable[[Item], Answer], items: Sequence[Item], processes: int, limit: float, memory: int = MEMORY
) -> Iterator[tuple[Item, Answer | Failed]]:
    """Each item with its answer, as they come, in any order.

    The processes are spawned, not forked: whoever calls may have threads.

    Args:
        work: must be importable in another process, as its items and answers must be picklable.
        items: what to work on.
        processes: how many at a time.
        limit: seconds that one item may take; then its process is killed and another takes over.
        memory: bytes that a process may allocate beyond what it begins with (where the system can say so).

    Raises:
        UserError: if no process can be started.
    """
    left = deque(items)
    workers = [_Worker(work, limit, memory) for _ in range(min(processes, len(items)))]
    try:
        while True:
            for worker in workers:
                worker.fill(left)
            busy = {worker.pipe: worker for worker in workers if worker.waiting}
            if not busy:
                return
            asked = time.monotonic()
            patience = max(min(worker.deadline for worker in busy.values()) - asked, 0.0)
            ready = wait(list(busy), patience)
            for pipe in ready:
                yield from busy[pipe].receive(left)  # type: ignore[index]
            # All of us may have been stopped, or the machine asleep: that is not the file's fault.
            slept = max(time.monotonic() - asked - patience - 1.0, 0.0)
            for worker in busy.values():
                worker.deadline += slept
                if not slept and worker.overdue:
                    yield worker.give_up(left, f"{OVERDUE} {limit:g} s")
    finally:
        for worker in workers:
            worker.stop()


class _Worker(Generic[Item, Answer]):
    """A process, and what it has yet to answer, the first being worked on."""

    def __init__(self, work: Callable[[Item], Answer], limit: float, memory: int) -> None:
        self.limit = limit
        self.waiting: deque[Item] = deque()
        self._begin = (work, memory)
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, *self._begin), daemon=True)
        with _apart_from_the_script(self._begin):
            self.process.start()
        theirs.close()  # so that its death is the end of the pipe
        self.started = False
        self.deadline = time.monotonic() + STARTUP

    @property
    def overdue(self) -> bool:
        """Whether its first item took too long; what has just come is looked at first."""
        return bool(self.waiting) and time.monotonic() > self.deadline and not self.pipe.poll()

    def fill(self, left: deque[Item]) -> None:
        """Gives it items."""
        if not self.process.is_alive() and not self.waiting and left:
            self._restart()
        if not self.waiting and self.started:
            self.deadline = time.monotonic() + self.limit
        while left and len(self.waiting) < AHEAD:
            try:
                self.pipe.send(left[0])
            except OSError:  # it died; the next look at the pipe says so
                if not self.waiting:
                    self.waiting.append(left.popleft())
                return
            self.waiting.append(left.popleft())

    def receive(self, left: deque[Item]) -> Iterator[tuple[Item, Answer | Failed]]:
        """The answers that have come."""
        try:
            while self.pipe.poll():
                answer = self.pipe.recv()
                self.deadline = time.monotonic() + self.limit
                if self.started:
                    yield self.waiting.popleft(), answer
                self.started = True
        except (EOFError, OSError):
            self.process.join(10)
            yield self.give_up(left, f"{DIED} ({_cause(self.process.exitcode)})")

    def give_up(self, left: deque[Item], reason: str) -> tuple[Item, Failed]:
        """Fails the first item, gives back the others, and starts a new process."""
        if not self.started:
            raise UserError(
                f"a process for opening files cannot be started ({_cause(self.process.exitcode)}); in a script, what "
                "is called must stand under: if __name__ == '__main__':"
            )
        item = self.waiting.popleft()
        left.extendleft(reversed(self.waiting))
        self.waiting.clear()
        self._restart()
        return item, Failed(reason)

    def _restart(self) -> None:
        self.stop()
        self._start()

    def stop(self) -> None:
        """Kills the process: it may not heed anything else."""
        self.process.kill()
        self.process.join(10)
        self.pipe.close()


@contextmanager
def _apart_from_the_script(sent: object) -> Iterator[None]:
    """A process that is started within this does not run the user's script again, unless what it is sent is of it."""
    script = sys.modules["__main__"]
    if b"__main__" not in bytes(ForkingPickler.dumps(sent)):
        sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


def _cause(code: int | None) -> str:
    if code is None:
        return "it does not answer"
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return f"{name}: out of memory?" if name == "SIGKILL" else name


def _serve(pipe: Connection, work: Callable[[Any], Any], memory: int) -> None:
    """What a process does: answers items until there are no more, or its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    threading.Thread(target=_end_with_parent, daemon=True).start()
    lower_memory(memory)
    pipe.send("started")
    while True:
        try:
            item = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            answer = work(item)
        except MemoryError:
            answer = Failed(f"needs more than {memory / (1 << 30):g} GiB of memory")
        except Exception as e:  # a decoder's own, most likely; the file is named, and the others go on
            answer = Failed(f"{type(e).__name__}: {e}".split("\n")[0])
        pipe.send(answer)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
