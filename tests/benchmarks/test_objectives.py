"""The benchmark of the objectives' costs runs, and its positives are right."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "objectives.py"


@pytest.mark.slow
def test_it_prints_a_ratio_for_each_cost() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--quick"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "<=" in line]
    assert [line.split()[0].rstrip(",") for line in lines] == [
        "crops", "negatives", "scores", "bank", *["positives"] * 4,
    ]  # fmt: skip
    assert done.stdout.count("500 of 500 sets are those of a plain top-k") == 4
