"""What one run is: its configuration, as the ``config.yaml`` in its folder holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from ssl_av.data.loading import Loading
from ssl_av.errors import UserError, unknown


@dataclass(frozen=True)
class Budget:
    """What a run may spend: exactly one of the fields is set.

    Attributes:
        samples: source videos seen.
        steps: optimiser steps.
        epochs: passes over the training split.
    """

    samples: int | None = None
    steps: int | None = None
    epochs: int | None = None

    def __post_init__(self) -> None:
        given = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}
        if len(given) != 1:
            raise UserError(
                f"a budget is exactly one of samples, steps, epochs; got {given or 'none of them'}"
            )
        for name, value in given.items():
            if value < 1:
                raise UserError(f"a budget of {name}={value} trains nothing; give at least 1")

    @classmethod
    def parse(cls, text: str) -> Budget:
        """``"samples=20000"`` → a budget.

        Raises:
            UserError: for another form, an unknown unit or a number below 1.
        """
        unit, equals, number = text.partition("=")
        names = [f.name for f in fields(cls)]
        if not equals:
            raise UserError(
                f"--budget {text}: write it as UNIT=NUMBER, e.g. samples=20000 (units: {', '.join(names)})"
            )
        if unit not in names:
            raise unknown("budget unit", unit, names)
        try:
            value = int(number.replace("_", ""))
        except ValueError:
            raise UserError(f"--budget {text}: '{number}' is not a whole number") from None
        return cls(**{unit: value})

    def asked(self) -> dict[str, int]:
        """The field that is set."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}

    def to_steps(self, samples_per_epoch: int, batch_size: int) -> int:
        """Optimiser steps that this budget buys.

        Raises:
            UserError: if it does not buy one.
        """
        if self.steps is not None:
            return self.steps
        if self.epochs is not None:
            return self.epochs * (samples_per_epoch // batch_size)
        assert self.samples is not None
        if self.samples < batch_size:
            raise UserError(
                f"a budget of samples={self.samples} is less than one batch of {batch_size}; raise it or lower "
                "--data.batch_size"
            )
        return self.samples // batch_size


@dataclass(frozen=True)
class Evaluation:
    """How runs are measured.

    Attributes:
        protocols: names of ``ssl-av list protocols``.
        clips: clips a sample where a protocol leaves it open; their features are averaged.
        probes: how often the online probes measure during training; 0 is never.
        precision: of the features on disk, ``float32`` or ``float16``.
    """

    protocols: tuple[str, ...] = ("linear-svm", "retrieval", "av-retrieval")
    clips: int = 3
    probes: int = 4
    precision: str = "float32"

    def __post_init__(self) -> None:
        object.__setattr__(self, "protocols", tuple(self.protocols))
        if self.clips < 1:
            raise UserError(f"evaluation.clips must be at least 1, got {self.clips}")
        if self.probes < 0:
            raise UserError(f"evaluation.probes must not be negative, got {self.probes}")
        if self.precision not in ("float32", "float16"):
            raise unknown("evaluation.precision", self.precision, ("float32", "float16"))


@dataclass(frozen=True)
class RunConfig:
    """One run: method × data × budget × seed, with everything resolved.

    Attributes:
        method: ``{"name": ..., arguments}``.
        data: ``{"name": ..., the data set's arguments, fields of Loading}``.
        budget: what may be spent.
        evaluation: how it is measured.
        trainer: arguments of the Lightning trainer.
        seed: of everything random.
        wandb: ``off``, ``offline`` or ``online``.
        suite: the suite that the run belongs to, or the one its defaults came from.
        init: weights that it begins with: ``{"file": ..., "parts": ...}`` (`ssl_av.interop.start`); empty: random ones.
        recipe: the recipe that it came from, if any.
        row: its row in the suite, where that has another name than the method.
    """

    method: dict[str, Any]
    data: dict[str, Any]
    budget: Budget
    evaluation: Evaluation = Evaluation()
    trainer: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    wandb: str = "off"
    suite: str = ""
    init: dict[str, str] = field(default_factory=dict)
    recipe: str = ""
    row: str = ""

    @property
    def name(self) -> str:
        """What its suite calls it: the row, else the method."""
        return self.row or str(self.method["name"])

    @property
    def loading(self) -> Loading:
        """The loading fields of ``data``."""
        return Loading(**{k: v for k, v in self.data.items() if k in LOADING_FIELDS})

    @property
    def dataset_args(self) -> dict[str, Any]:
        """The data set's own arguments."""
        return {k: v for k, v in self.data.items() if k not in LOADING_FIELDS and k != "name"}

    def to_dict(self) -> dict[str, Any]:
        """As nested plain values."""
        from ssl_av.methods.settings import plain

        out = {f.name: getattr(self, f.name) for f in fields(self)}
        out = {key: value for key, value in out.items() if value or key not in ("recipe", "row")}
        values = plain(out | {"budget": self.budget.asked()})
        # Runs from before there was a choice are the same runs.
        if self.evaluation.precision == Evaluation.precision:
            del values["evaluation"]["precision"]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunConfig:
        """The reverse of `to_dict`."""
        known = dict(values)
        known["budget"] = Budget(**known["budget"])
        known["evaluation"] = Evaluation(**known.get("evaluation", {}))
        return cls(**known)

    def save(self, path: Path) -> None:
        """Writes it as YAML."""
        path.write_text(yaml.safe_dump(self.to_dict(), sort_keys=False), encoding="utf-8")


# libyaml, where there is one, reads the hundred files of `ssl-av list recipes` ten times as fast.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
LOADING_FIELDS = {f.name for f in fields(Loading)}


def load_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping.

    Raises:
        UserError: if it is missing, not YAML, or not a mapping.
    """
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=LOADER)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as e:
        raise UserError(f"{path}: cannot be read ({e})") from None
    except yaml.YAMLError as e:
        raise UserError(f"{path}: not valid YAML ({' '.join(str(e).split())})") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected a mapping of settings, got {type(values).__name__}")
    return values


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``over`` laid on it, mapping by mapping; neither is changed."""
    out = dict(base)
    for key, value in over.items():
        old = out.get(key)
        out[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return out
