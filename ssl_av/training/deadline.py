"""A training that ends by the clock: when it ends, and how many steps it will have had.

How many steps a number of minutes buys is known only at the end. Whatever is stretched over the training (the schedule
of the rate, the stages of a method, the online probes) goes by the share of the time that is spent: after s steps and
a share f of the time the whole training is taken to have s / f steps. So the rate after a share f of the time is the
one that a training of a known length has after a share f of its steps, and it reaches its end when the time does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl

UNKNOWN = 10**6
"""Steps that a training is taken to have before its first one: no more is known than that there will be many."""


class Deadline(pl.Callback):
    """Ends the training after the step in which its time ran out.

    Args:
        minutes: of the budget.
        spent: tells the seconds of training so far; those of an interrupted run that goes on are among them.
    """

    def __init__(self, minutes: float, spent: Callable[[], float]) -> None:
        self.seconds, self.spent = 60 * minutes, spent
        self._trainer: pl.Trainer | None = None
        self._read: tuple[int, float] = (-1, 0.0)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Before the optimisers are made."""
        self._trainer = trainer

    def share(self, step: int) -> float:
        """Share of the time that is spent now, after so many steps, in [0, 1].

        The clock is read once a step, so that all that asks is told the same; of several ranks the first one's counts.
        """
        if step != self._read[0]:
            spent = self.spent()
            if self._trainer is not None:
                spent = self._trainer.strategy.broadcast(spent)
            self._read = step, spent
        return min(self._read[1] / self.seconds, 1.0)

    def total(self, step: int) -> int:
        """Steps of the whole training, as estimated after so many."""
        share = self.share(step)
        return max(round(step / share), step + (share < 1)) if step and share else UNKNOWN

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A run that goes on may have no time left."""
        self._end(trainer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """After each step."""
        self._end(trainer)

    def _end(self, trainer: pl.Trainer) -> None:
        if self.share(trainer.global_step) >= 1:
            trainer.should_stop = True


def deadline_of(trainer: Any) -> Deadline | None:
    """The deadline of a training; None where its steps are known."""
    return next((c for c in getattr(trainer, "callbacks", ()) if isinstance(c, Deadline)), None)


def total_steps(trainer: Any) -> int:
    """Steps of the whole training; of one that ends by the clock, as estimated now."""
    deadline = deadline_of(trainer)
    return deadline.total(trainer.global_step) if deadline else int(trainer.estimated_stepping_batches)
