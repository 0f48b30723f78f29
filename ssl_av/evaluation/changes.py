"""Settings with some of their fields changed: what a YAML file lays over defaults, and grids to choose from."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from ssl_av.errors import UserError, unknown

S = TypeVar("S")


def changed(settings: Any, changes: Mapping[str, Any], where: str = "") -> Any:
    """A copy of some settings with fields replaced; a group may be a dictionary with some of its fields.

    Args:
        settings: a dataclass.
        changes: ``{"epochs": 10, "optim": {"lr": 1.0e-3}}``.
        where: name of the group, for errors.

    Raises:
        UserError: for a field that does not exist, or a group that is none.
    """
    fields = {f.name for f in dataclasses.fields(settings)}
    values: dict[str, Any] = {}
    for key, value in changes.items():
        if key not in fields:
            raise unknown(f"field of {where or type(settings).__name__}", str(key), fields)
        now = getattr(settings, key)
        if dataclasses.is_dataclass(now) and not dataclasses.is_dataclass(value):
            if not isinstance(value, Mapping):
                raise UserError(f"{key} must be fields with their values, got {value!r}")
            value = changed(now, value, key)
        values[key] = tuple(value) if isinstance(value, list) else value
    return dataclasses.replace(settings, **values)


def settings_grid(settings: S, grid: Mapping[str, Any]) -> list[S]:
    """All combinations of some fields' values.

    Args:
        settings: what they have in common.
        grid: values by field, those of a group inside of it: ``{"optim": {"lr": [0.03, 0.1]}, "dropout": [0.1, 0.5]}``.

    Raises:
        UserError: for a field that does not exist, or one without a list of values.
    """
    return [changed(settings, point) for point in grid_points(grid)]


def grid_points(grid: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The combinations of a grid, each as `changed` takes it; an empty grid has one, which changes nothing."""
    axes = list(_axes(grid, ()))
    found = []
    for values in itertools.product(*(axis for _, axis in axes)):
        point: dict[str, Any] = {}
        for (path, _), value in zip(axes, values, strict=True):
            node = point
            for group in path[:-1]:
                node = node.setdefault(group, {})
            node[path[-1]] = value
        found.append(point)
    return found


def said(point: Mapping[str, Any]) -> str:
    """A combination in a line: ``lr 0.03, dropout 0.1``."""
    return ", ".join(said(v) if isinstance(v, Mapping) else f"{k} {v}" for k, v in point.items())


def _axes(grid: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], list[Any]]]:
    for key, values in grid.items():
        here = (*path, str(key))
        if isinstance(values, Mapping):
            yield from _axes(values, here)
        elif isinstance(values, (list, tuple)) and values:
            yield here, list(values)
        else:
            raise UserError(f"grid: {'.'.join(here)} must be a list of values, got {values!r}")
