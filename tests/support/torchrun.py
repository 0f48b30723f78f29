"""The command line as torchrun begins it, in processes that are forked from the server that has imported torch."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from commands import _CONTEXT, _command


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
    command = [str(word) for word in words]
    started = []
    for rank in range(count):
        env = {**os.environ, "SSL_AV_CACHE": str(cache), "COLUMNS": "200"}
        if count > 1:
            env |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count), "GROUP_RANK": "0",
                    "LOCAL_WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
                    "TORCHELASTIC_RUN_ID": "none"}  # fmt: skip
        files = [cwd / f"rank{rank}.{name}" for name in ("out", "err")]
        for file in files:
            file.unlink(missing_ok=True)
        own = hit[1:] if hit and hit[0] == rank else None
        process = _CONTEXT.Process(target=_rank, args=(command, str(cwd), env, *map(str, files), own))
        process.start()
        started.append((process, files))
    found = []
    for process, files in started:
        process.join(timeout)
        hangs = process.is_alive()
        if hangs:
            process.kill()
            process.join()
        out, err = (file.read_text(encoding="utf-8") for file in files)
        assert not hangs, f"it hangs: {err}"
        found.append(subprocess.CompletedProcess(command, process.exitcode or 0, out, err))
    return found


def _rank(
    words: list[str], cwd: str, env: dict[str, str], out: str, err: str, hit: tuple[int, int] | None
) -> None:
    if hit is not None:
        from ssl_av.training.signals import Signals

        heed = Signals.on_train_batch_end

        def at_step(self, trainer, *rest):
            if trainer.global_step == hit[0]:
                os.kill(os.getpid(), signal.Signals(hit[1]))
            heed(self, trainer, *rest)

        Signals.on_train_batch_end = at_step
    _command(words, cwd, env, out, err)
