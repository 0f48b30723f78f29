"""The benchmark of the SVM runs and prints its ratio."""

from __future__ import annotations

import pytest


@pytest.mark.slow
def test_it_prints_a_line_for_each_c_and_the_sweep(quick) -> None:
    lines = quick("svm.py", "--reference-classes", "3").splitlines()
    assert "measured on 3 of 4 problems" in lines[1]
    assert [line.split()[0] for line in lines[3:]] == ["1e-05", "0.0001", "0.001", "0.01", "sweep"]
    assert float(lines[-1].split("|f| at most")[1].split(",")[0]) < 1e-4
    assert float(lines[-1].split("equal")[1].split()[0]) >= 0.99
