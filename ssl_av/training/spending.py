"""What a run will spend, before it begins, and what it has spent, on every axis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl

from ssl_av.bench.budget import Budget
from ssl_av.config import RunConfig
from ssl_av.methods.base import Method
from ssl_av.training.accounting import Accounting
from ssl_av.training.deadline import Deadline
from ssl_av.training.flops import step_flops


@dataclass(frozen=True)
class Plan:
    """How far a run's budget goes.

    Attributes:
        budget: what was asked for.
        steps: of the optimiser; None where the clock alone tells.
        samples: source videos a step.
        flops: operations a step (`ssl_av.training.flops`); None where they were not or cannot be counted.
    """

    budget: Budget
    steps: int | None
    samples: int
    flops: int | None

    @classmethod
    def of(
        cls, config: RunConfig, make: Callable[[], Method], training_samples: int, count: bool = False
    ) -> Plan:
        """The plan of a run of a method that trains.

        Args:
            config: the run.
            make: builds its method, without weights.
            training_samples: of the training split.
            count: count the operations also where the budget needs no count.

        Raises:
            UserError: if the budget does not buy a step.
        """
        batch_size = min(config.loading.batch_size, training_samples)
        accumulated = int(config.trainer.get("accumulate_grad_batches") or 1)
        flops = step_flops(make, batch_size) if count or config.budget.flops is not None else None
        flops = flops and flops * accumulated
        steps = config.budget.to_steps(training_samples, batch_size, flops, accumulated)
        return cls(config.budget, steps, batch_size * accumulated, flops)

    def limits(self) -> dict[str, Any]:
        """The trainer's arguments that end it there; with a budget of minutes its `callbacks` do."""
        steps = -1 if self.steps is None else self.steps
        often = 10 if self.steps is None else max(min(10, self.steps // 4), 1)
        return {"max_steps": steps, "max_epochs": -1, "log_every_n_steps": often}

    def callbacks(self, accounting: Accounting) -> list[pl.Callback]:
        """What else the trainer needs for that."""
        minutes = self.budget.minutes
        return [] if minutes is None else [Deadline(minutes, lambda: accounting.clock.total)]


def spent(accounting: Accounting, steps: int, plan: Plan | None, gpus: int) -> dict[str, Any]:
    """What a training took, on every axis.

    Args:
        accounting: its account.
        steps: of the optimiser.
        plan: None where nothing was trained.
        gpus: that computed.

    Returns:
        ``samples``, ``steps``, ``clips`` (views of samples), ``seconds`` (waiting, augmenting and steps, without
        evaluation), ``flops``, ``gpu_hours`` (None without a GPU) and ``joules`` (None where the machine cannot tell).
    """
    seconds, joules = accounting.clock.total, accounting.clock.joules
    each = plan.flops / plan.samples if plan and plan.flops else None
    return {
        "samples": accounting.samples,
        "steps": steps,
        "clips": accounting.clips,
        "seconds": round(seconds, 2),
        "flops": each and round(each * accounting.samples),
        "gpu_hours": seconds * gpus / 3600 if gpus else None,
        "joules": joules if joules is None else round(joules, 1),
    }
