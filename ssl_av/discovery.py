"""Finds components without importing them (so that listing answers at once)."""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path

BackboneRow = tuple[str, str, int, str]
BACKBONE_GROUP = "ssl_av.backbones"
CATALOGUE = Path(__file__).parent / "backbones" / "catalogue.json"


def first_lines(folder: str | Path, skip: Sequence[str] = ()) -> dict[str, str]:
    """Module names in a folder with the first line of each one's docstring.

    Args:
        folder: a package's folder.
        skip: module names that are not components. Names beginning with ``_`` are skipped anyway.
    """
    found = {}
    for file in sorted(Path(folder).glob("*.py")):
        if file.stem.startswith("_") or file.stem in skip:
            continue
        doc = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        found[file.stem] = doc.split("\n")[0]
    return found


def catalogued_backbones() -> list[BackboneRow]:
    """What `ssl_av.backbones.describe_backbones` measures, as written down in ``catalogue.json``.

    Where other installed packages offer backbones too, all are measured, which takes seconds.
    """
    if entry_points(group=BACKBONE_GROUP):
        from ssl_av.backbones import describe_backbones

        return describe_backbones()
    return [
        (str(n), str(m), int(p), str(d)) for n, m, p, d in json.loads(CATALOGUE.read_text(encoding="utf-8"))
    ]
