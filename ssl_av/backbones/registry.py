"""Backbones by name, in timm's manner.

A backbone is registered by a function under `@register_backbone`, or, from another package, by an entry point of that
name in the group ``ssl_av.backbones``; its arguments need defaults, the first line of its documentation is shown.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any, TypeVar

import torch

from ssl_av.backbones.base import Backbone
from ssl_av.discovery import BACKBONE_GROUP, CATALOGUE, BackboneRow
from ssl_av.errors import unknown

Builder = Callable[..., Backbone]
B = TypeVar("B", bound=Builder)
_BUILDERS: dict[str, Builder] = {}


def register_backbone(builder: B) -> B:
    """Makes a function that builds a backbone known under its own name.

    Raises:
        ValueError: if another one has that name.
    """
    _register(builder.__name__, builder)
    return builder


def _register(name: str, builder: Builder) -> None:
    other = _BUILDERS.get(name)
    if other is not None and (other.__module__, other.__qualname__) != (
        builder.__module__,
        builder.__qualname__,
    ):
        raise ValueError(f"a backbone '{name}' exists already: {other.__module__}.{other.__qualname__}")
    _BUILDERS[name] = builder


def _load_others() -> None:
    """Registers what other installed packages offer."""
    for entry in entry_points(group=BACKBONE_GROUP):
        _register(entry.name, entry.load())


def create_backbone(name: str, **kw: Any) -> Backbone:
    """Builds a backbone with random weights.

    Args:
        name: as in `list_backbones`.
        **kw: its arguments, e.g. ``width=16``.

    Raises:
        UserError: for an unknown name or argument; names the nearest ones.
    """
    if name not in _BUILDERS:
        _load_others()
    if name not in _BUILDERS:
        raise unknown("backbone", name, _BUILDERS, hint="ssl-av list backbones")
    builder = _BUILDERS[name]
    known = inspect.signature(builder).parameters
    for key in kw:
        if key not in known:
            raise unknown(f"argument of backbone '{name}'", key, known)
    return builder(**kw)


def list_backbones(modality: str | None = None) -> list[str]:
    """Names of all backbones, or of those for ``video`` or ``audio``.

    Raises:
        UserError: for another modality.
    """
    if modality is None:
        _load_others()
        return sorted(_BUILDERS)
    if modality not in ("video", "audio"):
        raise unknown("modality", modality, ("video", "audio"))
    return [name for name, kind, _, _ in describe_backbones() if kind == modality]


def describe_backbones() -> list[BackboneRow]:
    """(name, modality, parameters, first line of its documentation) of each backbone; no weights are made."""
    _load_others()
    rows = []
    for name, builder in sorted(_BUILDERS.items()):
        with torch.device("meta"):
            net = builder()
        line = (builder.__doc__ or "").split("\n")[0]
        rows.append((name, net.modality, sum(p.numel() for p in net.parameters()), line))
    return sorted(rows, key=lambda row: (row[1] != "video", row[0]))


def write_catalogue() -> None:
    """Writes what `ssl-av list backbones` shows; to be run when a backbone of this package is added or changed."""
    rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in describe_backbones())
    CATALOGUE.write_text(f"[\n{rows}\n]\n", encoding="utf-8")
