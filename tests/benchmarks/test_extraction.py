"""The benchmark of feature extraction runs; what it measures is for an idle machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "extraction.py"


@pytest.mark.slow
def test_a_second_protocol_decodes_nothing() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--quick"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    name, bare, _, _, _, prepared, clock, *_, decoded, rate = done.stdout.splitlines()[-1].split()
    assert name == "small"
    assert all(float(x) > 0 for x in (bare, prepared, clock, rate))
    assert int(decoded) == 0
