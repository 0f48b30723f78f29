"""The runs of a suite on this machine: so many at a time, each in a process and on a GPU of its own."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssl_av.bench.running.live import Board
from ssl_av.bench.running.worker import run_in_process
from ssl_av.config import RunConfig

Record = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """A run that is to be done.

    Attributes:
        place: in the plan.
        label: what the terminal calls it.
        config: the run.
        folder: where it lives.
    """

    place: int
    label: str
    config: RunConfig
    folder: Path


def locally(
    tasks: Sequence[Task], manifest: Path, jobs: int, board: Board
) -> Generator[tuple[Task, Record], None, None]:
    """Does runs on this machine; each with its record, as they end.

    Args:
        tasks: what is to be done.
        manifest: file of the suite's manifest.
        jobs: runs at a time.
        board: told of the progress.
    """
    stop = threading.Event()
    places: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    for gpu in shared_gpus(jobs, visible_gpus()):
        places.put(gpu)

    def one(task: Task) -> Record:
        if stop.is_set():
            raise InterruptedError(task.label)
        gpu = places.get()
        try:
            board.begin(task.label)
            return run_in_process(
                task.config, manifest, task.folder, lambda m: board.show(task.label, m), jobs, stop, gpu
            )
        except BaseException:
            stop.set()  # before this thread takes up what waits
            raise
        finally:
            places.put(gpu)

    with ThreadPoolExecutor(jobs) as pool:
        try:
            running = {pool.submit(one, task): task for task in tasks}
            for future in as_completed(running):
                yield running[future], future.result()
        except BaseException:  # Ctrl-C, mostly: what runs is ended, what waits is not begun
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; nothing is begun on them."""
    said = os.environ.get("CUDA_VISIBLE_DEVICES")
    if said is not None:
        return [name.strip() for name in said.split(",") if name.strip() and name.strip() != "-1"]
    import torch

    return [str(n) for n in range(torch.cuda.device_count())]


def shared_gpus(jobs: int, gpus: Sequence[str]) -> list[str | None]:
    """The GPU of each of ``jobs`` runs that go on at once, in turn; None where there is none."""
    return [gpus[n % len(gpus)] if gpus else None for n in range(jobs)]
