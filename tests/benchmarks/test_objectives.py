"""The benchmark of the objectives' costs runs, and its positives are right."""

from __future__ import annotations

import pytest


@pytest.mark.slow
def test_it_prints_a_ratio_for_each_cost(quick) -> None:
    printed = quick("objectives.py")
    lines = [line for line in printed.splitlines() if "<=" in line]
    assert [line.split()[0].rstrip(",") for line in lines] == [
        "crops", "negatives", "scores", "bank", *["positives"] * 4,
    ]  # fmt: skip
    assert printed.count("500 of 500 sets are those of a plain top-k") == 4
