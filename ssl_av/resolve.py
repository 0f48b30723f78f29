"""What a run or a suite is, from what the command line says: every name and type is checked here."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl_av.checks import check_groups, check_seeds
from ssl_av.errors import UserError, unknown
from ssl_av.tracking.commands import options as tracking_options
from ssl_av.tracking.settings import Tracking, as_mapping

if TYPE_CHECKING:
    from ssl_av.bench.suite import Suite
    from ssl_av.config import RunConfig
    from ssl_av.recipes import Recipe

Dotted = dict[str, Any]
OBJECTS = ("callbacks", "logger", "profiler", "plugins")
"""What the trainer takes as objects, which settings do not make."""
GIVEN = ("method", "data", "evaluation", "trainer", "safety")
"""Groups that a file of `fit` or an option may give."""


def fit_recipe(args: argparse.Namespace) -> Recipe | None:
    """The recipe that `fit` starts from, at toy size where that was asked."""
    if not args.recipe:
        if args.shrink:
            raise UserError("--shrink makes a recipe small: give --recipe NAME (`ssl-av list recipes`)")
        return None
    if args.suite:
        raise UserError("--recipe and --suite both say where defaults come from; give one of them")
    from ssl_av.recipes import load_recipe
    from ssl_av.recipes.shrink import shrunk

    recipe = load_recipe(args.recipe)
    return shrunk(recipe) if args.shrink else recipe


def fit_config(args: argparse.Namespace, dotted: Dotted, recipe: Recipe | None) -> RunConfig:
    """The run that `fit` was asked for: recipe or suite, then the config file, then options."""
    from ssl_av.config import load_yaml, merge

    file = load_yaml(Path(args.config)) if args.config else {}
    allowed = (
        "method",
        "data",
        "budget",
        "evaluation",
        "trainer",
        "safety",
        "seed",
        "wandb",
        "tensorboard",
        "suite",
    )
    for key in file:
        if key not in allowed:
            raise unknown(f"key in {args.config}", key, allowed)
    check_groups(args.config, file, GIVEN)
    given = merge({k: v for k, v in file.items() if k in GIVEN and v is not None}, dotted)
    method = args.method or given.get("method", {}).get("name") or (recipe and recipe.method["name"])
    if not method:
        raise UserError("fit needs --method, e.g. --method brave (`ssl-av list methods`), or --recipe")
    known_methods([method])
    if recipe is not None and method != recipe.method["name"]:
        raise UserError(f"recipe {recipe.name} is of {recipe.method['name']}, not of {method}")
    from ssl_av.methods import method_class
    from ssl_av.options import check

    if not method_class(method).trains:
        raise UserError(
            f"'{method}' is an untrained reference: `ssl-av bench` measures it, there is nothing to fit"
        )
    own = {k: v for k, v in given.get("method", {}).items() if k != "name"}
    own = check("method", method_class(method), own, skip=("num_samples", "num_classes"))
    data = dict(given.get("data", {}))
    budget = args.budget or file.get("budget")
    overrides: Dotted = {"methods": {method: own}}
    for key in ("evaluation", "trainer", "safety"):
        if key in given:
            overrides[key] = given[key]
    if budget:
        overrides["budget"] = budget
    tracked = tracking_options(args)
    said = as_mapping(file.get("wandb", "off")) | tracked.get("wandb", {})
    overrides["wandb"] = Tracking.of(said).value()
    overrides["tensorboard"] = tracked.get("tensorboard", file.get("tensorboard", False))
    base = None
    if recipe is not None:
        base = recipe.suite_values()
        # YAML reads 1e-4 as a word: the recipe's numbers are checked as options are.
        base["methods"][method] = check(
            "method", method_class(method), base["methods"][method], skip=("num_samples", "num_classes")
        )
    dataset = args.data or data.pop("name", None)
    suite = resolve_suite(args.suite or "tiny", dataset, data, overrides, base)
    seed = check_seeds("--seed", [args.seed if args.seed is not None else file.get("seed", 0)])[0]
    config = suite.run_config(method, seed)
    if recipe is not None:
        config = dataclasses.replace(config, suite="", recipe=recipe.name)
    return _within_limits(_initialised(config, args))


def _initialised(config: RunConfig, args: argparse.Namespace) -> RunConfig:
    """The run, beginning with the weights of ``--init``."""
    if not args.init:
        if args.init_parts:
            raise UserError("--init-parts says what of --init FILE is taken; give that too")
        return config
    if not os.path.exists(args.init):
        raise UserError(f"--init {args.init}: no such file")
    init = {"file": str(Path(args.init).resolve()), "parts": args.init_parts or "all"}
    return dataclasses.replace(config, init=init)


def _within_limits(config: RunConfig) -> RunConfig:
    """The run, with the trainer's own words for a budget, which win over the suite's; null: only the budget's."""
    from ssl_av.config import Budget

    names = ("max_steps", "max_epochs")
    limits = {k: v for k, v in config.trainer.items() if k in names and v is not None}
    rest = {k: v for k, v in config.trainer.items() if k not in names}
    if not limits:
        return dataclasses.replace(config, trainer=rest)
    name, value = next(iter(limits.items()))
    asked = Budget(**{name.removeprefix("max_"): int(value)})
    return dataclasses.replace(config, budget=asked, trainer=rest)


