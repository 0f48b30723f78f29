"""What a run may spend: the same for every method of a comparison."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

from ssl_av.errors import UserError, unknown

WHOLE = ("samples", "steps", "epochs")
"""Units that are counted; the others are measured."""

MOST = 2**53
"""Of what is counted: up to there every whole number is a floating-point one too, as schedules compute with."""


@dataclass(frozen=True)
class Budget:
    """What a run may spend: exactly one of the fields is set.

    Attributes:
        samples: source videos seen, however many views of each a method takes.
        steps: optimiser steps.
        flops: operations of the networks' forward and backward, as they are counted for each method
            (`ssl_av.training.flops`): a method of two views gets fewer steps for them than a method of one.
        minutes: of training: waiting for data, augmenting and steps, without evaluation (`Clock`).
        epochs: passes over the training split.
    """

    samples: int | None = None
    steps: int | None = None
    flops: float | None = None
    minutes: float | None = None
    epochs: int | None = None

    def __post_init__(self) -> None:
        given = self.asked()
        if len(given) != 1:
            units = ", ".join(f.name for f in fields(self))
            raise UserError(f"a budget is exactly one of {units}; got {given or 'none of them'}")
        for name, value in given.items():
            least = "at least 1" if name in WHOLE else "more than 0"
            if not (value >= 1 if name in WHOLE else 0 < value < math.inf):
                raise UserError(f"a budget of {name}={value} trains nothing; give {least}")
            if name in WHOLE and value > MOST:
                raise UserError(f"a budget of {name}: give at most {MOST}, which no training reaches")

    @classmethod
    def parse(cls, text: str) -> Budget:
        """``"samples=20000"``, ``"flops=2.5e12"`` → a budget.

        Raises:
            UserError: for another form, an unknown unit or a number that buys nothing.
        """
        unit, equals, number = text.partition("=")
        names = [f.name for f in fields(cls)]
        if not equals:
            raise UserError(
                f"--budget {text}: write it as UNIT=NUMBER, e.g. samples=20000 (units: {', '.join(names)})"
            )
        if unit not in names:
            raise unknown("budget unit", unit, names)
        value: Any = _number(text, number, unit in WHOLE)
        return cls(**{unit: value})

    def asked(self) -> dict[str, int | float]:
        """The field that is set."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}

    def scaled(self, share: float) -> Budget:
        """A share of this budget, of what is counted at least one."""
        ((name, value),) = self.asked().items()
        return Budget(**{name: max(int(value * share), 1) if name in WHOLE else value * share})  # type: ignore[arg-type]

    def to_steps(
        self, samples_per_epoch: int, batch_size: int, flops: float | None = None, accumulated: int = 1
    ) -> int | None:
        """Optimiser steps that this budget buys: as many whole ones as it has room for.

        Args:
            samples_per_epoch: of the training split.
            batch_size: samples a batch.
            flops: operations of one optimiser step, for a budget of them.
            accumulated: batches a step.

        Returns:
            The steps; None where the clock alone tells.

        Raises:
            UserError: if it does not buy one, or the operations are not known.
        """
        if self.steps is not None or self.minutes is not None:
            return self.steps
        if self.epochs is not None:
            return self.epochs * math.ceil(samples_per_epoch // batch_size / accumulated)
        if self.samples is not None:
            each: float = batch_size * accumulated
            one = f"one batch of {batch_size}" if accumulated == 1 else f"one step of {each} samples"
        elif flops:
            each, one = flops, f"one step of {flops:.3g}"
        else:
            raise UserError(
                "a budget of flops: the operations of this method cannot be counted; give another unit"
            )
        spend = self.samples if self.samples is not None else self.flops
        assert spend is not None
        if spend < each:
            ((name, value),) = self.asked().items()
            raise UserError(
                f"a budget of {name}={value:{'d' if name in WHOLE else '.3g'}} is less than {one}; raise it or lower "
                "--data.batch_size"
            )
        return int(spend // each)


def _number(text: str, number: str, whole: bool) -> int | float:
    """``20_000``, ``1e4``, ``2.5e12``."""
    kind = "whole number" if whole else "number"
    try:
        value = float(number.replace("_", ""))
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or (whole and not value.is_integer()):
        raise UserError(f"--budget {text}: '{number}' is not a {kind}")
    return int(value) if whole else value
