"""Average precision, class by class, and how sure its mean is: for samples with several labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ssl_av.errors import UserError
from ssl_av.evaluation.statistics import INDICES, Interval

SORTED = 2**31
"""Draws × samples × classes that a bootstrap may take: some half a minute."""
FEWEST = 200


def class_precision(scores: ArrayLike, target: ArrayLike, weight: ArrayLike | None = None) -> np.ndarray:
    """Average precision of each class: the sum over thresholds of precision × gain of recall; ties share a threshold.

    Args:
        scores: [N, C].
        target: [N, C] of 0 and 1.
        weight: [R, N] how often a sample counts, e.g. in R resamples; each once by default.

    Returns:
        [R, C], or [C] without weights; NaN for a class without a positive.
    """
    s, t = np.asarray(scores), np.asarray(target, dtype=bool)
    if s.shape != t.shape or s.ndim != 2 or not len(s):
        raise UserError(
            f"{list(s.shape)} scores for {list(t.shape)} labels; one a sample and class is needed"
        )
    rows = np.ones((1, len(s))) if weight is None else np.asarray(weight, dtype=np.float64)
    found = np.full((len(rows), s.shape[1]), np.nan)
    for k in range(s.shape[1]):
        order = np.argsort(-s[:, k], kind="stable")
        ordered = s[order, k]
        ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
        w = rows[:, order]
        right = np.cumsum(w * t[order, k], axis=1)[:, ends]
        precision = right / np.maximum(np.cumsum(w, axis=1)[:, ends], 1)
        total = right[:, -1]
        there = total > 0
        gain = np.diff(right, axis=1, prepend=0)
        found[there, k] = (precision * gain).sum(axis=1)[there] / total[there]
    return found[0] if weight is None else found


def bootstrap_map(
    scores: ArrayLike,
    target: ArrayLike,
    *,
    group: ArrayLike | None = None,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap over samples of the mean average precision over the classes that have a positive.

    Args:
        scores: [N, C].
        target: [N, C] of 0 and 1; one positive at least.
        group: as of `ssl_av.evaluation.statistics.bootstrap`.
        draws: resamples of N with replacement; fewer, `FEWEST` at least, where there are many samples × classes.
        level: confidence.
        seed: of the draws.
    """
    s, t = np.asarray(scores), np.asarray(target, dtype=bool)
    value = float(np.nanmean(class_precision(s, t)))
    draws = min(draws, max(FEWEST, SORTED // s.size))
    rng = np.random.default_rng(seed)
    number = np.arange(len(s)) if group is None else np.asarray(group)
    samples = int(number.max()) + 1
    rows = max(1, INDICES // len(s))
    means = []
    for at in range(0, draws, rows):
        n = min(rows, draws - at)
        weight = rng.multinomial(samples, np.full(samples, 1 / samples), size=n)[:, number]
        each = class_precision(s, t, weight)
        # a resample without any positive has no mean
        means.append(np.nanmean(each[~np.isnan(each).all(axis=1)], axis=1))
    low, high = np.quantile(np.concatenate(means), ((1 - level) / 2, (1 + level) / 2))
    how = f"percentile bootstrap over {samples} samples, {draws} draws, seed {seed}"
    return Interval(value, float(low), float(high), level, how)
