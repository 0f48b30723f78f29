"""Optimisers of the papers that torch does not have, parameter groups, and schedules by the step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from ssl_av.errors import UserError
from ssl_av.optim.groups import parameter_groups
from ssl_av.optim.larc import LARC
from ssl_av.optim.lars import LARS
from ssl_av.optim.schedules import factors, schedule

if TYPE_CHECKING:
    from ssl_av.methods.settings import Optim

__all__ = ["LARC", "LARS", "create_optimizer", "parameter_groups", "peak_lr", "schedule"]


def create_optimizer(
    settings: Optim,
    module: nn.Module,
    predictors: Sequence[nn.Module],
    total_steps: int | Callable[[int], int],
    epoch_steps: int | None = None,
    batch: int | None = None,
) -> dict[str, Any]:
    """Optimiser and per-step schedule in Lightning's form.

    Args:
        settings: what to build.
        module: whose parameters are trained.
        predictors: parts of it with the predictor's rate.
        total_steps: optimiser steps of the whole training; a function of the steps so far where they are estimated.
        epoch_steps: optimiser steps of an epoch, for settings that are stated in epochs.
        batch: samples a step, over all devices, for a rate that is scaled by it.

    Raises:
        UserError: if ``settings`` ask for ``epoch_steps`` or ``batch`` and it is not known.
    """
    s = settings
    builders: dict[str, Callable[[list[dict[str, Any]]], Optimizer]] = {
        "adam": lambda groups: Adam(groups, betas=s.betas),
        "adamw": lambda groups: AdamW(groups, betas=s.betas),
        "larc": lambda groups: LARC(groups, betas=s.betas, trust=s.trust),
        "lars": lambda groups: LARS(
            groups,
            lr=s.lr,
            momentum=s.momentum,
            trust=s.trust,
            nesterov=s.nesterov is not False and s.momentum > 0,
            lr_in_momentum=s.lr_in_momentum,
        ),
        "sgd": lambda groups: SGD(groups, momentum=s.momentum, nesterov=bool(s.nesterov)),
    }
    groups = parameter_groups(module, predictors, s, peak_lr(s, batch))
    optimizer = builders[s.name](groups)
    scheduled = factors(s, total_steps, epoch_steps)
    scheduler = LambdaLR(optimizer, [(lambda step: 1.0) if g["constant"] else scheduled for g in groups])
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def peak_lr(settings: Optim, batch: int | None = None) -> float:
    """The rate that is used: ``lr``, scaled by the batch size where the settings say so.

    Args:
        settings: of the optimiser.
        batch: samples a step, over all devices.

    Raises:
        UserError: if the rate is to be scaled and the batch size is not known.
    """
    if settings.lr_scaling == "none":
        return settings.lr
    if batch is None:
        raise UserError(
            f"optim.lr_scaling {settings.lr_scaling}: the batch size is not known; use none and give the rate itself"
        )
    return settings.lr * batch / settings.base_batch
