"""Finds components by their file name, without importing them (so that listing answers at once)."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path


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
