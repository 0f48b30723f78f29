"""The benchmark of measurements' memory runs, and finds the same with arrays in memory."""

from __future__ import annotations

import sys

import pytest


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux tells it")
def test_both_ways_find_the_same(quick) -> None:
    lines = [line.split() for line in quick("features.py").splitlines()[2:]]
    assert [line[:2] for line in lines] == [[p, w] for p in ("knn", "probe") for w in ("ours", "copied")]
    assert [line[-1] for line in lines[::2]] == [line[-1] for line in lines[1::2]]
