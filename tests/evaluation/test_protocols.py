"""Protocols on features whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from ssl_av.errors import UserError
from ssl_av.evaluation.features import Features
from ssl_av.evaluation.protocols import (
    NotApplicableError,
    av_retrieval,
    check_protocols,
    linear_svm,
    retrieval,
)


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


def test_unknown_protocol():
    with pytest.raises(UserError, match="did you mean linear-svm"):
        check_protocols(["linear-smv"])
