"""Signals that end a training early: the step is finished, a checkpoint written, and the command says so."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.plugins.environments import SLURMEnvironment

from ssl_av.errors import Interrupted
from ssl_av.training.resume import newest_whole, peek

HANGUP = getattr(signal, "SIGHUP", None)
HEEDED = tuple(getattr(signal, n) for n in ("SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP") if hasattr(signal, n))
"""A scheduler's warning before it kills, Ctrl-C, what SLURM sends when it was asked to (``--signal=USR1@90``), and the
end of the terminal."""


class Signals(pl.Callback):
    """Lets a signal end the training between two steps, on every rank after the same one.

    A second Ctrl-C ends it at once.

    Attributes:
        number: of the signal that came first.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._step = -1

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Takes Lightning's place, which saves in the midst of a step; it puts back what was there before."""
        self._step = trainer.global_step
        if threading.current_thread() is threading.main_thread():
            for number in HEEDED:
                if number != HANGUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup
                    signal.signal(number, self._heed)

    def _heed(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None and number == signal.SIGINT:
            raise Interrupted(number, "")  # at KeyboardInterrupt Lightning exits with code 1, without a word
        self.number = self.number or number
        if number == HANGUP:
            _say_no_more()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Asks Lightning to stop after this step, once its gradients are used."""
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        asked = self.number is not None
        if trainer.world_size > 1:
            asked = trainer.strategy.reduce_boolean_decision(asked, all=False)
        if asked:
            trainer._signal_connector.received_sigterm = True

    def ended(self, folder: Path) -> Interrupted:
        """What the command ends with."""
        return ended(self.number or signal.SIGTERM, folder)  # of another rank


@contextmanager
def heeded(folder: Path, rest: str = "") -> Iterator[None]:
    """Outside its training a command ends at once at a signal, with the line and the exit code that it has inside.

    A handler that somebody else has set (submitit) stays, and so does a signal that is ignored (nohup).

    Args:
        folder: of the run, or of the suite.
        rest: of the line, where no checkpoint of the folder is what the command goes on from.

    Raises:
        Interrupted: in place of the signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = [number for number in HEEDED if signal.getsignal(number) == signal.SIG_DFL]

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)  # a second one waits for nothing
        if number == HANGUP:
            _say_no_more()
        raise Interrupted(number, "")

    for number in ours:
        signal.signal(number, end)
    try:
        yield
    except Interrupted as e:
        if e.said:
            raise
        raise ended(e.number, folder, rest) from None
    except KeyboardInterrupt:
        raise ended(signal.SIGINT, folder, rest) from None
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def ended(number: int, folder: Path, rest: str = "") -> Interrupted:
    """What a command ends with; a SLURM job that is to make room is put back into the queue."""
    said = f"stopped by {signal.Signals(number).name}; "
    if rest:
        said += rest
    elif (found := newest_whole(folder)) is not None:
        said += f"{found} is of step {peek(found).steps}, the same command with --resume goes on from it"
    elif (folder / "suite.json").is_file():
        said += "the same command goes on"
    else:
        said += f"there is no checkpoint in {folder} yet"
    if number in (getattr(signal, "SIGUSR1", None), signal.SIGTERM) and SLURMEnvironment.detect():
        said += _requeue(asked=number != signal.SIGTERM)
    return Interrupted(number, said)


def leave_to_trainer(worker: int) -> None:
    """For a reading process: a signal that goes to all processes of a job is its trainer's to heed."""
    for number in HEEDED:
        signal.signal(number, signal.SIG_IGN)


def _say_no_more() -> None:
    """The terminal is gone: who writes to it now is told of an error, which would end the training without saving."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(stream).st_mode):
                os.dup2(nowhere, stream)
    os.close(nowhere)


def _requeue(asked: bool) -> str:
    """Asks SLURM to run this job again, and says what came of it.

    SIGUSR1 was ``asked`` for, to have the job go on. SIGTERM comes when the job is pre-empted, while SLURM still calls
    it running, and also when it is cancelled: then it is let go.
    """
    job = os.environ.get("SLURM_ARRAY_JOB_ID")
    job = f"{job}_{os.environ['SLURM_ARRAY_TASK_ID']}" if job else os.environ["SLURM_JOB_ID"]
    if os.environ.get("SLURM_PROCID", "0") != "0":
        return f"; the first process requeues job {job}"
    try:
        if not asked:
            state = re.search(r"\bJobState=(\w+)", _scontrol("show", "job", job))
            if state and state[1] != "RUNNING":
                return ""
        _scontrol("requeue", job)
    except (OSError, subprocess.SubprocessError) as e:
        why = " ".join(str(getattr(e, "stderr", None) or e).split())
        return f"; job {job} could not be requeued ({why})"
    return f"; job {job} is requeued"


def _scontrol(*words: str) -> str:
    """What SLURM answers."""
    done = subprocess.run(["scontrol", *words], check=True, capture_output=True, text=True, timeout=60)
    return done.stdout
