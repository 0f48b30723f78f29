"""Made layouts: empty files by their names, and lists by their text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """``make("a/b.mp4", …)`` creates empty files, ``make({"list.txt": "text"})`` files with a text; the root."""

    def made(*names: str | dict[str, str]) -> Path:
        for name in names:
            for path, text in name.items() if isinstance(name, dict) else ((name, ""),):
                file = tmp_path / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(text.encode("utf-8", "surrogateescape"))
        return tmp_path

    return made
