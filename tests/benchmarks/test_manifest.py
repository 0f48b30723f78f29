"""The benchmark of manifests runs and says what it measures."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "manifest.py"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_prints_times_and_memory(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["manifest.py", "--rows", "20000", "--workers", "2", "--reads", "200"])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    text = capsys.readouterr().out
    assert "20,000 rows and 10,000 missing files: opened in" in text
    ours, theirs = map(int, re.findall(r"(\d+) MB", text))
    assert ours < 100
    assert theirs >= 0
