"""The benchmark of the SVM runs and prints its ratio."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "svm.py"


@pytest.mark.slow
def test_it_prints_a_line_for_each_c_and_the_sweep() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--quick", "--reference-classes", "3"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "measured on 3 of 4 problems" in lines[1]
    assert [line.split()[0] for line in lines[3:]] == ["1e-05", "0.0001", "0.001", "0.01", "sweep"]
    assert float(lines[-1].split("|f| at most")[1].split(",")[0]) < 1e-4
    assert float(lines[-1].split("equal")[1].split()[0]) >= 0.99
