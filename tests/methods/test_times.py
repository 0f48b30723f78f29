"""Where each paper's views lie in time: in range, overlapping as stated, and uniform as stated, on any duration."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import kstest, spearmanr

from ssl_av.data.views import Window, draw_starts
from ssl_av.errors import UserError
from ssl_av.methods import create_method

TINY = {
    "video": "r2plus1d_10", "video_args": {"width": 1}, "audio": "conv9_audio", "audio_args": {"width": 1},
}  # fmt: skip
HEADS: dict[str, dict[str, Any]] = {
    "brave": {"hidden": 2, "dim": 2},
    "crisscross": {"projector": 2, "predictor": 2},
    "avid": {"hidden": 2, "dim": 2, "num_samples": 8},
    "stica": {"hidden": 2, "dim": 2, "pooling": "average"},
}
durations = st.floats(0.3, 40.0)
seeds = st.integers(0, 10_000)
exact = {"abs": 1e-6}


@cache
def views_of(name: str, **options: Any) -> dict[str, Any]:
    """The views of a method with its paper's lengths."""
    return create_method(name, networks=TINY, **HEADS[name], **options).views


def draw(name: str, duration: float, seed: int, **options: Any) -> dict[str, Window]:
    return draw_starts(views_of(name, **options), duration, np.random.default_rng(seed))


def starts(name: str, duration: float, **options: Any) -> dict[str, NDArray[np.float64]]:
    """The starts of 1000 samples, by view."""
    drawn = [draw(name, duration, seed, **options) for seed in range(1000)]
    return {view: np.array([windows[view].start for windows in drawn]) for view in drawn[0]}


def assert_uniform(values: NDArray[np.float64], low: Any, high: Any) -> None:
    """Kolmogorov–Smirnov; the seeds are fixed, so this never fails by chance."""
    assert kstest((values - low) / (high - low), "uniform").pvalue > 0.01


def assert_independent(a: NDArray[np.float64], b: NDArray[np.float64]) -> None:
    assert spearmanr(a, b).pvalue > 0.01


def end(window: Window) -> float:
    return window.start + window.seconds


# -- BraVe ---------------------------------------------------------------------------------------------------------

BROAD = ("audio", "rgb+rc", "flow", "rgb+rc")  # τ: 5 s, then 10.24 s each; the narrow view has 1.28 s


@given(durations, seeds)
@settings(deadline=None)
def test_brave_narrow_fits_sound_starts_with_it_and_pictures_start_anywhere(duration, seed):
    w = draw("brave", duration, seed, broad=BROAD)
    assert 0 <= w["narrow"].start <= max(duration - 1.28, 0)
    assert w["broad_0"].start == w["narrow"].start
    for k in (1, 2, 3):
        assert 0 <= w[f"broad_{k}"].start <= duration
    assert w["broad_1"].start != w["broad_3"].start  # each of K views of one kind is drawn for itself
    assert [w[f"broad_{k}"].seconds for k in range(4)] == [5.0, 10.24, 10.24, 10.24]


def test_brave_s_laws():
    s = starts("brave", 12.0, broad=BROAD)
    assert_uniform(s["narrow"], 0, 12 - 1.28)
    for k in (1, 2, 3):
        assert_uniform(s[f"broad_{k}"], 0, 12)
        assert_independent(s[f"broad_{k}"], s["narrow"])
    assert_independent(s["broad_1"], s["broad_3"])


@given(durations, seeds, st.sampled_from(["start", "official"]))
@settings(deadline=None)
def test_brave_in_sync_at_the_start(duration, seed, sync):
    w = draw("brave", duration, seed, broad=BROAD, sync=sync)
    assert {window.start for window in w.values()} == {w["narrow"].start}


@given(durations, seeds)
@settings(deadline=None)
def test_brave_in_sync_at_the_centre(duration, seed):
    w = draw("brave", duration, seed, broad=BROAD, sync="center")
    assert 0 <= w["narrow"].start <= max(duration - 1.28, 0)
    for window in w.values():
        middle = w["narrow"].start + w["narrow"].seconds / 2
        assert window.start + window.seconds / 2 == pytest.approx(middle, **exact)


def test_brave_not_in_sync():
    s = starts("brave", 12.0, broad=("audio", "rgb"), sync="async")
    assert_uniform(s["narrow"], 0, 12 - 1.28)
    assert_uniform(s["broad_0"], 0, 12)
    assert_independent(s["broad_0"], s["narrow"])
    assert_independent(s["broad_1"], s["narrow"])


# -- AVID, STiCA ---------------------------------------------------------------------------------------------------


@given(durations, seeds)
@settings(deadline=None)
def test_avid_picture_lies_within_half_a_second_of_the_sound(duration, seed):
    w = draw("avid", duration, seed)
    sound, picture = w["audio"], w["video"]
    assert (sound.seconds, picture.seconds) == (2.0, 0.5)
    assert 0 <= sound.start <= max(duration - 2, 0)
    assert picture.start >= max(sound.start - 0.5, 0) - 1e-9 or duration < 0.5
    assert picture.start >= 0
    assert end(picture) <= min(end(sound) + 0.5, max(duration, 0.5)) + 1e-9


def test_avid_s_laws():
    s = starts("avid", 9.0)
    assert_uniform(s["audio"], 0, 7)
    low = np.maximum(s["audio"] - 0.5, 0)
    assert_uniform(s["video"], low, np.minimum(s["audio"] + 2.5, 9) - 0.5)


