"""Recipes by name, and how a file of one is put together from the files that it extends."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ssl_av.config import LOADING_FIELDS, load_yaml, merge
from ssl_av.errors import UserError, unknown
from ssl_av.options import list_configs

KIND = "recipes"

FILES = 100
"""Files that a recipe may be put together from; the shipped ones take eight at most."""


def recipe_names() -> list[str]:
    """The shipped recipes; a file or folder that begins with ``_`` is a part of recipes."""
    return [name for name in _shipped() if not _is_part(name)]


def compose(name: str) -> dict[str, Any]:
    """The values of a recipe: those of the files that it ``extends``, in order, then its own.

    Mappings are merged, anything else is replaced, except that ``differs`` adds up until a file says anew what it
    ``follows``. Another network or data set does not inherit the arguments of the one that it replaces, another method
    nothing.

    Args:
        name: a shipped recipe (``avid/kinetics400``) or a file (``mine.yaml``).

    Raises:
        UserError: for an unknown name, a part of recipes, files that extend each other in a circle, or too many.
    """
    if _is_file(name):
        return _composed(str(Path(name)), (), [])
    if _is_part(name) and name in _shipped():
        raise UserError(f"'{name}' is a part of recipes, not one (`ssl-av list recipes` shows all)")
    if name not in _shipped():
        raise unknown("recipe", name, recipe_names(), hint="ssl-av list recipes")
    return _composed(name, (), [])


def nominal_size(dataset: str) -> int | None:
    """Training samples of a data set as the papers count them; None for one that they do not train on."""
    part = f"_data/{dataset}"
    return int(_shipped_values(part)["training_samples"]) if part in _shipped() else None


def overlay(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``over`` laid on it as `compose` does."""
    out = merge(base, over)
    if _renamed(base.get("data"), over.get("data")):
        out["data"] = {k: v for k, v in base["data"].items() if k in LOADING_FIELDS} | over["data"]
    below, above = base.get("method"), over.get("method")
    if isinstance(below, Mapping) and isinstance(above, Mapping):
        old, new = below.get("networks", {}), above.get("networks", {})
        for net in ("video", "audio") if isinstance(old, Mapping) and isinstance(new, Mapping) else ():
            if new.get(net, old.get(net)) != old.get(net) and f"{net}_args" not in new:
                out["method"]["networks"].pop(f"{net}_args", None)
        if _renamed(below, above):
            out["method"] = dict(above)
    # A row's own: a budget has one unit, and another row's numbers are not this one's.
    out |= {key: over[key] for key in ("budget", "reported") if key in over}
    if "differs" in over and "follows" not in over:
        out["differs"] = [*_listed(base.get("differs", [])), *_listed(over["differs"])]
    return out


@cache
def _shipped() -> dict[str, Path]:
    return list_configs(KIND)


def _is_part(name: str) -> bool:
    return any(word.startswith("_") for word in name.split("/"))


def _renamed(old: Any, new: Any) -> bool:
    both = isinstance(old, Mapping) and isinstance(new, Mapping) and "name" in old and "name" in new
    return both and old["name"] != new["name"]


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _composed(name: str, above: tuple[str, ...], read: list[str]) -> dict[str, Any]:
    """A file with what it extends.

    Args:
        name: a shipped recipe or part, or a file.
        above: the files that extend it.
        read: all files so far; a file that is extended twice is read twice.
    """
    if _identity(name) in map(_identity, above):
        raise UserError(f"recipe {name}: extends itself ({' → '.join([*above, name])})")
    read.append(name)
    if len(read) > FILES:
        raise UserError(f"recipe {read[0]}: extends more than {FILES} files, directly or through others")
    own = _read(name)
    extends = own.pop("extends", [])
    parts = [extends] if isinstance(extends, str) else extends
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise UserError(f"recipe {name}: 'extends' must name recipes, got {extends!r}")
    out: dict[str, Any] = {}
    for part in parts:
        out = overlay(out, _composed(_beside(name, part), (*above, name), read))
    return overlay(out, own)


def _is_file(name: str) -> bool:
    return Path(name).suffix in (".yaml", ".yml")


def _identity(name: str) -> str:
    """One for each file, however it is named: ``a.yaml``, ``../here/a.yaml``."""
    return os.path.abspath(name) if _is_file(name) else name


def _beside(name: str, part: str) -> str:
    """What ``extends: part`` of the file ``name`` means: a file beside it, or a shipped recipe."""
    if _is_file(part) and not Path(part).is_absolute():
        return str(Path(name).parent / part)
    return part


@cache
def _shipped_values(name: str) -> dict[str, Any]:
    if name not in _shipped():
        raise unknown("recipe to extend", name, _shipped())
    return load_yaml(_shipped()[name])


def _read(name: str) -> dict[str, Any]:
    return load_yaml(Path(name)) if _is_file(name) else dict(_shipped_values(name))
