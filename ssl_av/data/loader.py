"""A DataLoader that stops when too much cannot be read, and says which file a reading process died of."""

from __future__ import annotations

import math
import multiprocessing
import os
import re
import shutil
import signal
import traceback
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.queues import Queue
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, get_worker_info
from torch.utils.data._utils import signal_handling

from ssl_av.data.manifest import Manifest
from ssl_av.errors import UserError
from ssl_av.training.signals import leave_to_trainer

Batch = dict[str, Any]

MIN_BAD = 10
"""Files that must be unreadable before a share above ``max_bad`` stops a run (all of them in a smaller data set)."""

NO_ROOM = -2
"""In place of a file's number in a `Diary`."""

SHARED = "/dev/shm"
"""Where Linux has the memory that processes share."""

PATIENCE = 10
"""How many times the limit of one sample a whole batch may take."""


class Diary:
    """What each reading process is reading, in memory that all processes share.

    Args:
        manifest: the samples.
        workers: number of processes.

    Attributes:
        begun: the processes that were begun, also those that have not come to read anything.
    """

    def __init__(self, manifest: Manifest, workers: int) -> None:
        self.manifest = manifest
        self.begun: set[int] = set()
        with torch.inference_mode(False):  # else no thread of a reading process may write to it
            self._entries: Tensor = torch.full((workers, 2), -1, dtype=torch.int64).share_memory_()

    def write(self, worker: int, index: int) -> None:
        """Process ``worker`` begins to read sample ``index``."""
        self._entries[worker, 0], self._entries[worker, 1] = os.getpid(), index

    def note_no_room(self, worker: int) -> None:
        """Process ``worker`` could not hand over a batch, for want of shared memory."""
        self._entries[worker, 1] = NO_ROOM

    @property
    def no_room(self) -> bool:
        """Whether a process has said so."""
        return bool((self._entries[:, 1] == NO_ROOM).any())

    def read(self, pids: set[int]) -> list[str]:
        """The files that these processes were reading, as the manifest names them."""
        found = [int(index) for pid, index in self._entries.tolist() if pid in pids and index >= 0]
        return [os.path.relpath(self.manifest[i].path, self.manifest.root) for i in found]

    @property
    def pids(self) -> set[int]:
        """All processes that have begun to read."""
        return {pid for pid, _ in self._entries.tolist() if pid >= 0}


_diaries: weakref.WeakSet[Diary] = weakref.WeakSet()


def begin_reading(worker: int) -> None:
    """For a reading process, at its beginning: what it leaves to the trainer, and what it does not survive.

    A batch that cannot be handed over is lost, and PyTorch would wait for it; so the process ends, and that is seen.
    """
    leave_to_trainer(worker)
    info = get_worker_info()
    diary = getattr(info.dataset, "diary", None) if info else None

    def lost(error: Exception, batch: Any) -> None:
        try:
            if diary is not None and "shared memory" in str(error):
                diary.note_no_room(worker)
            else:
                traceback.print_exception(error)
        finally:
            os._exit(1)

    Queue._on_queue_feeder_error = staticmethod(lost)  # type: ignore[attr-defined]


def _see_the_dead() -> None:
    """A reading process that ends is seen at once, also after a training.

    Lightning puts back the handlers of all signals that it found, which takes PyTorch's own, set during the training,
    away; PyTorch believes that it is there still, and would wait for a batch until the time for it is over.
    """
    child = getattr(signal, "SIGCHLD", None)
    if child is not None and signal.getsignal(child) == signal.SIG_DFL:
        signal_handling._SIGCHLD_handler_set = False


class Loader(DataLoader[Batch]):
    """Batches of a `ClipDataset`, with an eye on what cannot be read.

    A file that cannot be read counts once, however many samples lie in it and epochs pass; the share is that of the
    different samples asked for so far.

    Args:
        dataset: with a ``manifest``, and a ``diary`` to be set.
        max_bad: share of unreadable files that is let pass.
        **settings: of the DataLoader.
    """

    def __init__(self, dataset: Any, max_bad: float, **settings: Any) -> None:
        super().__init__(dataset, **settings)
        self.max_bad = max_bad
        self.diary = dataset.diary = Diary(dataset.manifest, self.num_workers)
        _diaries.add(self.diary)
        self.asked, self.bad = 0, dict[str, str]()

    def __iter__(self) -> Any:
        """The batches.

        Raises:
            UserError: if too many files cannot be read, or a reading process died or hangs.
        """
        _see_the_dead()
        with reading_explained():
            batches = super().__iter__()
            self.diary.begun |= {reader.pid for reader in getattr(batches, "_workers", ())}
            for batch in batches:
                self._count(batch)
                yield batch

    def _count(self, batch: Batch) -> None:
        self.asked += len(batch["index"]) + len(batch["skipped"])
        self.bad |= dict(batch["skipped"])
        size = len(self.diary.manifest)
        seen, bad = min(self.asked, size), len(self.bad)
        if bad <= self.max_bad * seen or bad < (min(MIN_BAD, size) if self.max_bad else 1):
            return
        path, reason = list(self.bad.items())[-1]
        raise UserError(
            f"{bad} of {seen} samples cannot be read ({100 * bad / seen:.1f} %; --data.max_bad {self.max_bad} allows "
            f"{100 * self.max_bad:.3g} %), the last one {path}: {reason}. Mend or remove them, or raise --data.max_bad"
        )


@contextmanager
def reading_explained() -> Iterator[None]:
    """Turns what PyTorch says of a reading process that died or hangs into a line that says what to do.

    It may say so anywhere in the main process, not only where a batch is asked for.

    Raises:
        UserError: instead of PyTorch's error.
    """
    try:
        yield
    except RuntimeError as e:
        if "DataLoader" not in (words := str(e)) or not re.search("worker|timed out", words):
            raise
        named = {
            int(n) for group in re.findall(r"pids?(?:\(s\))? ([\d, ]+)", words) for n in group.split(",")
        }
        # Where no process is named, one of those that live: what others read last is long past.
        living = {child.pid for child in multiprocessing.active_children() if child.pid}
        files = [f for diary in _diaries for f in diary.read(named or living)]
        if any(diary.no_room for diary in _diaries) or ("Bus error" in words and _shared_room() < 64):
            raise UserError(
                f"a reading process cannot hand over its batches: {SHARED} is full ({_shared_room():.1f} MiB are "
                "free). Make it larger (docker run --shm-size 8g), take fewer --data.num_workers (0 needs none of "
                "it), or a smaller --data.batch_size"
            ) from e
        what = "died"
        if "timed out" in words:
            what = "hangs"
            _kill({pid for diary in _diaries for pid in diary.pids | diary.begun})
        where = f" while it read {' or '.join(sorted(set(files)))}" if files else ""
        killed = re.search(r"killed by signal: ([\w ]+)", words)
        why = f" ({killed[1].strip()})" if killed else ""
        raise UserError(
            f"a reading process {what}{why}{where}: out of memory, or a file that its decoder does not survive or come "
            "back from. Remove that file or try another --data.reader, or take fewer --data.num_workers; what was "
            "trained is in the last checkpoint (--resume)"
        ) from e


def _shared_room() -> float:
    """MiB that are free for processes to share."""
    return shutil.disk_usage(SHARED).free / 2**20 if os.path.isdir(SHARED) else math.inf


def _kill(pids: set[int]) -> None:
    """Ends children that may not heed a mere request: a stopped one would be waited for when this process exits."""
    for child in multiprocessing.active_children():
        if child.pid in pids:
            child.kill()
