"""The command line as torchrun begins it, in processes that are forked from the server that has imported torch."""

from __future__ import annotations

import functools
import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from commands import Command


def torchrun(
    count: int,
    words: Sequence[object],
    cwd: Path,
    cache: Path,
    hit: tuple[int, int, int] | None = None,
    timeout: float = 300,
) -> list[subprocess.CompletedProcess[str]]:
    """`ssl-av` with these words on so many ranks; what came of each.

    Args:
        count: ranks; 1: alone, without torchrun.
        words: of the command line.
        cwd: where.
        cache: of the data.
        hit: rank, step and signal: what this rank sends itself when it has made this step.
        timeout: seconds for all.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    begun = []
    for rank in range(count):
        env = {**os.environ, "SSL_AV_CACHE": str(cache), "COLUMNS": "200"}
        if count > 1:
            env |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count), "GROUP_RANK": "0",
                    "LOCAL_WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
                    "TORCHELASTIC_RUN_ID": "none"}  # fmt: skip
        own = functools.partial(_hit, *hit[1:]) if hit and hit[0] == rank else None
        begun.append(Command(words, cwd, env, first=own))
    return [command.ended(timeout) for command in begun]


def _hit(step: int, number: int) -> None:
    """This process sends itself a signal when it has made a step."""
    from ssl_av.training.signals import Signals

    heed = Signals.on_train_batch_end

    def at_step(self, trainer, *rest):
        if trainer.global_step == step:
            os.kill(os.getpid(), signal.Signals(number))
        heed(self, trainer, *rest)

    Signals.on_train_batch_end = at_step
