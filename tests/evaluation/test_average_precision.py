"""Average precision and its interval against scikit-learn and a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from ssl_av.errors import UserError
from ssl_av.evaluation import average_precision
from ssl_av.evaluation.average_precision import bootstrap_map, class_precision


def drawn(n: int = 60, classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target = rng.random((n, classes)) < 0.3
    scores = (target + rng.normal(size=(n, classes))).round(1)  # rounded: there are ties
    return scores, target


def test_each_class_is_what_scikit_learn_finds():
    scores, target = drawn()
    wanted = [average_precision_score(target[:, k], scores[:, k]) for k in range(4)]
    np.testing.assert_allclose(class_precision(scores, target), wanted)


def test_weights_are_repeated_samples():
    scores, target = drawn()
    rows = np.random.default_rng(1).integers(60, size=(5, 60))
    weight = np.stack([np.bincount(r, minlength=60) for r in rows])
    found = class_precision(scores, target, weight)
    for r, line in zip(rows, found, strict=True):
        wanted = [average_precision_score(target[r, k], scores[r, k]) for k in range(4)]
        np.testing.assert_allclose(line, wanted)


def test_a_class_without_a_positive_has_none_and_one_that_was_never_trained_is_all_ties():
    scores, target = drawn()
    target[:, 1] = False
    scores[:, 2] = -np.inf
    found = class_precision(scores, target)
    assert np.isnan(found[1])
    assert found[2] == pytest.approx(target[:, 2].mean())
    with pytest.raises(UserError, match="one a sample and class"):
        class_precision(scores, target[:, :2])


def test_the_interval_is_that_of_a_plain_loop():
    scores, target = drawn(40, 3)
    found = bootstrap_map(scores, target, draws=150, seed=2)
    rng = np.random.default_rng(9)
    means = []
    for _ in range(150):
        rows = rng.integers(40, size=40)
        there = target[rows].any(axis=0)
        means.append(average_precision_score(target[rows][:, there], scores[rows][:, there], average="macro"))
    low, high = np.quantile(means, (0.025, 0.975))
    assert found.value == pytest.approx(average_precision_score(target, scores, average="macro"))
    assert (found.low, found.high) == (pytest.approx(low, abs=0.05), pytest.approx(high, abs=0.05))
    assert found.how == "percentile bootstrap over 40 samples, 150 draws, seed 2"
    assert found == bootstrap_map(scores, target, draws=150, seed=2)


def test_many_samples_and_classes_have_fewer_draws(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(average_precision, "SORTED", 60 * 4 * 250)
    assert "250 draws" in bootstrap_map(*drawn()).how
    monkeypatch.setattr(average_precision, "SORTED", 1)
    assert "200 draws" in bootstrap_map(*drawn()).how
