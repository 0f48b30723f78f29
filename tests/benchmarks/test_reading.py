"""The benchmarks of reading run; what they measure is for an idle machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "options", "first_words"),
    [
        ("decoding.py", ("--ways", "pure,decord"), ["12", "12", "12", "12", "12", "12", *["250"] * 6]),
        ("loading.py", ("--workers", "1"), ["raw", "uint8", "float"]),
        ("memory.py", ("--readers", "pyav,decord's sound"), ["pyav", "decord's"]),
    ],
)
def test_it_prints_a_line_for_each_comparison(
    script: str, options: tuple[str, ...], first_words: list[str]
) -> None:
    done = subprocess.run(
        [sys.executable, str(FOLDER / script), "--quick", *options],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    lines = [
        line.split() for line in done.stdout.splitlines() if ">=" in line or "<" in line or line[:3].strip()
    ]
    assert [words[0] for words in lines if words[0] in first_words] == first_words
