"""Recipes: the papers' own settings, one YAML file for a pretraining row of their tables (``configs/recipes``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ssl_av.errors import UserError, unknown
from ssl_av.recipes.compose import compose, recipe_names

__all__ = ["MEASURES", "Recipe", "list_recipes", "load_recipe", "recipe_names"]

#: How a reported number was measured, in the words of docs/recipes.md. The length of what was seen may follow:
#: ``finetune-32f`` (frames), ``linear-5s`` (seconds).
MEASURES = (
    "linear", "linear-clip", "linear-audio", "linear-video", "linear-av", "finetune", "mlp", "r1", "r5", "r20",
    "block1", "block2", "block3", "block4",
)  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """One pretraining of a paper, with where it stands in its tables and what they report for it.

    Attributes:
        name: of the file, e.g. ``brave/va-tsm50-audioset``.
        paper: the rows of the tables that this pretraining serves, in words.
        reported: data set → measure (`MEASURES`) → the number as the paper prints it, in per cent.
        follows: ``paper`` or ``code``: whom the settings follow where the two differ.
        differs: what the other does, and what could not be determined.
        training_samples: videos of the training split, as the paper counts them.
        method: ``{"name": ..., arguments}``.
        data: ``{"name": ..., the data set's arguments, fields of Loading}``.
        budget: one of samples, steps, epochs.
        modalities: what is seen, ``video``, ``audio`` or both: whose networks there are.
        epochs: the length of the training in the paper's words, where the budget is in other units.
        evaluation: what is measured after training.
        trainer: arguments of the Lightning trainer.
        shrink: what ``--shrink`` lays over the method's arguments.
    """

    name: str
    paper: tuple[str, ...]
    reported: dict[str, dict[str, float]]
    follows: str
    training_samples: int
    method: dict[str, Any]
    data: dict[str, Any]
    budget: dict[str, int]
    differs: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ("video", "audio")
    epochs: str = ""
    evaluation: dict[str, Any] | None = None
    trainer: dict[str, Any] | None = None
    shrink: dict[str, Any] | None = None

    @property
    def networks(self) -> dict[str, str]:
        """The backbones' names by modality."""
        return {m: name for m, name in self.method.get("networks", {}).items() if m in self.modalities}

    @property
    def length(self) -> str:
        """How long it trains, for people: ``100`` epochs, ``300k steps = 424``."""
        if self.epochs or "epochs" in self.budget:
            return self.epochs or str(self.budget["epochs"])
        unit, value = next(iter(self.budget.items()))
        seen = value * (self.data["batch_size"] if unit == "steps" else 1)
        return f"{_short(value)} {unit} = {seen / self.training_samples:.0f}"

    @property
    def numbers(self) -> list[str]:
        """``ucf101 linear 92.6, finetune 94.7``, a data set each."""
        return [
            f"{dataset} " + ", ".join(f"{measure} {value}" for measure, value in of.items())
            for dataset, of in self.reported.items()
        ]

    def suite_values(self) -> dict[str, Any]:
        """As the values of a suite of one method: what `ssl_av.commands.resolve_suite` lays options over."""
        arguments = {k: v for k, v in self.method.items() if k != "name"}
        return {
            "name": self.name,
            "data": self.data,
            "budget": self.budget,
            "evaluation": self.evaluation or {},
            "trainer": self.trainer or {},
            "methods": {self.method["name"]: arguments},
        }


def load_recipe(name: str) -> Recipe:
    """A shipped recipe by name, or a file of the user's (``mine.yaml``), composed and checked.

    Raises:
        UserError: for an unknown name, a cycle, a key that does not exist or is missing.
    """
    values = compose(name)
    known = [f.name for f in fields(Recipe) if f.name != "name"]
    for key in values:
        if key not in known:
            raise unknown(f"key in recipe {name}", key, [*known, "extends"])
    for key in ("paper", "reported", "follows", "training_samples", "method", "data", "budget"):
        if key not in values:
            raise UserError(f"recipe {name}: needs '{key}'")
    for key in ("reported", "method", "data", "budget", "evaluation", "trainer", "shrink"):
        if not isinstance(values.get(key, {}), Mapping):
            raise UserError(f"recipe {name}: '{key}' must be a mapping, got {values[key]!r}")
    for key in ("method", "data"):
        if not isinstance(values[key].get("name"), str):
            raise UserError(f"recipe {name}: '{key}' needs a name")
    if not all(isinstance(of, Mapping) for of in values["reported"].values()):
        raise UserError(
            f"recipe {name}: 'reported' is data set: {{measure: number}}, got {values['reported']!r}"
        )
    size = values["training_samples"]
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise UserError(f"recipe {name}: 'training_samples' is a whole number of at least 1, got {size!r}")
    for key in ("paper", "differs", "modalities"):
        if key in values:
            value = [values[key]] if isinstance(values[key], str) else values[key]
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                raise UserError(f"recipe {name}: '{key}' is a text or a list of them, got {value!r}")
            values[key] = tuple(value)
    if values["follows"] not in ("paper", "code"):
        raise unknown(f"value of 'follows' in recipe {name}", str(values["follows"]), ("paper", "code"))
    values["epochs"] = str(values.get("epochs", ""))
    return Recipe(name=name, **values)


def list_recipes(method: str | None = None) -> list[Recipe]:
    """All shipped recipes, or those of one method, in the order of their names; imports no torch.

    Raises:
        UserError: for a method without recipes.
    """
    found = [load_recipe(name) for name in recipe_names()]
    methods = sorted({r.method["name"] for r in found})
    if method is not None and method not in methods:
        raise unknown("method with recipes", method, methods)
    return [r for r in found if method is None or r.method["name"] == method]


def _short(value: int) -> str:
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        if value >= size and value % (size // 10) == 0:
            return f"{value / size:g}{unit}"
    return str(value)
