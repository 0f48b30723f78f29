"""How sure a result is: intervals over samples, over splits and seeds, per class, and between two methods."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy import stats
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_confusion_matrix

from ssl_av.errors import UserError

INDICES = 2**22
"""Draws × samples that are held at once."""


@dataclass(frozen=True)
class Interval:
    """A number and where it may lie.

    Attributes:
        value: the estimate.
        low: lower end.
        high: upper end.
        level: confidence, e.g. 0.95.
        how: what the interval is over and how it was made, for the record.
    """

    value: float
    low: float
    high: float
    level: float
    how: str


@dataclass(frozen=True)
class Spread:
    """A result over several splits or seeds.

    Attributes:
        mean: of the results.
        std: sample standard deviation (n − 1); none for a single result.
        n: how many.
        interval: Student's t interval of the mean; none for a single result.
    """

    mean: float
    std: float | None
    n: int
    interval: Interval | None


@dataclass(frozen=True)
class Comparison:
    """Two methods on the same samples.

    Attributes:
        first: name.
        second: name.
        difference: mean of the first minus mean of the second, with its paired bootstrap interval.
        p_value: exact McNemar, two-sided.
        adjusted: the p-value after Holm's correction for all comparisons made together.
    """

    first: str
    second: str
    difference: Interval
    p_value: float
    adjusted: float


def bootstrap(
    values: ArrayLike,
    *,
    group: ArrayLike | None = None,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap of the mean over samples: the interval for other test samples, one trained model.

    Args:
        values: [N] one number a sample, e.g. whether it was right.
        group: [N] number of the sample, from 0, that each value is of, where several are of one: samples are drawn,
            each with all its values.
        draws: resamples of N with replacement.
        level: confidence.
        seed: of the draws.

    Raises:
        UserError: without samples or with values that are not finite.
    """
    x = _samples("bootstrap", values)
    if group is None:
        means, samples = _resampled_means(x, draws, seed), len(x)
    else:
        number = np.asarray(group)
        sums, counts = np.bincount(number, weights=x), np.bincount(number).astype(np.float64)
        samples = len(counts)
        means = _resampled_means(np.stack([sums, counts], axis=1), draws, seed)
        means = means[:, 0] / means[:, 1]
    low, high = np.quantile(means, _tails(level))
    how = f"percentile bootstrap over {samples} samples, {draws} draws, seed {seed}"
    return Interval(float(x.mean()), float(low), float(high), level, how)


def over_runs(results: ArrayLike, *, level: float = 0.95) -> Spread:
    """Mean, deviation and t interval over splits or seeds.

    Args:
        results: [n] one result a split or seed.
        level: confidence.
    """
    x = _samples("over runs", results)
    mean = float(x.mean())
    if len(x) == 1:
        return Spread(mean, None, 1, None)
    std = float(x.std(ddof=1))
    half = float(stats.t.ppf(_tails(level)[1], len(x) - 1)) * std / len(x) ** 0.5
    return Spread(mean, std, len(x), Interval(mean, mean - half, mean + half, level, f"t over {len(x)} runs"))


def confusion(predicted: ArrayLike, label: ArrayLike, classes: int) -> np.ndarray:
    """[classes, classes] counts: row the true class, column the predicted one."""
    p, t = _pair(predicted, label, classes)
    return multiclass_confusion_matrix(p, t, num_classes=classes).numpy()


def class_accuracy(predicted: ArrayLike, label: ArrayLike, classes: int) -> np.ndarray:
    """[classes] share of each class's samples that are right; NaN for a class without samples."""
    p, t = _pair(predicted, label, classes)
    found = multiclass_accuracy(p, t, num_classes=classes, average="none").double().numpy()
    found[np.bincount(t.numpy(), minlength=classes) == 0] = np.nan
    return found


def mcnemar(first: ArrayLike, second: ArrayLike) -> float:
    """Exact two-sided McNemar p-value: how likely so uneven a split of the samples that one alone gets right.

    Args:
        first: [N] whether the first method was right on each sample.
        second: [N] the second method, on the same samples.
    """
    a, b = _correct(first, second)
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    if only_a + only_b == 0:
        return 1.0
    return float(stats.binomtest(only_a, only_a + only_b, 0.5).pvalue)


