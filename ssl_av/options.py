"""Dotted options (``--data.root DIR``, ``--trainer.max_epochs 3``) checked against what they configure."""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from ssl_av.errors import UserError, unknown
from ssl_av.yaml_text import parse_yaml


def parse_dotted(words: Sequence[str], groups: Sequence[str], options: Sequence[str]) -> dict[str, Any]:
    """``["--data.root", "x", "--trainer.max_epochs=3"]`` → ``{"data": {"root": "x"}, "trainer": {…}}``.

    Values are read as YAML (numbers, lists, null).

    Args:
        words: what the command line has left over.
        groups: the groups that the command knows.
        options: its plain options, for suggestions.

    Raises:
        UserError: for anything that is not a dotted option of a known group, or has no value.
    """
    out: dict[str, Any] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if not name.startswith("--"):
            raise UserError(f"unexpected argument '{word}'; options begin with --")
        group, dot, path = name[2:].partition(".")
        if not dot or not path:
            raise unknown("option", name, [*options, *(f"--{g}." for g in groups)])
        if group not in groups:
            raise unknown("option group", group, groups)
        if not equals:
            if not rest or (rest[0].startswith("--") and len(rest[0]) > 2):
                raise UserError(f"option {name} needs a value")
            value = rest.pop(0)
        try:
            parsed = parse_yaml(value)
        except ValueError:  # a word with signs in it that mean something in YAML
            parsed = value
        node = out.setdefault(group, {})
        *inner, last = path.split(".")
        for key in inner:
            node = node.setdefault(key, {})
            if not isinstance(node, dict):
                raise UserError(f"option {name} goes below a value that was given already")
        node[last] = parsed
    return out


def check_named_once(group: str, name: str | None, settings: Mapping[str, Any]) -> None:
    """Raises a `UserError` where ``--method brave`` and ``--method.name avid`` name two things."""
    again = settings.get("name", name)
    if name is not None and again != name:
        raise UserError(f"--{group} {name} and --{group}.name {again} name two; give one of them")


def check(group: str, target: Any, values: Mapping[str, Any], skip: Sequence[str] = ()) -> dict[str, Any]:
    """Checks values against a class's parameters: names with near misses, types by jsonargparse.

    Args:
        group: what the user calls it, e.g. ``data``.
        target: the class that will take them.
        values: what was given.
        skip: parameters that the user does not set.

    Returns:
        The values, converted to the parameters' types (``1e-3`` to float); only those that were given.

    Raises:
        UserError: for a name or a type that does not fit.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    if not isinstance(values, Mapping):
        raise UserError(f"--{group} is a group of settings: write --{group}.NAME VALUE, not '{values}'")
    parameters = inspect.signature(target).parameters
    check_names(group, parameters, values, skip)
    refuse_classes(f"--{group}", values)
    for name in ("strategy", "accelerator"):  # the trainer's, which jsonargparse takes as a class's path
        if "." in str(values.get(name, "")):
            raise UserError(f"--{group}.{name} {values[name]}: give a registered name, such as ddp or cpu")
    values = {name: _listed(target, name, value) for name, value in values.items()}
    if not values:
        return {}
    parser = ArgumentParser(exit_on_error=False)
    hidden = {n for n in parameters if n not in values}
    parser.add_class_arguments(target, "it", skip=hidden, fail_untyped=False)
    try:
        parsed = parser.parse_object({"it": dict(values)}).as_dict()["it"]
    except (ArgumentError, TypeError, ValueError, KeyError) as e:
        _check_choices(group, target, values)
        raise UserError(_reason(group, values, str(e))) from None
    return {k: _only_given(parsed[k], v) for k, v in values.items()}


def parameters_of(*targets: Any) -> dict[str, inspect.Parameter]:
    """The parameters of several classes that share one group."""
    return {n: p for t in targets for n, p in inspect.signature(t).parameters.items()}


def check_names(
    group: str,
    parameters: Mapping[str, inspect.Parameter],
    values: Mapping[str, Any],
    skip: Sequence[str] = (),
) -> None:
    """Raises a `UserError` with the nearest names for a key that is not a parameter (or a field of one)."""
    known = [n for n, p in parameters.items() if n not in skip and p.kind is not p.VAR_KEYWORD]
    for name, value in values.items():
        if name not in known:
            raise unknown("option", f"--{group}.{name}", [f"--{group}.{n}" for n in known])
        default = parameters[name].default
        if value is None and default is not None and not _may_be_null(parameters[name]):
            raise UserError(f"--{group}.{name}: null is no value of it; leave it out for its default")
        if not dataclasses.is_dataclass(default):
            continue
        inner = inspect.signature(type(default)).parameters
        if isinstance(value, Mapping):
            check_names(f"{group}.{name}", inner, value)
        elif value is not None and not isinstance(value, type(default)):
            first = next(iter(inner))
            raise UserError(
                f"--{group}.{name} is a group of settings: write --{group}.{name}.{first} VALUE, not '{value}'"
            )


def refuse_classes(where: str, value: Any) -> None:
    """Settings name what is registered; no module is imported because a file or an option says so.

    jsonargparse takes a class's path wherever a class is asked for, in a mapping or as a word with dots.

    Raises:
        UserError: for a class's path.
    """
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in ("class_path", "init_args"):
                raise UserError(
                    f"{where}: classes are not taken from settings ({key}: {inner}); give a name of `ssl-av list`, or "
                    "register yours (docs/add-a-method.md)"
                )
            refuse_classes(f"{where}.{key}", inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            refuse_classes(where, inner)


PLAIN = frozenset({"int", "float", "bool", "str", "list", "tuple", "dict", "Mapping", "Sequence"})
"""Words of annotations that leave no place for nothing; another one may be a name for ``tuple[int, int] | None``."""


def _may_be_null(parameter: inspect.Parameter) -> bool:
    """Whether an argument can be nothing (``FeatureCrops | None``); annotations are text here, or Lightning's types."""
    said = re.sub(
        r"\[.*\]", "", str(parameter.annotation)
    )  # tuple[Place, ...] | None: what it holds does not count
    words = {word for word in re.split(r"\W+", said) if word}
    if dataclasses.is_dataclass(parameter.default):
        return "None" in words
    return parameter.annotation is parameter.empty or not words <= PLAIN


