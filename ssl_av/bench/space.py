"""What `ssl-av bench --tune` may change of each method, and how often it may try."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from ssl_av.bench.budget import MOST
from ssl_av.errors import UserError, unknown

COMMON = ("inputs", "networks")
"""Settings that are equal for all methods of a suite, and are not tuned for one of them."""

TRIALS = 100_000
"""Trials that a method may have."""


@dataclass(frozen=True)
class Range:
    """The values that one setting may take.

    Attributes:
        kind: ``log`` or ``uniform`` (a number between two), ``int`` (a whole one) or ``choice`` (one of several).
        values: the two ends, or the choices.
    """

    kind: str
    values: tuple[Any, ...]

    KINDS = ("log", "uniform", "int", "choice")

    @classmethod
    def parse(cls, where: str, given: Any) -> Range:
        """``{log: [1e-4, 1e-2]}``, ``{choice: [a, b]}``.

        Raises:
            UserError: for another form, or ends that span nothing.
        """
        forms = "{log: [low, high]}, {uniform: [low, high]}, {int: [low, high]} or {choice: [a, b]}"
        if not isinstance(given, Mapping) or len(given) != 1:
            raise UserError(f"{where}: write it as {forms}, got {given!r}")
        ((kind, values),) = given.items()
        if kind not in cls.KINDS:
            raise unknown(f"kind of range in {where}", str(kind), cls.KINDS)
        if not isinstance(values, Sequence) or isinstance(values, str) or not values:
            raise UserError(f"{where}: {kind} takes a list, got {values!r}")
        if kind == "choice":
            return cls(kind, tuple(values))
        try:  # YAML reads 1e-4 as a word
            ends = [int(v) if kind == "int" else float(v) for v in values]
        except (TypeError, ValueError, OverflowError):
            raise UserError(f"{where}: {kind} takes numbers, got {values!r}") from None
        finite = all(abs(end) <= MOST for end in ends)
        if len(ends) != 2 or not finite or not ends[0] < ends[1] or (kind == "log" and ends[0] <= 0):
            above = ", above 0" if kind == "log" else ""
            raise UserError(f"{where}: {kind} takes a lower and a higher end{above}, got {list(values)}")
        return cls(kind, tuple(ends))

    def holds(self, value: Any) -> bool:
        """Whether a value is one of these."""
        if self.kind == "choice":
            return value in self.values
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number and self.values[0] <= value <= self.values[1]

    def distribution(self) -> Any:
        """As Optuna's."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.kind == "choice":
            return CategoricalDistribution(self.values)
        low, high = self.values
        if self.kind == "int":
            return IntDistribution(low, high)
        return FloatDistribution(low, high, log=self.kind == "log")


@dataclass(frozen=True)
class Tune:
    """How the methods of a suite are tuned.

    Attributes:
        trials: of each method; 0 tunes nothing.
        share: of the full budget that a trial spends.
        space: setting (``optim.lr``) → `Range`, for every method.
        methods: what a method's space has besides or instead.
    """

    trials: int = 0
    share: float = 0.25
    space: dict[str, Any] = field(default_factory=dict)
    methods: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        number = isinstance(self.trials, int) and not isinstance(self.trials, bool)
        if not number or not 0 <= self.trials <= TRIALS:
            raise UserError(f"tune.trials must be a whole number from 0 to {TRIALS}, got {self.trials!r}")
        if (
            isinstance(self.share, bool)
            or not isinstance(self.share, (int, float))
            or not 0 < self.share <= 1
        ):
            raise UserError(f"tune.share must lie above 0 and not above 1, got {self.share!r}")
        for where, space in (
            ("tune.space", self.space),
            *((f"tune.methods.{m}", s) for m, s in self.methods.items()),
        ):
            if not isinstance(space, Mapping):
                raise UserError(f"{where} is a group (optim.lr: {{log: [1e-4, 1e-2]}}), got {space!r}")
            for name, given in space.items():
                if name.partition(".")[0] in COMMON:
                    raise UserError(
                        f"{where}.{name}: {' and '.join(COMMON)} are the same for all methods of a suite"
                    )
                Range.parse(f"{where}.{name}", given)

    @classmethod
    def parse(cls, where: str, given: Any) -> Tune:
        """From a suite's file.

        Raises:
            UserError: for a key or a value that does not exist or fit.
        """
        if not isinstance(given, Mapping):
            raise UserError(f"{where}: tune is a group (trials: 8, space: {{…}}), got {given!r}")
        for key in given:
            if key not in (names := [f.name for f in fields(cls)]):
                raise unknown(f"key in tune of {where}", str(key), names)
        if not isinstance(given.get("methods") or {}, Mapping):
            raise UserError(f"{where}: tune.methods is a group (avid: {{…}}), got {given['methods']!r}")
        try:
            return cls(**{k: v for k, v in given.items() if v is not None})
        except UserError as e:
            raise UserError(f"{where}: {e}") from None

    def of(self, method: str) -> dict[str, Range]:
        """A method's space."""
        found = {**self.space, **(self.methods.get(method) or {})}
        return {name: Range.parse(f"tune.{name}", given) for name, given in found.items()}


def parse_trials(text: str) -> dict[str, int | float]:
    """``trials=8`` or ``trials=8,share=0.5``, of the command line.

    Raises:
        UserError: for another form.
    """
    found: dict[str, int | float] = {}
    for part in text.split(","):
        name, _, number = part.strip().partition("=")
        kinds = {"trials": int, "share": float}
        if name not in kinds:
            raise UserError(f"--tune {text}: write it as trials=8 or trials=8,share=0.25")
        try:
            found[name] = kinds[name](number)
        except ValueError:
            raise UserError(
                f"--tune {text}: '{number}' is not a {'whole ' if name == 'trials' else ''}number"
            ) from None
    if not 1 <= found.get("trials", 0) <= TRIALS:
        raise UserError(f"--tune {text}: give at least one trial and at most {TRIALS}, e.g. trials=8")
    return found


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """``{"optim.lr": 1}`` → ``{"optim": {"lr": 1}}``.

    Raises:
        UserError: for a setting and a part of it (``optim``, ``optim.lr``).
    """
    out: dict[str, Any] = {}
    for name, value in flat.items():
        *groups, last = name.split(".")
        here = out
        for group in groups:
            here = here.setdefault(group, {})
            if not isinstance(here, dict):
                break
        if not isinstance(here, dict) or last in here:
            raise UserError(
                f"tune: {name} and a setting that it is a part of are both tuned; give one of them"
            )
        here[last] = value
    return out


def sets(settings: Mapping[str, Any], name: str) -> bool:
    """Whether nested settings have a value for ``optim.lr``."""
    here: Any = settings
    for key in name.split("."):
        if not isinstance(here, Mapping) or key not in here:
            return False
        here = here[key]
    return True


def said(settings: object) -> str:
    """``{"optim.lr": 0.00123}`` as "optim.lr 0.00123"."""
    if not isinstance(settings, Mapping):
        return ""
    return ", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in settings.items())
