"""Groups of processes on this machine, connected by gloo, that do one job after another."""

from __future__ import annotations

import importlib
import traceback
from pathlib import Path
from typing import Any

from commands import _CONTEXT  # forked from the server that has imported torch


class Pool:
    """So many ranks.

    Args:
        count: processes.
        folder: where they find each other.
    """

    def __init__(self, count: int, folder: Path) -> None:
        self.pipes, self.processes = [], []
        for rank in range(count):
            here, there = _CONTEXT.Pipe()
            process = _CONTEXT.Process(
                target=_serve, args=(rank, count, str(folder / f"gloo-{count}"), there), daemon=True
            )
            process.start()
            there.close()
            self.pipes.append(here)
            self.processes.append(process)

    def run(self, job: str, **arguments: Any) -> list[Any]:
        """What ``module.function(**arguments)`` gives on every rank, in rank order; a rank's error is raised."""
        for pipe in self.pipes:
            pipe.send((job, arguments))
        found = []
        for rank, pipe in enumerate(self.pipes):
            assert pipe.poll(60), f"rank {rank} hangs in {job}"
            found.append(pipe.recv())
        errors = [text for kind, text in found if kind == "error"]
        assert not errors, errors[0]
        return [value for _, value in found]

    def close(self) -> None:
        """Ends the processes."""
        for pipe in self.pipes:
            pipe.close()
        for process in self.processes:
            process.join(5)
            if process.is_alive():
                process.kill()


def _serve(rank: int, count: int, file: str, pipe: Any) -> None:
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=count)
    while True:
        try:
            job, arguments = pipe.recv()
        except EOFError:
            return
        module, name = job.split(".")
        try:
            pipe.send(("value", getattr(importlib.import_module(module), name)(**arguments)))
        except Exception:
            pipe.send(("error", traceback.format_exc()))
