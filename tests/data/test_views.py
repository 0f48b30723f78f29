"""Where views lie in time, on random durations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_av.data.views import (
    AnyStart,
    Anywhere,
    AudioView,
    CentredOn,
    FlowView,
    Half,
    Inside,
    Near,
    Shifted,
    Spaced,
    StartsWith,
    VideoView,
    draw_starts,
    modalities,
)

durations = st.floats(0.5, 30.0)
seeds = st.integers(0, 10_000)


def draw(views, duration, seed=0):
    return draw_starts(views, duration, np.random.default_rng(seed))


@given(durations, seeds)
@settings(deadline=None)
def test_anywhere_fits_or_begins_at_zero(duration, seed):
    window = draw({"a": VideoView(8, 8, 48, when=Anywhere())}, duration, seed)["a"]
    assert window.start == 0 if duration <= 1 else 0 <= window.start <= duration - 1


@given(durations, seeds)
@settings(deadline=None)
def test_brave_audio_starts_with_the_narrow_view_and_broad_video_anywhere(duration, seed):
    views = {
        "narrow": VideoView(8, 8, 48, when=Anywhere()),
        "sound": AudioView(5.0, 100, when=StartsWith("narrow")),
        "broad": VideoView(64, 6.25, 48, when=AnyStart()),
    }
    windows = draw(views, duration, seed)
    assert windows["sound"].start == windows["narrow"].start
    assert 0 <= windows["broad"].start <= duration


@given(durations, seeds)
@settings(deadline=None)
def test_avid_video_lies_within_half_a_second_of_the_sound(duration, seed):
    views = {"audio": AudioView(2.0, 100), "video": VideoView(8, 16, 48, when=Near("audio", 0.5))}
    windows = draw(views, duration, seed)
    a, v = windows["audio"], windows["video"]
    assert v.start >= a.start - 0.5 - 1e-9
    assert v.start + 0.5 <= a.start + 2.0 + 0.5 + 1e-9
    assert 0 <= v.start <= max(duration - 0.5, 0) + 1e-9


@given(st.floats(3.0, 30.0), seeds)
@settings(deadline=None)
def test_crisscross_mild_segments_overlap_by_half_and_stay_inside(duration, seed):
    views = {
        "audio_1": AudioView(2.0, 100, when=Anywhere(1.5)),
        "audio_2": AudioView(2.0, 100, when=Shifted("audio_1", 0.5)),
        "video_1": VideoView(8, 16, 48, when=Inside("audio_1", 1.5)),
        "video_2": VideoView(8, 16, 48, when=Shifted("video_1", 0.5)),
    }
    w = draw(views, duration, seed)
    assert w["audio_2"].start == pytest.approx(w["audio_1"].start + 1.0)
    assert w["video_2"].start == pytest.approx(w["video_1"].start + 0.25)
    assert w["audio_2"].start + 2.0 <= duration + 1e-9
    assert w["audio_1"].start - 1e-9 <= w["video_1"].start
    assert w["video_2"].start + 0.5 <= w["audio_1"].start + 3.0 + 1e-9


@given(durations, seeds)
@settings(deadline=None)
def test_halves(duration, seed):
    views = {f"v{k}": VideoView(8, 8, 48, when=Half(k)) for k in (0, 1)}
    first, second = draw(views, duration, seed).values()
    if duration >= 2:
        assert first.start >= 0
        assert first.start + 1 <= duration / 2 + 1e-9
        assert duration / 2 <= second.start
        assert second.start + 1 <= duration + 1e-9
    else:
        assert (first.start, second.start) == (0, max(duration - 1, 0))


@given(durations, seeds)
@settings(deadline=None)
def test_centred_on_a_view_it_may_overrun_both_ends_and_loops(duration, seed):
    view = VideoView(64, 6.4, 48, when=CentredOn("a"))
    windows = draw({"a": VideoView(8, 8, 48), "b": view}, duration, seed)
    assert windows["b"].start == pytest.approx(windows["a"].start + 0.5 - 5)
    times = view.request(windows["b"], 3.0, duration, 48).times
    assert ((times >= 3) & (times <= 3 + duration)).all()
    expected = 3 + (windows["b"].start + np.arange(64) / 6.4) % duration
    np.testing.assert_allclose(times, expected)
    sound = AudioView(10.0, 1000)
    pieces = sound.requests(windows["b"], 3.0, duration)
    assert sum(p.samples for p in pieces) == sound.samples
    assert pieces[0].start == pytest.approx(3 + windows["b"].start % duration)


def test_uniform_over_the_room():
    starts = [draw({"a": VideoView(8, 8, 48)}, 5.0, seed)["a"].start for seed in range(2000)]
    assert np.mean(starts) == pytest.approx(2.0, abs=0.1)
    assert np.std(starts) == pytest.approx(4 / 12**0.5, rel=0.05)


def test_spaced_clips_cover_the_sample_evenly():
    views = {f"c{k}": VideoView(8, 8, 48, when=Spaced(k, 3)) for k in range(3)}
    assert [w.start for w in draw(views, 5.0).values()] == [0.0, 2.0, 4.0]
    assert draw({"c": VideoView(8, 8, 48, when=Spaced(0, 1))}, 5.0)["c"].start == 2.0


def test_the_same_seed_draws_the_same():
    views = {"a": VideoView(8, 8, 48), "b": AudioView(1.0, 100)}
    assert draw(views, 9.0, 7) == draw(views, 9.0, 7) != draw(views, 9.0, 8)


def test_frames_past_the_end_loop_to_the_beginning():
    view = VideoView(4, 2.0, 48, when=AnyStart())
    window = draw({"v": VideoView(4, 2.0, 48, when=Spaced(0, 1))}, 1.0)["v"]
    request = view.request(window, begin=10.0, duration=1.0, decode_size=64)
    assert request.times.tolist() == [10.0, 10.5, 10.0, 10.5]
    assert request.size == (64, 64)


@given(durations, st.floats(0, 1), st.floats(0.2, 8.0))
@settings(deadline=None)
def test_sound_is_exactly_as_long_as_asked_and_never_past_the_end(duration, where, seconds):
    view = AudioView(seconds, 8000)
    window = type(draw({"a": view}, duration)["a"])(where * duration, seconds)
    pieces = view.requests(window, 1.0, duration)
    assert sum(round(p.seconds * p.rate) for p in pieces) == view.samples
    for p in pieces:
        assert p.start >= 1.0
        assert p.start + p.seconds <= 1.0 + duration + 1.5 / 8000


def test_a_view_relative_to_a_later_one_is_named():
    with pytest.raises(ValueError, match="view 'b' lies relative to 'a'"):
        draw({"b": AudioView(1.0, 100, when=StartsWith("a")), "a": AudioView(1.0, 100)}, 4.0)


def test_modalities_of_views():
    assert modalities({"x": VideoView(8, 8, 48)}) == {"video"}
    assert modalities({"x": FlowView(8, 8, 48)}) == {"video"}  # it is made from the picture
    assert modalities({"x": VideoView(8, 8, 48), "y": AudioView(1.0, 100)}) == {"video", "audio"}
