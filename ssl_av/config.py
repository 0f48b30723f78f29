"""What one run is: its configuration, as the ``config.yaml`` in its folder holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from ssl_av.bench.budget import Budget
from ssl_av.data.loading import Loading
from ssl_av.errors import UserError, unknown
from ssl_av.text import read_text
from ssl_av.training.safety import Safety
from ssl_av.whole import whole_file
from ssl_av.yaml_text import MOST, parse_yaml


@dataclass(frozen=True)
class Evaluation:
    """How runs are measured.

    Attributes:
        protocols: names of ``ssl-av list protocols``.
        clips: clips a sample where a protocol leaves it open; their features are averaged.
        probes: how often the online probes measure during training; 0 is never.
        precision: of the features on disk, ``float32`` or ``float16``.
        keep_features: whether features stay on the disk for the next protocol, which then decodes nothing.
        figures: whether each run draws its features: a map, and nearest neighbours.
        map: what that map is made by: ``tsne``, or ``umap`` (``pip install ssl-av[umap]``).
        elsewhere: other data to measure on (`ssl_av.evaluation.places`): ``esc50:DIR``, or mappings.
        during: protocols that measure while a run trains, on parts of its training and validation split.
        every: epochs from one such measurement to the next.
        limit: samples of each split that it takes.
        leaks: what becomes of test samples that were learned from: ``refuse``, or ``tell`` (`ssl_av.evaluation.leaks`).
    """

    protocols: tuple[str, ...] = ("linear-svm", "retrieval", "av-retrieval")
    clips: int = 3
    probes: int = 4
    precision: str = "float32"
    figures: bool = False
    map: str = "tsne"
    keep_features: bool = True
    elsewhere: tuple[Any, ...] = ()
    during: tuple[str, ...] = ()
    every: int = 1
    limit: int = 256
    leaks: str = "refuse"

    def __post_init__(self) -> None:
        object.__setattr__(self, "protocols", tuple(self.protocols))
        object.__setattr__(self, "during", tuple(self.during))
        if self.elsewhere:
            from ssl_av.evaluation.places import read_places

            object.__setattr__(self, "elsewhere", read_places(self.elsewhere))
        if self.clips < 1:
            raise UserError(f"evaluation.clips must be at least 1, got {self.clips}")
        if self.probes < 0:
            raise UserError(f"evaluation.probes must not be negative, got {self.probes}")
        if self.every < 1 or self.limit < 8:
            raise UserError(
                f"evaluation.every must be at least 1 and evaluation.limit at least 8, got {self.every}, {self.limit}"
            )
        if self.precision not in ("float32", "float16"):
            raise unknown("evaluation.precision", self.precision, ("float32", "float16"))
        if self.map not in ("tsne", "umap"):
            raise unknown("evaluation.map", self.map, ("tsne", "umap"))
        if self.leaks not in ("refuse", "tell"):
            raise unknown("evaluation.leaks", self.leaks, ("refuse", "tell"))


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
        wandb: where it is logged to (`ssl_av.tracking.Tracking`): a mode, or a mapping with more.
        suite: the suite that the run belongs to, or the one its defaults came from.
        init: weights that it begins with: ``{"file": ..., "parts": ...}`` (`ssl_av.interop.start`); empty: random ones.
        recipe: the recipe that it came from, if any.
        row: its row in the suite, where that has another name than the method.
        tuning: the trials by which some of its settings were chosen, if any (`ssl_av.bench.running.tune`).
        safety: how its training is guarded.
        tensorboard: whether TensorBoard's files are written too.
    """

    method: dict[str, Any]
    data: dict[str, Any]
    budget: Budget
    evaluation: Evaluation = Evaluation()
    trainer: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    wandb: str | dict[str, Any] = "off"
    suite: str = ""
    init: dict[str, str] = field(default_factory=dict)
    recipe: str = ""
    row: str = ""
    tuning: dict[str, Any] = field(default_factory=dict)
    safety: Safety = Safety()
    tensorboard: bool = False

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

        optional = ("recipe", "row", "tuning", "tensorboard")
        out = {f.name: v for f in fields(self) if (v := getattr(self, f.name)) or f.name not in optional}
        values = plain(out | {"budget": self.budget.asked()})
        # Runs from before there was a choice are the same runs.
        if self.safety == Safety():
            del values["safety"]
        for key in (
            "precision",
            "figures",
            "map",
            "keep_features",
            "elsewhere",
            "leaks",
            "during",
            "every",
            "limit",
        ):
            if getattr(self.evaluation, key) == getattr(Evaluation, key):
                del values["evaluation"][key]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunConfig:
        """The reverse of `to_dict`."""
        known = dict(values)
        known["budget"] = Budget(**known["budget"])
        known["evaluation"] = Evaluation(**known.get("evaluation", {}))
        known["safety"] = Safety(**known.get("safety", {}))
        return cls(**known)

    def save(self, path: Path) -> None:
        """Writes it as YAML."""
        with whole_file(path) as file:
            yaml.safe_dump(self.to_dict(), file, sort_keys=False)


LOADING_FIELDS = {f.name for f in fields(Loading)}


def load_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping.

    Raises:
        UserError: if it is missing, too large, not YAML as `parse_yaml` reads it, or not a mapping.
    """
    text = read_text(path, MOST)
    try:
        values = parse_yaml(text)
    except ValueError as e:
        raise UserError(f"{path}: not valid YAML ({e})") from None
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
