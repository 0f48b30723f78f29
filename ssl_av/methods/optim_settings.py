"""The settings of optimiser and schedule, checked when they are made."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from ssl_av.errors import UserError, unknown

OPTIMIZERS = ("adam", "adamw", "larc", "lars", "sgd")
SCHEDULES = ("constant", "cosine", "multistep")
KINDS = ("bias", "norm")
SCALINGS = ("none", "linear")
UNITS = ("steps", "epochs")


@dataclass(frozen=True)
class Optim:
    """Optimiser and schedule. The rate given here is the rate used, unless ``lr_scaling`` says otherwise.

    A length of time (``warmup``, ``milestones``) is a share of the training (``0.1``), ``5000 steps`` or
    ``10 epochs``.

    Attributes:
        name: ``adam`` (coupled L2), ``adamw``, ``sgd``, ``lars`` or ``larc`` (LARC around Adam).
        lr: learning rate.
        weight_decay: on weights; on what ``exclude`` names too where ``decay_all``.
        decay_all: exclude nothing.
        exclude: kinds of parameter without decay, and without LARS's adaptation: ``bias``, ``norm`` (scale and
            shift of a normalisation).
        momentum: of ``sgd`` and ``lars``.
        nesterov: of ``sgd`` and ``lars``; null is yes for ``lars``, no for ``sgd``.
        betas: of ``adam``, ``adamw`` and ``larc``.
        trust: trust coefficient of ``lars`` and ``larc``.
        lr_in_momentum: ``lars`` multiplies by the rate before it adds to the momentum (You et al., optax), not
            after it (torch); they differ where the rate changes.
        warmup: length of the linear rise of the rate.
        warmup_start: factor on the rate at the first step; null is one stride above zero.
        warmup_inclusive: the rise ends with its last step, not with the first one after it.
        schedule: after the warm-up: ``constant``; ``cosine`` to ``end`` × lr; ``multistep``, × ``gamma`` at each
            of the ``milestones``.
        end: where the cosine ends, as a share of lr.
        milestones: counted from the start of the training, rising, all in one unit.
        gamma: factor at a milestone.
        predictor_scale: factor on the rate of the predictor, where the method has one.
        predictor_constant: the predictor's rate follows no schedule.
        lr_scaling: ``linear`` multiplies lr by batch / ``base_batch``, where the batch is that of all devices and
            accumulated steps together; ``none`` uses lr as it is.
        base_batch: the batch size for which lr is stated, where it is scaled.
    """

    name: str = "adam"
    lr: float = 1e-3
    weight_decay: float = 1e-5
    decay_all: bool = False
    exclude: tuple[str, ...] = KINDS
    momentum: float = 0.9
    nesterov: bool | None = None
    betas: tuple[float, float] = (0.9, 0.999)
    trust: float = 0.001
    lr_in_momentum: bool = False
    warmup: float | str = 0.0
    warmup_start: float | None = None
    warmup_inclusive: bool = False
    schedule: str = "constant"
    end: float = 0.0
    milestones: tuple[float | str, ...] = ()
    gamma: float = 0.1
    predictor_scale: float = 1.0
    predictor_constant: bool = False
    lr_scaling: str = "none"
    base_batch: int = 256

    def __post_init__(self) -> None:
        for name in ("exclude", "betas", "milestones"):
            value = getattr(self, name)
            if isinstance(value, str) or not hasattr(value, "__iter__"):
                raise UserError(f"optim.{name} must be a list, got {value!r}")
            object.__setattr__(self, name, tuple(value))
        self._check_names()
        self._check_numbers()
        self._check_schedule()

    def _check_names(self) -> None:
        for what, value, known in (
            ("optimizer", self.name, OPTIMIZERS),
            ("schedule", self.schedule, SCHEDULES),
            ("lr_scaling", self.lr_scaling, SCALINGS),
            *(("kind of parameter in optim.exclude", kind, KINDS) for kind in self.exclude),
        ):
            if value not in known:
                raise unknown(what, str(value), known)
        if self.decay_all and self.exclude not in (KINDS, ()):
            raise UserError("optim.exclude names kinds of parameter: set optim.decay_all: false with it")
        if self.nesterov and self.name not in ("sgd", "lars"):
            raise UserError(f"optim.nesterov is for sgd and lars, not for {self.name}")
        if self.lr_in_momentum and self.name != "lars":
            raise UserError(f"optim.lr_in_momentum is for lars, not for {self.name}")

    def _check_numbers(self) -> None:
        for name in ("lr", "trust", "gamma", "predictor_scale", "base_batch", "weight_decay", "end"):
            value, zero = getattr(self, name), name in ("weight_decay", "end")
            _check_number(name, value)
            if value < 0 or (value == 0 and not zero):
                raise UserError(f"optim.{name} must be {'at least' if zero else 'above'} 0, got {value}")
        if len(self.betas) != 2:
            raise UserError(f"optim.betas must be two numbers, got {list(self.betas)}")
        for name, value in (("momentum", self.momentum), *(("betas", beta) for beta in self.betas)):
            _check_number(name, value)
            if not 0 <= value < 1:
                raise UserError(f"optim.{name} must be at least 0 and below 1, got {value}")
        if self.nesterov and self.momentum == 0:
            raise UserError("optim.nesterov needs a momentum above 0")

    def _check_schedule(self) -> None:
        parse_span("warmup", self.warmup)
        if self.warmup_start is not None:
            _check_number("warmup_start", self.warmup_start)
            if not 0 <= self.warmup_start <= 1:
                raise UserError(f"optim.warmup_start must be from 0 to 1, got {self.warmup_start}")
        if self.schedule == "multistep" and not self.milestones:
            raise UserError("optim.schedule multistep needs optim.milestones, e.g. [6 epochs, 10 epochs]")
        if self.schedule != "multistep" and self.milestones:
            raise UserError(f"optim.milestones are for the schedule multistep, not for {self.schedule}")
        spans = [parse_span("milestones", m) for m in self.milestones]
        if len({unit for _, unit in spans}) > 1:
            raise UserError(f"optim.milestones must be in one unit, got {list(self.milestones)}")
        if any(a >= b for (a, _), (b, _) in itertools.pairwise(spans)):
            raise UserError(f"optim.milestones must rise, got {list(self.milestones)}")


def parse_span(name: str, value: Any) -> tuple[float, str]:
    """A length of training: ``0.1`` → (0.1, "share"), ``"5000 steps"`` → (5000, "steps"), ``"10 epochs"``.

    Args:
        name: the field, for the error.
        value: what was given.

    Raises:
        UserError: if it is none of these.
    """
    number, unit = value, "share"
    if isinstance(value, str):
        text, _, unit = value.strip().partition(" ")
        unit = {"": "share", "step": "steps", "epoch": "epochs"}.get(unit.strip(), unit.strip())
        try:
            number = float(text.replace("_", ""))
        except ValueError:
            raise UserError(
                f"optim.{name}: {value!r} is not a share such as 0.1, '5000 steps' or '10 epochs'"
            ) from None
        if unit not in (*UNITS, "share"):
            raise unknown(f"unit in optim.{name}", unit, UNITS)
    _check_number(name, number)
    if number < 0:
        raise UserError(f"optim.{name} must be at least 0, got {value}")
    if unit == "share" and number > 1:
        raise UserError(
            f"optim.{name}: {value} is more than the whole training; write '{number:g} steps' or "
            f"'{number:g} epochs' for what is no share"
        )
    if unit == "steps" and number != int(number):
        raise UserError(f"optim.{name}: {value!r} is not a whole number of steps")
    return float(number), unit


def _check_number(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        raise UserError(f"optim.{name} must be a number, got {value!r}")
