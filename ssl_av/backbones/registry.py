"""Backbones by name, in timm's manner."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from ssl_av.backbones.base import Backbone
from ssl_av.errors import unknown

Builder = Callable[..., Backbone]
B = TypeVar("B", bound=Builder)
_BUILDERS: dict[str, Builder] = {}


def register_backbone(builder: B) -> B:
    """Makes a function that builds a backbone known under its own name."""
    _BUILDERS[builder.__name__] = builder
    return builder


def create_backbone(name: str, **kw: Any) -> Backbone:
    """Builds a backbone with random weights.

    Args:
        name: as in `list_backbones`.
        **kw: its arguments, e.g. ``width=16``.

    Raises:
        UserError: for an unknown name or argument; names the nearest ones.
    """
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
        return sorted(_BUILDERS)
    if modality not in ("video", "audio"):
        raise unknown("modality", modality, ("video", "audio"))
    return [name for name, kind, _, _ in describe_backbones() if kind == modality]


def describe_backbones() -> list[tuple[str, str, int, str]]:
    """(name, modality, parameters, first line of its documentation) of each backbone; no weights are made."""
    rows = []
    for name, builder in sorted(_BUILDERS.items()):
        with torch.device("meta"):
            net = builder()
        line = (builder.__doc__ or "").split("\n")[0]
        rows.append((name, net.modality, sum(p.numel() for p in net.parameters()), line))
    return sorted(rows, key=lambda row: (row[1] != "video", row[0]))
