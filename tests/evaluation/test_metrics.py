"""Collapse against plain arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ssl_av.evaluation.metrics import effective_rank, feature_std


def test_collapse_measures_at_both_ends():
    torch.manual_seed(0)
    spread, collapsed = torch.randn(2000, 32), torch.ones(2000, 32) + 1e-6 * torch.randn(2000, 32)
    assert feature_std(spread) == pytest.approx(1.0, abs=0.03)
    assert feature_std(collapsed) < 1e-4
    assert effective_rank(spread) == pytest.approx(32, rel=0.02)
    assert effective_rank(collapsed) == pytest.approx(1.0, abs=0.01)
    assert effective_rank(torch.zeros(4, 3)) == 1.0


def test_effective_rank_of_known_singular_values():
    s = np.array([3.0, 1.0])
    p = s / s.sum()
    x = torch.diag(torch.tensor([3.0, 1.0]))
    assert effective_rank(x) == pytest.approx(float(np.exp(-(p * np.log(p)).sum())), rel=1e-4)