def _check_choices(group: str, target: Any, values: Mapping[str, Any]) -> None:
    """Raises a `UserError` with the nearest names for a value that is not one of a `Literal`'s."""
    try:
        hints = get_type_hints(target.__init__)
    except NameError:  # a class of another package that imports its types for type checkers only
        return
    for name, hint in hints.items():
        if get_origin(hint) is Literal and name in values and values[name] not in get_args(hint):
            raise unknown(f"--{group}.{name}", str(values[name]), map(str, get_args(hint)))


def _only_given(parsed: Any, given: Any) -> Any:
    """jsonargparse completes a group with its defaults; the caller lays them over other defaults."""
    if isinstance(given, Mapping) and isinstance(parsed, Mapping):
        return {k: _only_given(parsed.get(k, v), v) for k, v in given.items()}
    return parsed


def _listed(target: Any, name: str, value: Any) -> Any:
    """``a,b`` for an argument that takes several words: what a command line's user writes."""
    if not isinstance(value, str):
        return value
    try:
        hint = get_type_hints(target.__init__).get(name)
    except NameError:
        return value
    if get_origin(hint) is tuple and get_args(hint) == (str, ...):
        return [word.strip() for word in value.split(",") if word.strip()]
    return value


def _reason(group: str, values: Mapping[str, Any], said: str) -> str:
    """What jsonargparse says about a value, in one line that names the option as the user wrote it."""
    said = " ".join(said.split())
    found = re.match(r'(?:Validation failed: )?Parser key "(?:it\.)?([^"]*)":? (.*)', said)
    if not found:
        return f"--{group}.*: {said.replace('it.', f'--{group}.')[:300]}"
    path, why = found.groups()
    given: Any = values
    for key in path.split("."):
        given = given.get(key) if isinstance(given, Mapping) else None
    union = re.search(r"Union subtypes Subtypes: (.*?) Errors:", why)
    why = union[1] if union else why.removeprefix("Expected a ").partition(". Got value")[0]
    why = re.sub(r"<class '([\w.]+)'>", r"\1", why).replace("typing.", "").replace("Literal", "one of ")
    known = "" if why.startswith("Not of type") else "expected "
    return f"--{group}.{path} {given}: {known}{why[:240]}"


def config_file(kind: str, name: str) -> Path:
    """A shipped YAML file by name, or a file of the user's.

    Args:
        kind: folder under ``configs``: ``suites``, ``protocols``, ``recipes``.
        name: a shipped name (``tiny``) or a path (``mine.yaml``).

    Raises:
        UserError: if there is neither.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if os.path.isfile(path):  # a name that is too long, or none, is no file either
            return path
        raise UserError(f"{path}: no such file")
    shipped = list_configs(kind)
    if name not in shipped:
        raise unknown(kind.rstrip("s"), name, shipped, hint=f"ssl-av list {kind}")
    return shipped[name]


def list_configs(kind: str) -> dict[str, Path]:
    """Shipped YAML files of a kind, by name; sub-folders are part of the name."""
    root = configs_root() / kind
    return {str(p.relative_to(root).with_suffix("")): p for p in sorted(root.rglob("*.yaml"))}


def configs_root() -> Path:
    """``ssl_av/configs`` in an installed wheel, ``configs`` in a checkout."""
    here = Path(__file__).resolve().parent
    return here / "configs" if (here / "configs").is_dir() else here.parent / "configs"


__all__ = [
    "check",
    "check_named_once",
    "check_names",
    "config_file",
    "configs_root",
    "list_configs",
    "parameters_of",
    "parse_dotted",
]