def paired_bootstrap(
    first: ArrayLike, second: ArrayLike, *, draws: int = 2000, level: float = 0.95, seed: int = 0
) -> Interval:
    """Difference of two means on the same samples, with a percentile interval: pairs are drawn together."""
    a, b = _samples("paired bootstrap", first), _samples("paired bootstrap", second)
    if len(a) != len(b):
        raise UserError(f"paired bootstrap: {len(a)} and {len(b)} samples; compare on the same ones")
    return bootstrap(a - b, draws=draws, level=level, seed=seed)


def holm(p_values: ArrayLike) -> np.ndarray:
    """[m] p-values after Holm's step-down correction: the chance of any false finding stays below the level."""
    p = _samples("Holm", p_values)
    if p.min() < 0 or p.max() > 1:
        raise UserError("Holm: p-values lie from 0 to 1")
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order])
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted


def compare(
    correct: Mapping[str, ArrayLike], against: str | None = None, *, level: float = 0.95, seed: int = 0
) -> list[Comparison]:
    """Every pair of methods, or each with one, on the same samples, corrected together.

    Args:
        correct: by method, [N] whether it was right on each sample.
        against: compare the others with this one only.
        level: confidence of the differences' intervals (not corrected).
        seed: of the bootstrap.

    Raises:
        UserError: for fewer than two methods, an unknown ``against``, or unlike numbers of samples.
    """
    names = list(correct)
    if len(names) < 2 or (against is not None and against not in correct):
        raise UserError(
            f"compare: needs two methods or more, got {', '.join(names) or 'none'} (against {against})"
        )
    pairs: Sequence[tuple[str, str]] = list(itertools.combinations(names, 2))
    if against is not None:
        pairs = [(name, against) for name in names if name != against]
    raw = [mcnemar(correct[a], correct[b]) for a, b in pairs]
    return [
        Comparison(a, b, paired_bootstrap(correct[a], correct[b], level=level, seed=seed), p, float(q))
        for (a, b), p, q in zip(pairs, raw, holm(raw), strict=True)
    ]


def _resampled_means(x: np.ndarray, draws: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = max(1, INDICES // len(x))
    sizes = [min(rows, draws - at) for at in range(0, draws, rows)]
    return np.concatenate([x[rng.integers(len(x), size=(n, len(x)))].mean(axis=1) for n in sizes])


def _tails(level: float) -> tuple[float, float]:
    if not 0 < level < 1:
        raise UserError(f"a confidence level lies between 0 and 1, got {level}")
    return (1 - level) / 2, (1 + level) / 2


def _samples(what: str, values: ArrayLike) -> np.ndarray:
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or not len(x) or not np.isfinite(x).all():
        raise UserError(f"{what}: needs a row of finite numbers, at least one, got shape {list(x.shape)}")
    return x


def _correct(first: ArrayLike, second: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(first), np.asarray(second)
    if a.shape != b.shape or a.ndim != 1:
        raise UserError(f"McNemar: {list(a.shape)} and {list(b.shape)} samples; compare on the same ones")
    for x in (a, b):
        if x.dtype != bool and not np.isin(x, (0, 1)).all():
            raise UserError("McNemar: says of each sample whether it was right, so true or false only")
    return a.astype(bool), b.astype(bool)


def _pair(predicted: ArrayLike, label: ArrayLike, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    p, t = np.asarray(predicted), np.asarray(label)
    if p.shape != t.shape or p.ndim != 1 or not len(p):
        raise UserError(f"{list(p.shape)} predictions for {list(t.shape)} labels; one a sample is needed")
    if min(p.min(), t.min()) < 0 or max(p.max(), t.max()) >= classes:
        raise UserError(
            f"labels and predictions must lie from 0 to {classes - 1}; leave out samples without a label"
        )
    return torch.from_numpy(p.astype(np.int64)), torch.from_numpy(t.astype(np.int64))
