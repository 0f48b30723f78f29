"""Aligned against shifted sound, where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from ssl_av.errors import UserError
from ssl_av.evaluation.synchrony import every_pair, sync_accuracy


def clips(n: int, knows_time: bool, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three clips of n samples; what is common to picture and sound is the sample, and perhaps the moment."""
    rng = np.random.default_rng(seed)
    sample = np.repeat(rng.normal(size=(1, n, 6)), 3, axis=0)
    moment = rng.normal(size=(3, n, 3))
    mix_v, mix_a = rng.normal(size=(9, 14)), rng.normal(size=(9, 11))
    heard = moment if knows_time else rng.normal(size=(3, n, 3))
    return np.concatenate([sample, moment], 2) @ mix_v, np.concatenate([sample, heard], 2) @ mix_a


def test_finds_what_is_there_and_nothing_else():
    video, aligned, shifted, sample = every_pair(*clips(200, knows_time=True))
    found = sync_accuracy(video, aligned, shifted, sample)
    assert found["accuracy"] > 0.7
    assert found["audio_only"] == pytest.approx(0.5, abs=0.07)
    assert found["chance"] == 0.5
    assert found["pairs"] == 2 * 3 * 200
    video, aligned, shifted, sample = every_pair(*clips(200, knows_time=False))
    # the sample is common to both kinds of pairs: it must not help
    assert sync_accuracy(video, aligned, shifted, sample)["accuracy"] == pytest.approx(0.5, abs=0.07)


def test_one_space():
    rng = np.random.default_rng(0)
    video = rng.normal(size=(200, 16))
    aligned, shifted = video + 0.5 * rng.normal(size=(200, 16)), rng.normal(size=(200, 16))
    assert sync_accuracy(video, aligned, shifted, pairs="shared")["accuracy"] > 0.95
    with pytest.raises(ValueError, match="one space"):
        sync_accuracy(video, aligned[:, :3], shifted[:, :3], pairs="shared")


def test_the_control_tells_of_a_shift_that_can_be_heard():
    rng = np.random.default_rng(0)
    video, aligned = rng.normal(size=(100, 5)), rng.normal(size=(100, 5))
    found = sync_accuracy(video, aligned, rng.normal(size=(100, 5)) + 3)
    assert found["audio_only"] > 0.95


def test_no_sample_is_in_training_and_test():
    """A row is repeated under one sample's name: were it split apart, its copies would be known by heart."""
    rng = np.random.default_rng(0)
    few = [np.repeat(rng.normal(size=(12, 40)), 8, axis=0) for _ in range(3)]
    sample = np.repeat(np.arange(12), 8)
    kw = {"pairs": "shared", "cost": 100.0}
    assert sync_accuracy(*few, sample=sample, **kw)["accuracy"] < 0.75
    assert sync_accuracy(*few, sample=np.arange(96), **kw)["accuracy"] > 0.95  # as it would be


def test_every_clip_is_in_as_many_aligned_as_shifted_pairs():
    video = np.arange(6.0).reshape(3, 2, 1)
    v, aligned, shifted, sample = every_pair(video, 10 * video)
    assert (aligned == 10 * v).all()
    assert (shifted != aligned).all()
    assert sorted(aligned.ravel()) == sorted(shifted.ravel())
    assert sample.tolist() == [0, 1] * 3
    assert (v.ravel() % 2 == sample).all()
    with pytest.raises(ValueError, match="two or more clips"):
        every_pair(video[:1], video[:1])


def test_wrong_input():
    x = np.zeros((4, 3))
    with pytest.raises(UserError, match="did you mean outer"):
        sync_accuracy(x, x, x, pairs="otter")
    with pytest.raises(ValueError, match="5 folds need as many samples"):
        sync_accuracy(x, x, x)
    with pytest.raises(ValueError, match="pair up"):
        sync_accuracy(x, x[:2], x[:2])
