"""Arrays end to end, held against what a copy of them gives."""

from __future__ import annotations

import numpy as np

from ssl_av.evaluation.stacked import Stacked


def test_rows_are_those_of_the_whole():
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(n, 3, 2)).astype(np.float32) for n in (4, 1, 5)]
    whole, stacked = np.concatenate(parts), Stacked(parts)
    assert (stacked.shape, stacked.ndim, len(stacked)) == (whole.shape, 3, 10)
    rows, clips = rng.permutation(10), rng.integers(3, size=10)
    np.testing.assert_array_equal(stacked[rows], whole[rows])
    np.testing.assert_array_equal(stacked[rows, clips], whole[rows, clips])
    np.testing.assert_array_equal(stacked[rows, 2], whole[rows, 2])
    np.testing.assert_array_equal(stacked[rows[:2]], whole[rows[:2]])
    flat = Stacked([x[:, 0] for x in parts])
    np.testing.assert_array_equal(flat[rows], whole[rows, 0])
