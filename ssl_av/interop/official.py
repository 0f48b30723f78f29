"""The official checkpoints: which layout a file has, and what it becomes."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

from ssl_av.checkpoint import Saved
from ssl_av.errors import UserError, unknown
from ssl_av.interop.mapping import assemble

#: what the user calls it → the file here that reads it. CMA's checkpoints are AVID's with positives, STiCA's GDT's.
LAYOUTS = {
    "avid": "avid", "cma": "avid", "gdt": "gdt", "stica": "gdt", "crisscross": "crisscross", "brave": "brave",
}  # fmt: skip


def convert(path: Path, tree: Any, layout: str | None, backbones_only: bool = False) -> Saved:
    """What an official checkpoint is here.

    Args:
        path: for messages.
        tree: its contents.
        layout: a name of `LAYOUTS`; None finds it out.
        backbones_only: leave heads and memory.

    Raises:
        UserError: if it has another layout, or does not fill its networks to the last tensor.
    """
    if layout is not None and layout not in LAYOUTS:
        raise unknown("layout", layout, LAYOUTS)
    reader = _reader(LAYOUTS[layout]) if layout else None
    if reader is None or not reader.matches(reader.read(tree)):
        if isinstance(tree, dict) and "ssl_av" in tree:
            raise UserError(
                f"{path}: is a checkpoint of ours already; eval, export and fit --init take it as it is"
            )
        right = _recognise(tree)
        if right is None:
            what = (
                f"checkpoint of the layout '{layout}'"
                if layout
                else "checkpoint of ssl-av, nor an official one"
            )
            raise UserError(f"{path}: not a {what} ({_contents(tree)})")
        if reader is not None:
            raise UserError(
                f"{path}: not of the layout '{layout}'; it looks like '{right}': use --from {right}"
            )
        reader = _reader(right)
    source = reader.read(tree)
    try:
        return assemble(path, source, reader.describe(path, source, backbones_only), backbones_only)
    except (IndexError, KeyError, TypeError, ValueError, ArithmeticError, RuntimeError) as e:
        raise UserError(
            f"{path}: its networks cannot be told: no network has tensors of these shapes ({type(e).__name__}: {e})"
        ) from e


def _recognise(tree: Any) -> str | None:
    """The layout whose names these are."""
    for name in dict.fromkeys(LAYOUTS.values()):
        reader = _reader(name)
        if reader.matches(reader.read(tree)):
            return name
    return None


def _reader(name: str) -> ModuleType:
    return importlib.import_module(f"ssl_av.interop.{name}")


def _contents(tree: Any) -> str:
    if not isinstance(tree, dict):
        return f"it holds a {type(tree).__name__}"
    names = [str(k) for k in tree]
    return f"it has {len(names)} entries: {', '.join(names[:5])}{', …' if len(names) > 5 else ''}"
