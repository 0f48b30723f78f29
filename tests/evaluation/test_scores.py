"""Scores of clips put together by hand and by scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from ssl_av.errors import UserError
from ssl_av.evaluation.scores import ClipScores, mean_average_precision


def measured(scores, target, **kw):
    gathered = ClipScores(scores.shape[2], **kw)
    for at in range(0, len(scores), 3):  # in batches of different lengths
        rows = torch.arange(at, min(at + 3, len(scores)))
        gathered.add(scores[rows], target[rows], rows)
    return gathered.compute()


def test_clip_and_sample_accuracy_by_hand():
    # two samples of three clips: the first is right in one clip and by the mean, the second in two and not by the mean
    scores = torch.tensor([[[9.0, 0, 0], [0, 0.1, 0], [0, 0, 0.1]], [[0.1, 0, 0], [0.1, 0, 0], [0, 0, 9.0]]])
    found = measured(scores, torch.tensor([0, 0]))
    assert found.metrics == {"top1": 0.5, "clip_top1": 0.5, "samples": 2, "clips": 3}
    np.testing.assert_allclose(found.scores, scores.softmax(2).mean(1))
    assert found.rows.tolist() == [0, 1]


def test_the_mean_is_of_probabilities_or_of_scores():
    # one very sure clip against two that lean the other way
    scores = torch.tensor([[[40.0, 0], [0, 3.0], [0, 3.0]]])
    assert measured(scores, torch.tensor([1]), average="probability").metrics["top1"] == 1.0
    assert measured(scores, torch.tensor([1]), average="score").metrics["top1"] == 0.0
    with pytest.raises(UserError, match="did you mean probability"):
        ClipScores(2, average="probabilty")


def test_top5_is_given_where_it_says_something():
    scores = torch.eye(8).roll(4, dims=1)[:, None] + torch.arange(8) * 0.01
    found = measured(scores, torch.arange(8)).metrics
    assert found["top1"] == 0.0
    assert 0 < found["top5"] < 1
    assert "top5" not in measured(torch.zeros(4, 1, 5), torch.zeros(4, dtype=torch.long)).metrics


def test_mean_average_precision_is_scikit_learns_over_the_classes_that_are_there():
    rng = np.random.default_rng(0)
    target = rng.random((40, 6)) < 0.3
    target[:, 4] = False
    scores = (
        torch.from_numpy(rng.normal(size=(40, 3, 6)).astype(np.float32))
        + 0.8 * torch.from_numpy(target)[:, None]
    )
    found = measured(scores, torch.from_numpy(target), multi_label=True)
    there = [0, 1, 2, 3, 5]
    mean = scores.sigmoid().mean(1).numpy()
    assert found.metrics["map"] == pytest.approx(
        average_precision_score(target[:, there], mean[:, there]), abs=1e-6
    )
    clips = [average_precision_score(target[:, there], scores[:, k].numpy()[:, there]) for k in range(3)]
    assert found.metrics["clip_map"] == pytest.approx(np.mean(clips), abs=1e-6)
    assert found.metrics["classes"] == 5
    assert found.metrics["map"] > found.metrics["clip_map"]
    assert np.isnan(mean_average_precision(scores[:, 0], torch.zeros(40, 6)))


def test_no_number_is_rounded_to_single_precision_and_sure_scores_are_told_apart():
    target = (torch.arange(200) >= 83).long()
    found = measured(torch.tensor([1.0, 0.0]).expand(200, 1, 2), target).metrics
    assert (found["top1"], found["clip_top1"]) == (83 / 200, 83 / 200)
    sure = torch.tensor([[[30.0]], [[40.0]], [[50.0]]])  # one sigmoid, in single precision
    several = torch.tensor([[True], [False], [True]])
    found = measured(sure, several, multi_label=True, average="score").metrics
    assert (found["map"], found["clip_map"]) == pytest.approx((5 / 6, 5 / 6))
