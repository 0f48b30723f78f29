"""Schedules of the learning rate, by the step."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ssl_av.errors import UserError
from ssl_av.methods.optim_settings import parse_span

if TYPE_CHECKING:
    from ssl_av.methods.settings import Optim


def schedule(
    kind: str,
    step: int,
    total: int,
    warmup: float | str = 0.0,
    end: float = 0.0,
    *,
    start: float | None = None,
    inclusive: bool = False,
    milestones: Sequence[float | str] = (),
    gamma: float = 0.1,
    epoch_steps: int | None = None,
) -> float:
    """Factor on the learning rate at a step.

    The warm-up of n steps gives, at step s:

    - (s + 1) / (n + 1), the rate itself being reached at step n;
    - with ``start``, start + (1 - start) · s / n;
    - ``inclusive``, the rate is reached at step n - 1: (s + 1) / n, and start + (1 - start) · s / (n - 1).

    Args:
        kind: ``cosine``, ``constant`` or ``multistep``.
        step: 0 … total - 1.
        total: steps of the training.
        warmup: how long the factor rises to 1: a share of them, ``"5000 steps"`` or ``"10 epochs"``.
        end: factor that the cosine reaches at ``total``.
        start: factor at step 0 where there is a warm-up.
        inclusive: the last step of the warm-up has the full rate.
        milestones: from the beginning of the training, where ``gamma`` is multiplied.
        gamma: factor at each milestone.
        epoch_steps: steps of an epoch, where a length is stated in epochs.
    """
    rising = span_steps("warmup", warmup, total, epoch_steps)
    if step < rising:
        if start is None:
            return (step + 1) / (rising if inclusive else rising + 1)
        strides = rising - 1 if inclusive else rising
        return start + (1 - start) * step / max(strides, 1)
    if kind == "constant":
        return 1.0
    if kind == "multistep":
        passed = [m for m in milestones if step >= span_steps("milestones", m, total, epoch_steps)]
        return float(gamma ** len(passed))
    progress = min((step - rising) / max(total - rising, 1), 1.0)
    return end + (1 - end) * 0.5 * (1 + math.cos(math.pi * progress))


def factors(
    settings: Optim, total: int | Callable[[int], int], epoch_steps: int | None = None
) -> Callable[[int], float]:
    """The schedule of some settings: step → factor on the rate.

    Args:
        settings: of the optimiser.
        total: steps of the training; a function of the step where they are estimated anew after each.
        epoch_steps: steps of an epoch.

    Raises:
        UserError: if the settings are stated in epochs and ``epoch_steps`` is not known.
    """
    s = settings
    if callable(total):
        estimated = total
        return lambda step: _fixed(s, estimated(step), epoch_steps)(step)
    rising = span_steps("warmup", s.warmup, total, epoch_steps)
    if rising > total:
        warnings.warn(
            f"optim.warmup is {s.warmup}, the whole training {total} steps: the rate never reaches optim.lr",
            stacklevel=2,
        )
    return _fixed(s, total, epoch_steps)


def _fixed(s: Optim, total: int, epoch_steps: int | None) -> Callable[[int], float]:
    """The schedule over a number of steps."""
    # In steps from here on, so that what is wrong is said before the training.
    warmup = f"{span_steps('warmup', s.warmup, total, epoch_steps)} steps"
    milestones = [f"{span_steps('milestones', m, total, epoch_steps)} steps" for m in s.milestones]

    def factor(step: int) -> float:
        return schedule(
            s.schedule, step, total, warmup, s.end, start=s.warmup_start, inclusive=s.warmup_inclusive,
            milestones=milestones, gamma=s.gamma,
        )  # fmt: skip

    return factor


def span_steps(name: str, value: float | str, total: int, epoch_steps: int | None = None) -> int:
    """A length of training in steps.

    Args:
        name: the field, for the error.
        value: a share of the training, ``"5000 steps"`` or ``"10 epochs"``.
        total: steps of the training.
        epoch_steps: steps of an epoch.

    Raises:
        UserError: if it is stated in epochs and ``epoch_steps`` is not known.
    """
    number, unit = parse_span(name, value)
    if unit == "epochs" and epoch_steps is None:
        raise UserError(
            f"optim.{name} is {value}, but the steps of an epoch are not known; give steps or a share"
        )
    return round(number * {"share": total, "steps": 1, "epochs": epoch_steps or 0}[unit])
