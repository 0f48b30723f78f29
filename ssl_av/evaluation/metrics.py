"""Whether features have collapsed. Recall and nearest neighbours are in `ssl_av.evaluation.neighbours`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def feature_std(x: Tensor) -> float:
    """Mean over dimensions of the standard deviation of the unit rows, times √D.

    1 for directions spread evenly over the sphere, 0 when all rows point the same way (collapse; SimSiam §4.1).
    """
    unit = F.normalize(x.float(), dim=1)
    return float(unit.std(dim=0, correction=0).mean() * unit.shape[1] ** 0.5)


def effective_rank(x: Tensor) -> float:
    """RankMe (Garrido et al. 2023): exp of the entropy of the normalised singular values; 1 … min(N, D)."""
    s = torch.linalg.svdvals(x.float())
    total = s.sum()
    if not bool(total > 0):
        return 1.0
    p = s / total + 1e-7
    return float(torch.exp(-(p * p.log()).sum()))
