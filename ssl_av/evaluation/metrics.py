"""Numbers about features: recall, nearest neighbours, collapse."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_av.evaluation.neighbours import votes


def recall_at(
    query: Tensor, gallery: Tensor, match: Tensor, ks: Sequence[int] = (1, 5, 20)
) -> dict[str, float]:
    """R@k: the share of queries with a match among the k nearest of the gallery, by cosine.

    Args:
        query: [Q, D].
        gallery: [G, D].
        match: [Q, G] bool, which gallery items are right answers.
        ks: where to cut; a k above G is cut to G.
    """
    similarity = F.normalize(query.float(), dim=1) @ F.normalize(gallery.float(), dim=1).T
    order = similarity.topk(min(max(ks), len(gallery)), dim=1).indices
    hit = match.gather(1, order).cumsum(dim=1) > 0
    return {f"r{k}": hit[:, min(k, hit.shape[1]) - 1].float().mean().item() for k in ks}


def knn_predict(
    query: Tensor, gallery: Tensor, labels: Tensor, classes: int, k: int = 20, temperature: float = 0.07
) -> Tensor:
    """Class scores of a weighted k-nearest-neighbour classifier (Wu et al. 2018).

    Each of the k nearest by cosine votes for its class with weight exp(cosine / temperature).

    Args:
        query: [Q, D].
        gallery: [G, D] features with known ``labels`` [G].
        classes: number of classes.
        k: neighbours, at most G are used.
        temperature: of the votes.

    Returns:
        [Q, classes] scores.
    """
    similarity = F.normalize(query.float(), dim=1) @ F.normalize(gallery.float(), dim=1).T
    value, index = similarity.topk(min(k, len(gallery)), dim=1)
    return votes(value, index, labels, classes, temperature)


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
