"""The rows of a suite: methods, recipes or named variants of a method, and what the papers report for them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ssl_av.checks import check_groups
from ssl_av.config import LOADING_FIELDS, Budget, load_yaml
from ssl_av.data.loading import SMALL_ONLY
from ssl_av.errors import UserError, unknown
from ssl_av.options import check, config_file
from ssl_av.recipes import Recipe, load_recipe
from ssl_av.recipes.compose import overlay

GROUPS = ("data", "inputs", "networks", "evaluation", "methods", "trainer", "safety", "rows", "paper")
OWN = ("recipe", "method", "label", "reported")
"""Keys of a row that are not arguments of its method."""
KEPT = ("num_samples", "num_classes")
"""Arguments of methods that only the data give."""


@dataclass(frozen=True)
class SuiteRow:
    """One row of a suite's table: a method, as a recipe has it or with settings of its own.

    Attributes:
        name: in folders and records.
        method: that is trained.
        label: in tables; the name where a suite gives none.
        recipe: that it comes from, if any.
        base: the recipe's arguments of the method; what a suite says of sizes is laid over them.
        settings: what the row itself changes; laid over everything.
        data: how the recipe reads data (batch size, size of the frames read).
        trainer: the recipe's arguments of the trainer.
        budget: the recipe's; none where the suite has one for all rows.
        reported: data set → measure → the paper's number in per cent.
    """

    name: str
    method: str
    label: str
    recipe: str = ""
    base: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    trainer: dict[str, Any] = field(default_factory=dict)
    budget: Budget | None = None
    reported: dict[str, dict[str, float]] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """What a report needs to know of it."""
        return {
            "label": self.label,
            "method": self.method,
            "recipe": self.recipe,
            "reported": self.reported,
        }


def read_suite(name: str, shrink: bool = False) -> tuple[dict[str, Any], str]:
    """The values of a suite by name or file: those of the suite that it ``extends``, its own, its rows'.

    Args:
        name: a shipped suite or a file.
        shrink: every row at toy size on synthav, as ``fit --recipe NAME --shrink`` makes a recipe.

    Returns:
        (values, where they come from): ``rows`` holds `SuiteRow`, and data that the suite does not name are its
        recipes'.

    Raises:
        UserError: for a name, a key or a row that does not exist or fit.
    """
    path = config_file("suites", name)
    where, values = str(path), _extended(path, ())
    if not isinstance(values.get("name", ""), str):
        raise UserError(f"{where}: 'name' is a word, got {values['name']!r}")
    given = values.get("rows") or {}
    if shrink and not given:
        raise UserError(f"--shrink makes recipes small: {where} has no rows that are recipes")
    if not given:
        return values, where
    recipes = {row: _recipe(where, row, asked, shrink) for row, asked in given.items()}
    values["rows"] = {row: _row(where, row, asked, recipes[row]) for row, asked in given.items()}
    found = [recipe for recipe in recipes.values() if recipe is not None]
    if shrink:
        return _shrunk(values, found[0]), where
    if found and "name" not in (values.get("data") or {}):
        values["data"] = {**_one_data(where, found), **(values.get("data") or {})}
    return values, where


def _extended(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    values = load_yaml(path)
    check_groups(str(path), values, GROUPS)
    base = values.pop("extends", None)
    if base is None:
        return values
    if path.resolve() in [file.resolve() for file in above]:
        raise UserError(f"{path}: extends itself ({' → '.join(map(str, [*above, path]))})")
    if not isinstance(base, str) or "name" not in values:
        raise UserError(
            f"{path}: 'extends' names one suite, and a suite that extends another has its own 'name'"
        )
    beside = path.parent / base
    below = _extended(config_file("suites", str(beside) if os.path.isfile(beside) else base), (*above, path))
    out = overlay(below, values)
    old, new = below.get("data") or {}, out.get("data") or {}
    if old.get("name") != new.get("name"):
        dropped = set(SMALL_ONLY) - set(values.get("data") or {})
        out["data"] = {key: value for key, value in new.items() if key not in dropped}
    return out


def _recipe(where: str, name: str, given: Any, shrink: bool) -> Recipe | None:
    """The recipe of a row, if it comes from one; at toy size where that was asked."""
    asked = given.get("recipe") if isinstance(given, Mapping) else given
    if asked is None:
        if shrink:
            raise UserError(f"--shrink makes recipes small: row '{name}' of {where} comes from none")
        return None
    if not isinstance(asked, str):
        raise UserError(
            f"{where}: row '{name}' is a recipe or a mapping with 'recipe' or 'method', got {asked!r}"
        )
    recipe = load_recipe(asked)
    if not shrink:
        return recipe
    from ssl_av.recipes.shrink import shrunk

    return shrunk(recipe)


def _row(where: str, name: str, given: Any, recipe: Recipe | None) -> SuiteRow:
    from ssl_av.methods import list_methods, method_class

    if not re.fullmatch(r"[A-Za-z0-9][\w.+-]*", str(name)):
        raise UserError(
            f"{where}: a row '{name}' cannot name a folder; use letters, digits, . + - _, and 'label' for the rest"
        )
    own = dict(given) if isinstance(given, Mapping) else {}
    method = recipe.method["name"] if recipe else own.get("method")
    known = list_methods()
    if method not in known:
        raise unknown(f"method of row '{name}' in {where}", str(method), known, hint="ssl-av list methods")
    if own.get("method", method) != method:
        raise UserError(
            f"{where}: row '{name}': recipe {own['recipe']} is of {method}, not of {own['method']}"
        )
    if name in known and name != method:
        raise UserError(f"{where}: row '{name}' is of {method}: a row with a method's name is of that method")
    target = method_class(method)
    reported = own.get("reported", recipe.reported if recipe else {})
    if not isinstance(reported, Mapping) or not all(isinstance(of, Mapping) for of in reported.values()):
        raise UserError(
            f"{where}: row '{name}': 'reported' is data set: {{measure: number}}, got {reported!r}"
        )
    settings = {key: value for key, value in own.items() if key not in OWN}
    label = str(own.get("label", name))
    settings = check(f"rows.{name}", target, settings, skip=KEPT)
    if recipe is None:
        return SuiteRow(name, method, label, settings=settings, reported=dict(reported))
    arguments = {key: value for key, value in recipe.method.items() if key != "name"}
    return SuiteRow(
        name,
        method,
        label,
        recipe=recipe.name,
        # YAML reads 1e-4 as a word: a recipe's numbers are checked as options are.
        base=check("method", target, arguments, skip=KEPT),
        settings=settings,
        data={key: value for key, value in recipe.data.items() if key in LOADING_FIELDS},
        trainer=dict(recipe.trainer or {}),
        budget=Budget(**check("budget", Budget, recipe.budget)),
        reported=dict(reported),
    )


def _one_data(where: str, recipes: list[Recipe]) -> dict[str, Any]:
    """The data set that all recipes are trained on: a table is of one."""
    found = {
        json.dumps({key: value for key, value in recipe.data.items() if key not in LOADING_FIELDS}): recipe
        for recipe in recipes
    }
    if len(found) > 1:
        first, second, *_ = found.values()
        raise UserError(
            f"{where}: its rows are trained on different data ({first.name} on {first.data['name']}, {second.name} on "
            f"{second.data['name']}); give the suite's own 'data: {{name: …}}'"
        )
    data: dict[str, Any] = json.loads(next(iter(found)))
    return data


def _shrunk(values: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """The suite around shrunk rows: their data, two steps, one clip; what is measured stays."""
    small = recipe.evaluation or {}
    evaluation = {**(values.get("evaluation") or {}), "clips": small["clips"], "probes": small["probes"]}
    kept = {key: value for key, value in values.items() if key not in ("inputs", "networks")}
    return kept | {
        "name": f"{values['name']}-shrunk",
        "data": dict(recipe.data),
        "budget": dict(recipe.budget),
        "trainer": dict(recipe.trainer or {}),
        "evaluation": evaluation,
    }