@given(durations, seeds)
@settings(deadline=None)
def test_stica_has_two_pictures_of_one_time_and_the_sound_that_starts_with_it(duration, seed):
    w = draw("stica", duration, seed)
    assert w["video_1"] == w["video_2"]
    assert w["audio"].start == w["video_1"].start
    assert 0 <= w["video_1"].start <= max(duration - 1, 0)


# -- CrissCross ----------------------------------------------------------------------------------------------------


@given(durations, seeds, st.sampled_from(["none", "mild", "medium", "extreme", "mixed"]))
@settings(deadline=None)
def test_crisscross_picture_lies_in_the_time_of_its_sound(duration, seed, relaxation):
    w = draw("crisscross", duration, seed, relaxation=relaxation)
    for i in "12":
        sound, picture = w[f"audio_{i}"], w[f"video_{i}"]
        assert (sound.seconds, picture.seconds) == (2.0, 0.5)
        assert 0 <= sound.start <= max(duration, 2 * sound.seconds)
        if duration >= 4:
            assert sound.start - 1e-9 <= picture.start
            assert end(picture) <= end(sound) + 1e-9
            assert end(sound) <= duration + 1e-9


@given(durations, seeds, st.sampled_from([("none", 0.0), ("mild", 0.5), ("medium", 1.0), ("official", 0.5)]))
@settings(deadline=None)
def test_crisscross_second_segment_is_shifted_by_a_share_of_the_first(duration, seed, case):
    relaxation, by = case
    w = draw("crisscross", duration, seed, relaxation=relaxation)
    for m in ("audio", "video"):
        assert w[f"{m}_2"].start - w[f"{m}_1"].start == pytest.approx(by * w[f"{m}_1"].seconds, **exact)


@given(st.floats(4.0, 40.0), seeds)
@settings(deadline=None)
def test_crisscross_extreme_has_one_view_in_each_half(duration, seed):
    w = draw("crisscross", duration, seed, relaxation="extreme")
    for m in ("audio", "video"):
        assert end(w[f"{m}_1"]) <= duration / 2 + 1e-9 <= w[f"{m}_2"].start + 2e-9
        assert end(w[f"{m}_2"]) <= duration + 1e-9


@given(st.floats(2.0, 4.0), seeds)
@settings(deadline=None)
def test_crisscross_extreme_is_as_far_apart_as_a_short_sample_allows(duration, seed):
    w = draw("crisscross", duration, seed, relaxation="extreme")
    assert w["audio_1"].start == pytest.approx(0, **exact)
    assert end(w["audio_2"]) == pytest.approx(duration, **exact)


@given(st.floats(3.0, 40.0), seeds)
@settings(deadline=None)
def test_crisscross_official_pictures_lie_in_the_time_of_both_sounds(duration, seed):
    w = draw("crisscross", duration, seed, relaxation="official")
    assert w["audio_1"].start - 1e-9 <= w["video_1"].start
    assert end(w["video_2"]) <= end(w["audio_2"]) + 1e-9
    assert end(w["audio_2"]) <= duration + 1e-9


def test_crisscross_s_laws():
    for relaxation, by in (("none", 0.0), ("mild", 0.5)):
        s = starts("crisscross", 10.0, relaxation=relaxation)
        assert_uniform(s["audio_1"], 0, 10 - 2 * (1 + by))
        assert_uniform(s["video_1"] - s["audio_1"], 1.5 * by, 1.5)
    s = starts(
        "crisscross", 10.0, relaxation="medium"
    )  # the last picture of one sound, the first of the next
    np.testing.assert_allclose(s["video_1"] - s["audio_1"], 1.5)
    s = starts("crisscross", 10.0, relaxation="official")
    assert_uniform(s["audio_1"], 0, 7)
    assert_uniform(s["video_1"] - s["audio_1"], 0, 2.25)
    s = starts("crisscross", 10.0, relaxation="extreme")
    assert_uniform(s["audio_1"], 0, 3)
    assert_uniform(s["audio_2"], 5, 8)
    assert_uniform(s["video_2"] - s["audio_2"], 0, 1.5)
    assert_independent(s["audio_1"], s["audio_2"])
    s = starts("crisscross", 10.0, relaxation="mixed")
    assert_uniform(s["audio_1"], 0, 8)
    assert_uniform(s["audio_2"], 0, 8)
    assert_independent(s["audio_1"], s["audio_2"])


@given(st.floats(6.0, 40.0), seeds)
@settings(deadline=None)
def test_crisscross_sound_lies_in_the_picture_where_that_is_longer(duration, seed):
    views = create_method(
        "crisscross",
        networks=TINY,
        inputs={"frames": 16, "fps": 8, "audio_seconds": 1.0},
        **HEADS["crisscross"],
    ).views
    w = draw_starts(views, duration, np.random.default_rng(seed))
    for i in "12":
        assert w[f"video_{i}"].start - 1e-9 <= w[f"audio_{i}"].start
        assert end(w[f"audio_{i}"]) <= end(w[f"video_{i}"]) + 1e-9
        assert end(w[f"video_{i}"]) <= duration + 1e-9


# -- all -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(HEADS))
def test_the_same_seed_draws_the_same(name):
    assert draw(name, 9.0, 7) == draw(name, 9.0, 7) != draw(name, 9.0, 8)


def test_wrong_names_get_near_ones():
    with pytest.raises(UserError, match="unknown sync 'centre'; did you mean center"):
        views_of("brave", sync="centre")
    with pytest.raises(UserError, match="unknown relaxation 'mil'; did you mean mild"):
        views_of("crisscross", relaxation="mil")
