"""Benchmarks as a user runs them; what they measure is for an idle machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Command

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def quick(tmp_path: Path) -> Callable[..., str]:
    """``quick("svm.py")`` is what the benchmark prints with ``--quick`` and further options."""

    def run(name: str, *options: str) -> str:
        command = Command([FOLDER / name, "--quick", *options], tmp_path, os.environ, script=True)
        done = command.ended(300)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
