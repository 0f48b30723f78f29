"""Kinds of protocols on features whose answer is known."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from ssl_av.evaluation.features import Features
from ssl_av.evaluation.kinds import KINDS, NotApplicableError, Outcome, average
from ssl_av.evaluation.protocols import Protocol, load_protocol


def measured(name: str, splits: dict[str, Features], classes: int, **settings: Any) -> Outcome:
    protocol = load_protocol(name)
    protocol = dataclasses.replace(protocol, settings=dataclasses.replace(protocol.settings, **settings))
    return KINDS[protocol.kind].measure(splits, protocol, classes, 0)


def linear_svm(splits, classes, seed=0, **settings):
    return measured("linear-svm", splits, classes, **settings).results


def retrieval(splits, classes, seed=0):
    return measured("retrieval", splits, classes).results


def av_retrieval(splits, classes, seed=0):
    return measured("av-retrieval", splits, classes).results


def features(n: int, seed: int, signal: float, classes: int = 4) -> Features:
    rng = np.random.default_rng(seed)
    label = np.arange(n) % classes
    centres = np.random.default_rng(0).normal(size=(classes, 16))
    video = centres[label] * signal + rng.normal(size=(n, 16))
    audio = rng.normal(size=(n, 16))
    return Features(label, {"video": video.astype(np.float32), "audio": audio.astype(np.float32)})


def splits(signal: float) -> dict[str, Features]:
    return {
        name: features(n, s, signal)
        for s, (name, n) in enumerate({"train": 200, "val": 80, "test": 120}.items())
    }


def test_linear_svm_finds_what_is_there_and_nothing_else():
    result = linear_svm(splits(5.0), 4, seed=0)
    assert result["video"]["top1"] > 0.99
    assert abs(result["audio"]["top1"] - 0.25) < 0.12
    assert result["video"]["converged"]


def test_linear_svm_chooses_c_on_validation_never_on_test():
    data = splits(0.8)
    first = linear_svm(data, 4, seed=0)
    shuffled = dict(data)
    shuffled["test"] = features(120, 99, 0.0)
    second = linear_svm(shuffled, 4, seed=0)
    assert second["video"]["C"] == first["video"]["C"]
    assert second["video"]["top1_val"] == first["video"]["top1_val"]
    assert second["video"]["top1"] < first["video"]["top1"]


@pytest.mark.parametrize("several", [False, True])
def test_both_solvers_decide_alike(several: bool):
    data = splits(0.8)
    if several:  # the class and its parity
        for f in data.values():
            f.label = np.stack([f.label == 0, f.label == 1, f.label == 2, f.label % 2 == 0], axis=1).astype(
                np.int64
            )
    outcomes = [
        measured("linear-svm", data, 4, solver=solver, tolerance=1e-6, max_iter=100_000)
        for solver in ("liblinear", "newton")
    ]
    for side in ("video", "audio"):
        a, b = (o.predicted[side].scores for o in outcomes)
        np.testing.assert_allclose(a, b, atol=2e-3)
        assert outcomes[0].results[side]["C"] == outcomes[1].results[side]["C"]
        assert outcomes[1].results[side]["converged"]


def test_linear_svm_does_not_care_for_the_scale_of_a_feature():
    data = splits(2.0)
    scaled = splits(2.0)
    for f in scaled.values():
        f.pooled["video"] = f.pooled["video"] * np.logspace(-3, 3, 16, dtype=np.float32) + 7
    a, b = linear_svm(data, 4, 0)["video"]["top1"], linear_svm(scaled, 4, 0)["video"]["top1"]
    assert a == pytest.approx(b, abs=0.02)


def test_samples_without_a_label_take_no_part():
    data = splits(5.0)
    for f in data.values():
        f.label[: len(f) // 2] = -1
    assert linear_svm(data, 4, 0)["video"]["top1"] > 0.95
    for f in data.values():
        f.label[:] = -1
    with pytest.raises(NotApplicableError, match="no labelled sample in the train split"):
        linear_svm(data, 4, 0)


def test_no_classes_and_one_class():
    with pytest.raises(NotApplicableError, match="no labels"):
        linear_svm(splits(1.0), 0, 0)
    data = splits(1.0)
    data["train"].label[:] = 0
    with pytest.raises(NotApplicableError, match="one class only"):
        retrieval(data, 4, 0)


def test_retrieval_searches_the_training_split():
    result = retrieval(splits(5.0), 4, 0)["video"]
    assert result["r1"] > 0.99
    weak = retrieval(splits(0.0), 4, 0)["video"]
    assert abs(weak["r1"] - 0.25) < 0.15
    assert weak["r1"] <= weak["r5"] <= weak["r20"]


def test_av_retrieval_matches_the_same_sample():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(50, 8)).astype(np.float32)
    test = Features(np.full(50, -1), {}, {"video": z, "audio": z}, {"video": z, "audio": z})
    result = av_retrieval({"test": test}, 0, 0)
    assert result["audio_to_video"]["r1"] == 1.0
    assert result["audio_to_video"]["chance_r1"] == pytest.approx(1 / 50)
    assert result["audio_to_video"]["chance_r20"] == pytest.approx(20 / 50)
    other = rng.normal(size=(50, 8)).astype(np.float32)
    test.key["video"] = other
    assert av_retrieval({"test": test}, 0, 0)["audio_to_video"]["r1"] < 0.2
    with pytest.raises(NotApplicableError, match="no space that picture and sound share"):
        av_retrieval({"test": Features(np.zeros(3))}, 2, 0)


def test_linear_svm_is_that_of_scikit_learn():
    data = splits(0.8)
    found = linear_svm(data, 4)["video"]
    scale = StandardScaler().fit(data["train"].pooled["video"])
    x = {name: scale.transform(f.pooled["video"]) for name, f in data.items()}
    top1 = {}
    for cost in (1e-3, 1e-2, 1e-1):
        svm = LinearSVC(C=cost, tol=1e-3, max_iter=3000, random_state=0).fit(x["train"], data["train"].label)
        top1[cost] = [float(svm.score(x[s], data[s].label)) for s in ("val", "test")]
    best = max(top1, key=lambda c: top1[c][0])
    assert (found["C"], found["top1_val"], found["top1"]) == pytest.approx((best, *top1[best]))


def test_clips_are_examples_in_training_and_averaged_in_testing():
    one = splits(1.0)
    rng = np.random.default_rng(5)
    many = {}
    for name, f in one.items():
        x = f.pooled["video"][:, None] + rng.normal(size=(len(f), 3, 16)).astype(np.float32)
        many[name] = Features(f.label, {"video": x})
    found = measured("linear-svm", many, 4, costs=(1e-2,))
    flat, label = many["train"].pooled["video"].reshape(-1, 16), np.repeat(many["train"].label, 3)
    scale = StandardScaler().fit(flat)
    svm = LinearSVC(C=1e-2, tol=1e-3, max_iter=3000, random_state=0).fit(scale.transform(flat), label)
    decided = svm.decision_function(scale.transform(many["test"].pooled["video"].reshape(-1, 16)))
    wanted = decided.reshape(-1, 3, 4).mean(axis=1)
    np.testing.assert_allclose(found.predicted["video"].scores, wanted)
    assert found.results["video"]["top1"] == pytest.approx((wanted.argmax(1) == many["test"].label).mean())


def test_what_is_tuned_on_test_has_its_own_name_and_changes_nothing():
    data = splits(0.5)
    data["val_as_train"] = data["val"]
    plain = linear_svm(data, 4, costs=(1e-4, 1e-2, 1.0), refit=True)["video"]
    protocol = load_protocol("linear-svm")
    settings = dataclasses.replace(
        protocol.settings, costs=(1e-4, 1e-2, 1.0), refit=True, paper_choice="test"
    )
    protocol = dataclasses.replace(protocol, settings=settings)
    kind = KINDS["linear-svm"]
    tuned = kind.combine([kind.measure(data, protocol, 4, 0)], protocol)["video"]
    assert {k: tuned[k] for k in plain} == plain
    assert tuned["top1_tuned_on_test"] == max(tuned["test_by_C"].values())
    assert tuned["top1_tuned_on_test"] >= tuned["top1"]


def test_the_first_split_chooses_for_all():
    outcomes = [
        Outcome({"audio": {"top1": 0.5, "test_by_C": {"1": a, "2": b}}}) for a, b in ((0.6, 0.5), (0.1, 0.9))
    ]
    protocol = load_protocol("brave-audio")
    found = KINDS["linear-svm"].combine(outcomes, protocol)["audio"]
    assert found["top1_tuned_on_first_split"] == pytest.approx((0.6 + 0.1) / 2)
    protocol = load_protocol("crisscross-esc-2s")
    found = KINDS["linear-svm"].combine(outcomes, protocol)["audio"]
    assert found["top1_tuned_on_test"] == pytest.approx((0.5 + 0.9) / 2)


def test_refit_learns_from_validation_too():
    data = splits(3.0)
    train = data["train"]
    known = train.label != 3
    data["train"] = Features(train.label[known], {m: x[known] for m, x in train.pooled.items()})
    data["val_as_train"] = data["val"]
    without = linear_svm(data, 4)["video"]["top1"]
    assert without <= 0.75
    assert linear_svm(data, 4, refit=True)["video"]["top1"] > 0.9


def test_several_labels_are_measured_by_mean_average_precision():
    data = splits(1.0)
    for f in data.values():
        one = np.eye(4, dtype=bool)[f.label]
        f.label = one | np.roll(one, 1, axis=1)
    found = measured("linear-svm", data, 4)
    predicted = found.predicted["video"]
    wanted = average_precision_score(predicted.truth, predicted.scores, average="macro")
    assert found.results["video"]["map"] == pytest.approx(wanted, abs=1e-6)
    assert found.results["video"]["map"] > 0.8


def test_fusion_sees_what_neither_alone_shows():
    rng = np.random.default_rng(0)
    data = {}
    for name, n in {"train": 400, "val": 100, "test": 200}.items():
        a, v = rng.integers(0, 2, n), rng.integers(0, 2, n)
        label = (a * 2 + v).astype(np.int64)
        pooled = {
            m: (np.eye(2)[x] + 0.1 * rng.normal(size=(n, 2))).astype(np.float32)
            for m, x in (("audio", a), ("video", v))
        }
        data[name] = Features(label, pooled)
    found = measured("fusion", data, 4).results
    assert found["audio+video"]["top1"] > 0.95
    assert max(found["audio"]["top1"], found["video"]["top1"]) < 0.7
    with pytest.raises(NotApplicableError, match="a video and an audio backbone"):
        measured("fusion", {n: Features(f.label, {"audio": f.pooled["audio"]}) for n, f in data.items()}, 4)


def test_knn_votes():
    found = measured("knn", splits(5.0), 4)
    assert found.results["video"]["top1"] > 0.99
    assert abs(found.results["audio"]["top1"] - 0.25) < 0.15
    assert found.predicted["video"].scores.shape == (120, 4)


def test_folds_are_averaged_and_kept():
    folds = [
        Outcome({"audio": {"top1": t, "C": 1.0, "converged": c}}) for t, c in ((0.5, True), (0.7, False))
    ]
    found = average(folds, Protocol("x", 1, "knn"))["audio"]
    assert found["top1"] == pytest.approx(0.6)
    assert found["converged"] is False
    assert [f["top1"] for f in found["folds"]] == [0.5, 0.7]
    assert found["C"] == 1.0
    folds[1].results["audio"]["C"] = 0.01
    found = average(folds, Protocol("x", 1, "knn"))["audio"]
    assert "C" not in found  # 0.505 was chosen by no fold
    assert [f["C"] for f in found["folds"]] == [1.0, 0.01]


@pytest.mark.parametrize("knows_time", [True, False])
def test_sync_tells_aligned_from_shifted_where_the_features_know_the_time(knows_time: bool):
    rng = np.random.default_rng(0)
    sample = np.repeat(rng.normal(size=(80, 1, 6)), 4, axis=1)
    moment = rng.normal(size=(80, 4, 3))
    heard = moment if knows_time else rng.normal(size=(80, 4, 3))
    clips = {"video": np.concatenate([sample, moment], 2), "audio": np.concatenate([sample, heard], 2)}
    test = Features(np.full(80, -1), clips, query={"video": clips["video"]}, key={"audio": clips["audio"]})
    found = measured("sync", {"test": test}, 0).results
    assert list(found) == ["features", "shared"]
    assert found["features"]["chance"] == 0.5
    assert (found["features"]["top1"] > 0.7) == knows_time
    assert found["features"]["sound_alone"] == pytest.approx(0.5, abs=0.1)
    with pytest.raises(NotApplicableError, match="too few"):
        measured("sync", {"test": Features(test.label[:5], {m: x[:5] for m, x in clips.items()})}, 0)
    with pytest.raises(NotApplicableError, match="a video and an audio backbone"):
        measured("sync", {"test": Features(test.label, {"audio": clips["audio"]})}, 0)
