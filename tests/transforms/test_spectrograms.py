"""Front ends: shapes, lengths, frequencies, limits and mistakes. Their values: tests/parity/test_spectrograms.py."""

from __future__ import annotations

import pytest
import torch

from ssl_av.errors import UserError
from ssl_av.transforms import spectrogram
from ssl_av.transforms.spectrograms import FRONT_ENDS


@pytest.mark.parametrize(
    ("name", "seconds", "frames", "bins", "rate"),
    [
        ("avid", 2, 200, 257, 24000),
        ("avid", 1, 100, 257, 24000),
        ("stica", 1, 99, 257, 24000),
        ("stica", 2, 199, 257, 24000),
        ("brave", 1, 300, 80, 48000),
        ("brave", 5, 1500, 80, 48000),
        ("crisscross", 2, 201, 80, 16000),
        ("small", 2, 200, 64, 16000),
        ("wide", 2, 172, 64, 44100),
    ],
)
def test_shape_and_rate(name: str, seconds: float, frames: int, bins: int, rate: int) -> None:
    front_end = spectrogram(name)
    wave = torch.randn(2, int(seconds * front_end.sample_rate))
    assert (front_end.sample_rate, front_end.bins) == (rate, bins)
    assert front_end(wave).shape == (2, 1, frames, bins)
    assert front_end.frames(wave.shape[1]) == frames


@pytest.mark.parametrize("name", FRONT_ENDS)
@pytest.mark.parametrize("extra", [0, 1, 159, 160, 241, 479])
def test_frames_foretells_the_length(name: str, extra: int) -> None:
    front_end = spectrogram(name)
    samples = 2000 + extra
    assert front_end(torch.randn(1, samples)).shape[2] == front_end.frames(samples)


def test_avid_floor_is_100_db_below_each_clips_own_maximum() -> None:
    front_end = spectrogram("avid", stats=None)
    t = torch.arange(24000) / 24000
    tone = torch.sin(2 * torch.pi * 3000 * t) * (t < 0.3)
    levels = front_end(torch.stack([tone, tone * 1e-2]))
    low, high = levels.amin((1, 2, 3)).tolist(), levels.amax((1, 2, 3)).tolist()
    assert high[0] - low[0] == pytest.approx(100, abs=1e-3)
    assert high[0] - high[1] == pytest.approx(40, abs=0.01)
    # the quiet clip's own floor, or that of 1e-10, whichever is higher
    assert low[1] == pytest.approx(max(high[1] - 100, -100), abs=1e-3)


def test_stica_pads_a_last_frame_so_that_no_sample_is_lost() -> None:
    front_end = spectrogram("stica")
    wave = torch.zeros(1, 24000 + 100)
    wave[:, -1] = 0.5
    spec = front_end(wave)
    assert spec.shape[2] == 100
    assert spec[0, 0, -1].max() > 0 > spec[0, 0, :-1].max()


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_a_tone_is_loudest_in_the_bin_of_its_frequency(name: str) -> None:
    front_end = spectrogram(name) if name != "avid" else spectrogram(name, stats=None)
    hertz = front_end.hertz()
    assert hertz.shape == (front_end.bins,)
    assert (hertz.diff() >= 0).all()
    t = torch.arange(front_end.sample_rate // 2) / front_end.sample_rate
    for tone in (
        1500.0,
        3000.0,
        6000.0,
    ):  # between two tones BraVe's short window cannot tell more than 150 Hz
        loudest = front_end(torch.sin(2 * torch.pi * tone * t)[None])[0, 0, 10].argmax()
        assert hertz[loudest] == pytest.approx(tone, abs=160)


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_samples_do_not_influence_each_other(name: str) -> None:
    front_end = spectrogram(name)
    waves = torch.randn(3, front_end.sample_rate // 4) * torch.tensor([[0.01], [1.0], [0.1]])
    alone = torch.cat([front_end(wave[None]) for wave in waves])
    torch.testing.assert_close(front_end(waves), alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_silence_is_finite_and_nothing_is_stored_in_checkpoints(name: str) -> None:
    front_end = spectrogram(name)
    assert torch.isfinite(front_end(torch.zeros(1, front_end.sample_rate))).all()
    assert not front_end.state_dict()


def test_keeps_full_precision_under_autocast() -> None:
    front_end = spectrogram("crisscross")
    wave = torch.randn(1, 8000)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(front_end(wave), front_end(wave.double()), rtol=0, atol=0)


def test_mistakes_are_named() -> None:
    with pytest.raises(UserError, match="unknown spectrogram 'nope'"):
        spectrogram("nope")
    with pytest.raises(UserError, match="did you mean brave"):
        spectrogram("brav")
    front_end = spectrogram("avid")
    with pytest.raises(ValueError, match=r"float \[B, samples\]"):
        front_end(torch.zeros(1, 1, 24000))
    with pytest.raises(ValueError, match=r"float \[B, samples\]"):
        front_end(torch.zeros(1, 24000, dtype=torch.int16))
    with pytest.raises(ValueError, match="at least 513"):
        front_end(torch.zeros(1, 512))
