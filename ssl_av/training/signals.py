"""Signals that end a training early: the step is finished, a checkpoint written, and the command says so."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.plugins.environments import SLURMEnvironment

from ssl_av.errors import Interrupted
from ssl_av.training.resume import newest_whole, peek

HEEDED = tuple(getattr(signal, n) for n in ("SIGTERM", "SIGINT", "SIGUSR1") if hasattr(signal, n))
"""A scheduler's warning before it kills, Ctrl-C, and what SLURM sends when it was asked to (``--signal=USR1@90``)."""


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
                signal.signal(number, self._heed)

    def _heed(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = self.number or number

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
        """What the command ends with; a SLURM job that was warned by SIGUSR1 is put back into the queue."""
        number = self.number or signal.SIGTERM  # of another rank
        said = f"stopped by {signal.Signals(number).name}; "
        found = newest_whole(folder)
        if found is None:
            said += f"there is no checkpoint in {folder} yet"
        else:
            said += f"{found} is of step {peek(found)[0]}, the same command with --resume goes on from it"
        if number == getattr(signal, "SIGUSR1", None) and SLURMEnvironment.detect():
            said += f"; {_requeue()}"
        return Interrupted(number, said)


def leave_to_trainer(worker: int) -> None:
    """For a reading process: a signal that goes to all processes of a job is its trainer's to heed."""
    for number in HEEDED:
        signal.signal(number, signal.SIG_IGN)


def _requeue() -> str:
    """Asks SLURM to run this job again; what came of it."""
    job = os.environ.get("SLURM_ARRAY_JOB_ID")
    job = f"{job}_{os.environ['SLURM_ARRAY_TASK_ID']}" if job else os.environ["SLURM_JOB_ID"]
    if os.environ.get("SLURM_PROCID", "0") != "0":
        return f"the first process requeues job {job}"
    try:
        subprocess.run(["scontrol", "requeue", job], check=True, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as e:
        return f"job {job} could not be requeued ({getattr(e, 'stderr', None) or e})"
    return f"job {job} is requeued"
