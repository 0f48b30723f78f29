"""The benchmark of measurements' memory runs, and finds the same with arrays in memory."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "features.py"


@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux tells it")
def test_both_ways_find_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["features.py", "--quick"])
    spec = importlib.util.spec_from_file_location("benchmark_of_features", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.main()
    lines = [line.split() for line in capfd.readouterr().out.splitlines()[2:]]
    assert [line[:2] for line in lines] == [[p, w] for p in ("knn", "probe") for w in ("ours", "copied")]
    assert [line[-1] for line in lines[::2]] == [line[-1] for line in lines[1::2]]
    assert not list(tmp_path.iterdir())