def resolve_suite(
    name: str,
    data: str | None,
    data_args: Dotted,
    overrides: Dotted,
    base: Mapping[str, Any] | None = None,
    shrink: bool = False,
) -> Suite:
    """A suite, or ``base`` in its place, with what the command line changes, every name and type checked."""
    import pytorch_lightning as pl

    from ssl_av.bench.rows import read_suite
    from ssl_av.bench.suite import suite_from
    from ssl_av.config import Evaluation, merge
    from ssl_av.evaluation.protocols import check_protocols
    from ssl_av.methods import method_class
    from ssl_av.methods.settings import Inputs, Networks
    from ssl_av.options import check
    from ssl_av.training.compiling import OPTION
    from ssl_av.training.safety import Safety

    where = "recipe"
    if base is None:
        base, where = read_suite(name, shrink)
    checked = dict(overrides)
    if isinstance(checked.get("wandb"), Mapping):  # laid over what the suite says, which may be a mode alone
        base = {**base, "wandb": as_mapping(base.get("wandb", "off"))}
    for group, target in (
        ("evaluation", Evaluation),
        ("inputs", Inputs),
        ("networks", Networks),
        ("trainer", pl.Trainer),
        ("safety", Safety),
    ):
        if group in checked:
            given = checked[group]
            ours = {k: v for k, v in given.items() if k == OPTION} if group == "trainer" else {}
            given = {k: v for k, v in given.items() if k not in ours}
            checked[group] = ours | check(group, target, given, skip=OBJECTS if group == "trainer" else ())
    if "methods" in checked:
        checked["methods"] = {
            m: check(f"methods.{m}", method_class(m), settings or {}, skip=("num_samples", "num_classes"))
            for m, settings in checked["methods"].items()
        }
    values = merge(base, checked)
    if "budget" in checked:
        values["budget"] = checked["budget"]
    values["data"] = resolve_data(base.get("data", {}), data, data_args)
    suite = suite_from(values, where)
    check_protocols(list(suite.evaluation.protocols))
    return suite


def resolve_data(base: Mapping[str, Any], name: str | None, given: Dotted) -> dict[str, Any]:
    """The ``data`` group: another data set keeps how data are loaded, not the old one's arguments."""
    from ssl_av.config import LOADING_FIELDS
    from ssl_av.data.datasets import dataset_class
    from ssl_av.data.loading import SMALL_ONLY, Loading
    from ssl_av.methods.settings import plain
    from ssl_av.options import check, check_names, parameters_of

    name = name or given.get("name") or base.get("name", "synthav")
    dataset = dataset_class(name)
    given = {k: v for k, v in given.items() if k != "name"}
    check_names("data", parameters_of(dataset, Loading), given)
    loading = check("data", Loading, {k: v for k, v in given.items() if k in LOADING_FIELDS})
    own = plain(check("data", dataset, {k: v for k, v in given.items() if k not in LOADING_FIELDS}))
    shared = LOADING_FIELDS - set(SMALL_ONLY)
    kept = {k: v for k, v in base.items() if name == base.get("name") or k in shared}
    return {**kept, "name": name, **own, **loading}


def known_methods(names: list[str]) -> None:
    """Raises for the first name that is no method; imports none of them."""
    from ssl_av.methods import list_methods

    known = list_methods()
    for name in names:
        if not isinstance(name, str) or name not in known:
            raise unknown("method", str(name), known, hint="ssl-av list methods")
