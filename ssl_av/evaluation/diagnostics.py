"""What embeddings are like, apart from what they are good for: pure functions, computed in double precision.

Standard deviation and effective rank (RankMe) are in `ssl_av.evaluation.metrics`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_av.errors import unknown
from ssl_av.evaluation.metrics import effective_rank, feature_std
from ssl_av.memory import Expansion, agreement_positives

Numbers = dict[str, float]


def alignment(x: Tensor, y: Tensor, power: float = 2.0) -> float:
    """Mean distance of the unit rows of positive pairs, raised to ``power`` (Wang & Isola 2020, eq. 2); 0 is best.

    Args:
        x: [N, D].
        y: [N, D], row i belongs to row i of ``x``.
        power: α.
    """
    _same_shape(x, y)
    return float((_unit(x) - _unit(y)).norm(dim=1).pow(power).mean())


def uniformity(x: Tensor, t: float = 2.0, chunk: int = 1024) -> float:
    """Log of the mean of exp(-t ‖x_i - x_j‖²) over all pairs of different unit rows (Wang & Isola 2020, eq. 3).

    0 where all rows are equal; the lower, the more evenly they cover the sphere (down to about -2t).

    Args:
        x: [N, D], at least two rows.
        t: of the Gaussian kernel.
        chunk: rows handled at once, memory is chunk × N.
    """
    unit = _unit(x)
    _at_least_two(unit)
    total = torch.zeros((), dtype=torch.float64, device=unit.device)
    for begin in range(0, len(unit), chunk):
        rows = unit[begin : begin + chunk]
        kernel = torch.exp(-t * (2 - 2 * rows @ unit.T))
        kernel[torch.arange(len(rows)), torch.arange(begin, begin + len(rows))] = 0
        total += kernel.sum()
    return float((total / (len(unit) * (len(unit) - 1))).log())


def mean_inner_product(x: Tensor) -> float:
    """Mean inner product of the unit rows of two different samples.

    0 for rows spread evenly over the sphere. AVID 4.3 finds 0.23 for the memories of Cross-AVID on Kinetics, and 0 for
    those of CMA. Exact in one pass: ‖Σx‖² is the sum over all pairs.

    Args:
        x: [N, D], at least two rows.
    """
    unit = _unit(x)
    _at_least_two(unit)
    pairs = unit.sum(dim=0).square().sum() - unit.square().sum()
    return float(pairs / (len(unit) * (len(unit) - 1)))


def modality_gap(video: Tensor, audio: Tensor) -> float:
    """Distance of the two modalities' mean unit embeddings (Liang et al. 2022): 0 to 2.

    Args:
        video: [N, D].
        audio: [M, D], of the same space.
    """
    if video.shape[1] != audio.shape[1]:
        raise ValueError(f"not one space: {list(video.shape)} and {list(audio.shape)}")
    return float((_unit(video).mean(dim=0) - _unit(audio).mean(dim=0)).norm())


def precision_at(positives: Tensor, labels: Tensor, ks: Sequence[int]) -> Numbers:
    """Precision@K of CMA's positives: the share of the first K that have their sample's label (AVID figure 4c).

    Args:
        positives: [N, P] row numbers, best first, as of `ssl_av.memory.agreement_positives`; -1 where none is found.
        labels: [N] class of each row; -1 where it is not known: such a row is no sample, and counts as no positive.
        ks: where to cut; none above P.

    Returns:
        ``p1``, ``p10`` …; NaN where no labelled sample has a labelled positive among the first K.
    """
    if max(ks) > positives.shape[1] or min(ks) < 1:
        raise ValueError(f"ks must lie in 1 … {positives.shape[1]}, got {list(ks)}")
    own = labels[:, None]
    theirs = torch.where(positives >= 0, labels[positives.clamp(min=0)], -1)
    known = (own >= 0) & (theirs >= 0)
    right = known & (own == theirs)
    out = {}
    for k in ks:
        count = known[:, :k].sum(dim=1)
        has = count > 0
        out[f"p{k}"] = float((right[:, :k].sum(dim=1)[has].double() / count[has]).mean())
    return out


def related_precision(
    video: Tensor, audio: Tensor, labels: Tensor, ks: Sequence[int], kinds: Sequence[Expansion]
) -> dict[str, Numbers]:
    """`precision_at` of the samples that each way to relate a memory's rows finds.

    Args:
        video: [N, D] unit rows.
        audio: [N, D].
        labels: [N], -1 where it is not known.
        ks: where to cut; one that N is too small for is left out.
        kinds: ways to relate, of `ssl_av.memory.agreement_positives`.

    Returns:
        By kind; empty where there are not two classes, or too few rows.
    """
    ks = [k for k in ks if k < len(video) - 1]
    if not ks or len(labels[labels >= 0].unique()) < 2:
        return {}
    return {
        kind: precision_at(agreement_positives(video, audio, max(ks), kind).cpu(), labels, ks)
        for kind in kinds
    }


def pair_chance(labels: Tensor) -> float:
    """How likely another sample at random has the same class; labels of -1 take no part."""
    known = labels[labels >= 0]
    share = known.bincount().double()
    return float((share * (share - 1)).sum() / (len(known) * (len(known) - 1)))


def late_fusion(
    scores: Sequence[Tensor], weights: Sequence[float] | None = None, kind: str = "softmax"
) -> Tensor:
    """One score a class from those of several classifiers, one a modality.

    CrissCross E.2 fuses earlier, by one classifier on the concatenated features; this needs no further training.

    Args:
        scores: [N, classes] each.
        weights: of the classifiers; their mean by default.
        kind: ``softmax`` adds probabilities; ``sum`` the scores as they are, for margins of one scale.

    Returns:
        [N, classes], double precision.
    """
    if kind not in ("softmax", "sum"):
        raise unknown("fusion", kind, ("softmax", "sum"))
    share = torch.tensor([1.0] * len(scores) if weights is None else list(weights), dtype=torch.float64)
    for other in scores[1:]:
        _same_shape(scores[0], other)
    stacked = torch.stack([s.double().cpu() for s in scores])
    stacked = stacked.softmax(dim=2) if kind == "softmax" else stacked
    if len(share) != len(scores) or not bool(share.sum() > 0):
        raise ValueError(f"{len(scores)} classifiers need as many weights with a sum above 0, got {weights}")
    return torch.einsum("m,mnc->nc", share / share.sum(), stacked)


def describe(pooled: dict[str, Tensor], query: dict[str, Tensor], key: dict[str, Tensor]) -> dict[str, Any]:
    """All numbers that need no label, of one split.

    Args:
        pooled: by modality, [N, num_features] backbone features.
        query: by modality, [N, D] embeddings in the shared space; may be empty.
        key: by modality, what queries of the other modality are compared with.

    Returns:
        A group for each modality (``std``, ``effective_rank``, ``uniformity``, ``mean_inner_product``) and, with a
        shared space, ``video_to_audio`` and ``audio_to_video`` (``alignment``, ``modality_gap``). Empty for fewer than
        two samples.
    """
    if any(len(x) < 2 for x in pooled.values()):
        return {}
    found: dict[str, Any] = {
        m: {
            "std": feature_std(x),
            "effective_rank": effective_rank(x),
            "uniformity": uniformity(x),
            "mean_inner_product": mean_inner_product(x),
        }
        for m, x in pooled.items()
    }
    for one, other in (("video", "audio"), ("audio", "video")):
        if one in query and other in key:
            found[f"{one}_to_{other}"] = {
                "alignment": alignment(query[one], key[other]),
                "modality_gap": modality_gap(query[one], key[other]),
            }
    return found


def _unit(x: Tensor) -> Tensor:
    return F.normalize(x.double(), dim=1)


def _at_least_two(x: Tensor) -> None:
    if len(x) < 2:
        raise ValueError(f"pairs need at least two rows, got {len(x)}")


def _same_shape(x: Tensor, y: Tensor) -> None:
    if x.shape != y.shape:
        raise ValueError(f"rows must pair up, got {list(x.shape)} and {list(y.shape)}")
