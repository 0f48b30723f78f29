"""Intervals and comparisons against independent arithmetic."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ssl_av.errors import UserError
from ssl_av.evaluation import statistics
from ssl_av.evaluation.statistics import (
    bootstrap,
    class_accuracy,
    compare,
    confusion,
    holm,
    mcnemar,
    over_runs,
    paired_bootstrap,
)


def test_the_bootstrap_of_an_accuracy_is_near_the_binomial_law():
    right = np.r_[np.ones(140), np.zeros(60)]
    found = bootstrap(right, draws=20_000, seed=1)
    # Resampling 0/1 values is drawing from Binomial(200, 0.7).
    counts = np.cumsum([math.comb(200, k) * 0.7**k * 0.3 ** (200 - k) for k in range(201)])
    low, high = (np.searchsorted(counts, p) / 200 for p in (0.025, 0.975))
    assert found.value == pytest.approx(0.7)
    assert found.low == pytest.approx(low, abs=0.0051)
    assert found.high == pytest.approx(high, abs=0.0051)
    assert found.how == "percentile bootstrap over 200 samples, 20000 draws, seed 1"


def test_the_bootstrap_of_means_has_the_standard_error():
    x = np.random.default_rng(0).normal(3, 2, 500)
    found = bootstrap(x, draws=5000, level=0.9)
    error = x.std() / 500**0.5
    assert found.high - found.low == pytest.approx(2 * 1.645 * error, rel=0.05)
    assert found.low < x.mean() < found.high


def test_the_bootstrap_is_seeded_and_does_not_depend_on_its_blocks(monkeypatch: pytest.MonkeyPatch):
    x = np.random.default_rng(0).normal(size=50)
    first = bootstrap(x, draws=100, seed=3)
    assert first == bootstrap(x, draws=100, seed=3)
    assert first != bootstrap(x, draws=100, seed=4)
    monkeypatch.setattr(statistics, "INDICES", 350)
    assert first == bootstrap(x, draws=100, seed=3)


def test_all_alike_leaves_no_doubt_and_one_sample_neither():
    assert (bootstrap([1, 1, 1]).low, bootstrap([1, 1, 1]).high) == (1.0, 1.0)
    assert bootstrap([0.5]).value == 0.5


def test_t_interval_of_five_folds():
    x = [0.80, 0.82, 0.79, 0.85, 0.84]
    found = over_runs(x)
    std = math.sqrt(sum((v - 0.82) ** 2 for v in x) / 4)
    assert found.mean == pytest.approx(0.82)
    assert found.std == pytest.approx(std)
    assert found.n == 5
    # 2.776 is the 97.5% quantile of Student's t with 4 degrees of freedom (any table)
    assert found.interval is not None
    assert found.interval.high - 0.82 == pytest.approx(2.7764 * std / 5**0.5, rel=1e-4)
    assert 0.82 - found.interval.low == pytest.approx(found.interval.high - 0.82)


def test_one_run_has_no_spread():
    found = over_runs([0.5])
    assert (found.mean, found.std, found.n, found.interval) == (0.5, None, 1, None)


def test_confusion_and_class_accuracy_by_hand():
    label, predicted = [0, 0, 0, 1, 1, 3], [0, 0, 1, 1, 0, 3]
    assert confusion(predicted, label, 4).tolist() == [[2, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
    found = class_accuracy(predicted, label, 4)
    assert found[[0, 1, 3]] == pytest.approx([2 / 3, 0.5, 1.0])
    assert np.isnan(found[2])


@pytest.mark.parametrize(("only_a", "only_b"), [(10, 2), (3, 3), (0, 5), (0, 0), (1, 0)])
def test_mcnemar_is_the_sign_test_of_the_samples_that_differ(only_a: int, only_b: int):
    a = np.r_[np.ones(only_a), np.zeros(only_b), np.ones(20), np.zeros(7)].astype(bool)
    b = np.r_[np.zeros(only_a), np.ones(only_b), np.ones(20), np.zeros(7)].astype(bool)
    n = only_a + only_b
    tail = sum(math.comb(n, k) for k in range(min(only_a, only_b) + 1)) / 2**n
    assert mcnemar(a, b) == pytest.approx(min(1.0, 2 * tail))
    assert mcnemar(a, b) == pytest.approx(mcnemar(b, a))


def test_the_paired_interval_uses_that_the_samples_are_the_same():
    rng = np.random.default_rng(0)
    a = rng.random(1000) < 0.6
    b = a.copy()
    b[:30] = False
    paired = paired_bootstrap(a, b)
    assert paired.value == pytest.approx(a.mean() - b.mean())
    assert paired.low > 0
    alone = bootstrap(a)
    assert paired.high - paired.low < 0.5 * (alone.high - alone.low)


def test_holm_by_hand():
    # sorted: 0.005·4, 0.01·3, 0.03·2, 0.04·1, and never below the one before
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    assert holm([0.02]) == pytest.approx([0.02])


def test_compare_corrects_all_pairs_together():
    rng = np.random.default_rng(0)
    truth = rng.random(400)
    correct = {"good": truth < 0.8, "fair": truth < 0.7, "other": rng.random(400) < 0.7}
    found = compare(correct)
    assert [(c.first, c.second) for c in found] == [("good", "fair"), ("good", "other"), ("fair", "other")]
    assert [c.adjusted for c in found] == pytest.approx(holm([c.p_value for c in found]))
    assert found[0].p_value == pytest.approx(mcnemar(correct["good"], correct["fair"]))
    assert found[0].adjusted < 0.001 < found[2].adjusted
    one = compare(correct, against="fair")
    assert [(c.first, c.second) for c in one] == [("good", "fair"), ("other", "fair")]
    assert one[0].adjusted <= found[0].adjusted


def test_what_is_wrong_is_said():
    with pytest.raises(UserError, match="at least one"):
        bootstrap([])
    with pytest.raises(UserError, match="finite"):
        over_runs([0.5, np.nan])
    with pytest.raises(UserError, match="between 0 and 1"):
        bootstrap([1, 0], level=95)
    with pytest.raises(UserError, match="same ones"):
        mcnemar([True], [True, False])
    with pytest.raises(UserError, match="true or false"):
        mcnemar([0.2], [0.7])
    with pytest.raises(UserError, match="same ones"):
        paired_bootstrap([1.0], [1.0, 0.0])
    with pytest.raises(UserError, match="without a label"):
        confusion([0, 1], [0, -1], 2)
    with pytest.raises(UserError, match="two methods"):
        compare({"a": [True]})
    with pytest.raises(UserError, match="two methods"):
        compare({"a": [True], "b": [True]}, against="c")
    with pytest.raises(UserError, match="from 0 to 1"):
        holm([1.5])
