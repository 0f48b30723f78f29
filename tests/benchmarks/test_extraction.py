"""The benchmark of feature extraction runs; what it measures is for an idle machine."""

from __future__ import annotations

import pytest


@pytest.mark.slow
def test_a_second_protocol_decodes_nothing(quick) -> None:
    line = quick("extraction.py").splitlines()[-1]
    name, bare, _, _, _, prepared, clock, *_, decoded, rate = line.split()
    assert name == "small"
    assert all(float(x) > 0 for x in (bare, prepared, clock, rate))
    assert int(decoded) == 0
