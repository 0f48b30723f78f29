"""What watches a training or disturbs it, and what it has logged."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from ssl_av.training.logs import read_rows


def logged(folder: Path) -> list[dict[str, str]]:
    """The rows of metrics.csv, without what depends on the clock."""
    return [
        {k: v for k, v in row.items() if k != "data_wait"} for row in read_rows(folder / "metrics.csv")[1]
    ]


class Photograph(pl.Callback):
    """Copies a run's folder in the midst of certain steps: what a kill -9 would leave there."""

    def __init__(self, folder: Path, copies: Path, steps: tuple[int, ...]) -> None:
        self.folder, self.copies, self.steps = folder, copies, steps

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        if trainer.global_step in self.steps:
            shutil.copytree(self.folder, self.copies / str(trainer.global_step))


class PhotographSaved(Checkpoint):
    """The same as soon as the end of the first epoch is saved: Lightning asks checkpoints last, in their order."""

    def __init__(self, folder: Path, copy: Path) -> None:
        self.folder, self.copy = folder, copy

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        if not self.copy.exists():
            shutil.copytree(self.folder, self.copy)


class Signal(pl.Callback):
    """Sends this process a signal in the midst of a step."""

    def __init__(self, number: int, step: int, times: int = 1) -> None:
        self.number, self.step, self.times = number, step, times

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        if trainer.global_step == self.step:
            for _ in range(self.times):
                os.kill(os.getpid(), self.number)
