"""Intervals and classes in results, and the predictions that are kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from ssl_av.errors import UserError
from ssl_av.evaluation.certainty import (
    attach,
    bracketed,
    explained,
    identify,
    load_predictions,
    locate,
    predictions_file,
    save_predictions,
)
from ssl_av.evaluation.features import Features
from ssl_av.evaluation.kinds import Outcome, Predicted, average
from ssl_av.evaluation.protocols import Protocol
from ssl_av.evaluation.statistics import bootstrap

KNN = Protocol("knn", 1, "knn")
NAMES = ("dog", "rain", "sea")


def outcome(seed: int, n: int = 40) -> Outcome:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, n)  # nobody hears the sea
    scores = np.eye(3)[truth] + rng.normal(0, 0.8, (n, 3))
    top1 = float((scores.argmax(axis=1) == truth).mean())
    return Outcome({"audio": {"top1": top1}}, {"audio": Predicted(truth, scores, np.arange(n) + seed)})


def test_one_fold_has_the_interval_of_its_samples_and_each_class():
    one = outcome(0)
    results = average([one], KNN)
    attach(results, [one], NAMES)
    p = one.predicted["audio"]
    right = p.scores.argmax(axis=1) == p.truth
    found, wanted = results["audio"]["interval"], bootstrap(right, draws=2000, seed=0)
    assert (found["low"], found["high"], found["value"]) == (wanted.low, wanted.high, wanted.value)
    assert (found["metric"], found["level"]) == ("top1", 0.95)
    assert found["how"] == "percentile bootstrap over 40 samples, 2000 draws, seed 0"
    assert found["low"] < results["audio"]["top1"] < found["high"]
    by_class = results["audio"]["by_class"]
    assert list(by_class) == list(NAMES)
    assert by_class["dog"] == pytest.approx(right[p.truth == 0].mean())
    assert by_class["sea"] is None
    json.dumps(results, allow_nan=False)


def test_several_folds_are_pooled_and_have_a_deviation():
    folds = [outcome(seed, n) for seed, n in enumerate((40, 60, 50))]
    results = average(folds, KNN)
    attach(results, folds, NAMES)
    each = [f.results["audio"]["top1"] for f in folds]
    assert results["audio"]["top1"] == pytest.approx(np.mean(each))
    assert results["audio"]["std"]["top1"] == pytest.approx(np.std(each, ddof=1))
    right = np.concatenate(
        [f.predicted["audio"].scores.argmax(axis=1) == f.predicted["audio"].truth for f in folds]
    )
    wanted = bootstrap(right, draws=2000, seed=0)
    found = results["audio"]["interval"]
    assert (found["low"], found["high"]) == (wanted.low, wanted.high)
    assert found["how"].endswith("over 150 samples, 2000 draws, seed 0, 3 folds pooled")


def test_several_labels_have_the_interval_of_the_mean_average_precision():
    rng = np.random.default_rng(0)
    truth = rng.random((50, 3)) < 0.4
    scores = truth + rng.normal(size=(50, 3))
    value = average_precision_score(truth, scores, average="macro")
    results = {"video": {"map": value}}
    attach(results, [Outcome(results, {"video": Predicted(truth, scores, np.arange(50))})], NAMES)
    found = results["video"]["interval"]
    assert found["metric"] == "map"
    assert found["value"] == pytest.approx(value)
    assert found["low"] < value < found["high"]
    assert results["video"]["by_class"]["rain"] == pytest.approx(
        average_precision_score(truth[:, 1], scores[:, 1])
    )


def test_what_was_not_classified_stays_as_it_is():
    results = {"video": {"r1": 0.5}}
    attach(results, [Outcome(results)], NAMES)
    assert results == {"video": {"r1": 0.5}}


def test_predictions_say_which_samples_they_are_of():
    test = Features(np.array([0, -1, 1, 2]), {"audio": np.zeros((4, 2))}, index=np.array([0, 2, 3, 7]))
    some = Outcome({}, {"audio": Predicted(np.array([0, 1, 2]), np.zeros((3, 3)))})
    locate(some, {"test": test})
    assert some.predicted["audio"].index.tolist() == [0, 3, 7]
    own = Outcome({}, {"audio": Predicted(np.array([0]), np.zeros((1, 3)), np.array([5]))})
    locate(own, {})
    assert own.predicted["audio"].index.tolist() == [5]
    fewer = Outcome({}, {"audio": Predicted(np.array([0]), np.zeros((1, 3)))})
    with pytest.raises(ValueError, match="1 predictions for 3 test samples"):
        locate(fewer, {"test": test})


def test_predictions_are_kept_and_read_again(tmp_path: Path):
    folds = [outcome(0), outcome(1)]
    several = Outcome({}, {"video": Predicted(np.eye(3, dtype=bool), np.full((3, 3), 0.5), np.arange(3))})
    save_predictions({"linear-svm@esc50": folds, "map": [several], "retrieval": [Outcome({})]}, tmp_path)
    assert sorted(p.name for p in (tmp_path / "predictions").iterdir()) == ["linear-svm@esc50.npz", "map.npz"]
    found = load_predictions(predictions_file(tmp_path, "linear-svm@esc50"))
    assert set(found) == {"audio"}
    for kept, fold in zip(found["audio"], folds, strict=True):
        p = fold.predicted["audio"]
        assert kept.truth.tolist() == p.truth.tolist()
        assert kept.predicted.tolist() == p.scores.argmax(axis=1).tolist()
        assert kept.index.tolist() == p.index.tolist()
    with np.load(predictions_file(tmp_path, "linear-svm@esc50")) as arrays:
        assert "audio.1.predicted" in arrays.files
    assert load_predictions(predictions_file(tmp_path, "map"))["video"][0].predicted.shape == (3, 3)
    whole = predictions_file(tmp_path, "map").read_bytes()
    for damaged in (b"no", whole[: len(whole) // 2]):
        predictions_file(tmp_path, "map").write_bytes(damaged)
        with pytest.raises(UserError, match=r"map\.npz: not the predictions"):
            load_predictions(predictions_file(tmp_path, "map"))


def test_the_terminal_says_number_deviation_and_interval():
    numbers = {
        "top1": 0.612,
        "top5": 0.9,
        "std": {"top1": 0.0213},
        "interval": {"metric": "top1", "low": 0.55, "high": 0.671, "level": 0.95, "how": "by drawing"},
    }
    assert bracketed(numbers, "top1") == "61.2 % ± 2.1 [55.0, 67.1]"
    assert bracketed(numbers, "top5") == "90.0 %"
    assert explained({"a": {"skipped": "no"}, "b": {"audio": numbers}}) == "[…]: 95 % interval, by drawing\n"
    assert explained({"b": {"audio": {"r1": 0.5}}}) == ""


def test_a_sample_that_several_folds_test_is_drawn_with_all_its_predictions():
    """HMDB51's test splits overlap: the same 40 samples three times are no 120."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 40)
    scores = np.eye(3)[truth] + rng.normal(0, 0.8, (40, 3))
    right = scores.argmax(axis=1) == truth
    top1 = float(right.mean())
    folds = [
        Outcome({"audio": {"top1": top1}}, {"audio": Predicted(truth, scores, np.arange(40))}) for _ in "123"
    ]
    for fold in folds:
        identify(fold, np.array([f"clip {k}" for k in range(40)]))
    results = average(folds, KNN)
    attach(results, folds, NAMES)
    found, alone = results["audio"]["interval"], bootstrap(right, draws=2000, seed=0)
    # the draws are others: the samples have another order
    assert found["low"] == pytest.approx(alone.low, abs=0.03)
    assert found["high"] == pytest.approx(alone.high, abs=0.03)
    assert "over 40 samples" in found["how"]
    for k, fold in enumerate(folds):  # other samples in each: as if there were no names
        identify(fold, np.array([f"clip {k} {n}" for n in range(40)]))
    attach(results, folds, NAMES)
    pooled = bootstrap(np.tile(right, 3), draws=2000, seed=0)
    assert results["audio"]["interval"]["low"] == pooled.low > found["low"] + 0.03
    over = results["audio"]["interval_over_folds"]
    assert [over[k] for k in ("low", "value", "high")] == pytest.approx([top1] * 3)
