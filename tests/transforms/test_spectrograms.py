"""Each front end against a direct DFT in float64, written from the papers' numbers alone."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ssl_av.errors import UserError
from ssl_av.transforms import spectrogram
from ssl_av.transforms.spectrograms import AVID_STATS, FRONT_ENDS

Array = NDArray[np.float64]


def tone_and_noise(rate: int, seconds: float, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    t = np.arange(round(rate * seconds)) / rate
    sweep = 0.3 * np.sin(2 * np.pi * (200 * t + 900 * t**2))
    return (sweep + 0.05 * rng.standard_normal(len(t))).astype(np.float32).astype(np.float64)


def dft_power(wave: Array, start: int, window: Array, n_fft: int) -> Array:
    """Power of one frame by the definition of the DFT; samples outside the wave must have been padded."""
    k = np.arange(n_fft // 2 + 1)[:, None]
    n = np.arange(len(window))[None]
    basis = np.exp(-2j * np.pi * k * n / n_fft)
    return np.abs(basis @ (wave[start : start + len(window)] * window)) ** 2


def hann(n: int) -> Array:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)


def run(name: str, wave: Array) -> Array:
    out = spectrogram(name)(torch.from_numpy(wave).float()[None])
    assert out.dtype == torch.float32
    assert out.shape[:2] == (1, 1)
    return out[0, 0].double().numpy()


def htk(hertz: Array) -> Array:
    return 2595 * np.log10(1 + hertz / 700)


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


def test_avid() -> None:
    wave = tone_and_noise(24000, 0.5)
    padded = np.pad(wave, 512, mode="reflect")
    power = np.stack([dft_power(padded, 240 * i, hann(1024), 1024) for i in range(50)])
    bins = np.concatenate([power[:, :1], (power[:, 1::2] + power[:, 2::2]) / 2], axis=1)
    decibel = 10 * np.log10(np.maximum(bins, 1e-10))
    decibel = np.maximum(decibel, decibel.max() - 100)
    stats = json.loads(AVID_STATS.read_text())
    expected = (decibel - np.array(stats["mean"])) / (np.array(stats["std"]) + 1e-5)
    np.testing.assert_allclose(run("avid", wave), expected, atol=2e-3)


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


def test_stica() -> None:
    wave = tone_and_noise(24000, 0.5, seed=1)
    scaled = wave * 32767
    emphasised = np.concatenate([scaled[:1], scaled[1:] - 0.97 * scaled[:-1]])
    count = 1 + int(np.ceil((len(wave) - 480) / 240))
    power = np.stack([dft_power(emphasised, 240 * i, np.ones(480), 1024) for i in range(count)]) / 1024
    points = 700 * (10 ** (np.linspace(0, htk(np.array(12000.0)), 259) / 2595) - 1)
    corner = np.floor(1025 * points / 24000).astype(int)
    bank = np.zeros((513, 257))
    for j in range(257):
        left, centre, right = corner[j : j + 3]
        for i in range(left, centre):
            bank[i, j] = (i - left) / (centre - left)
        for i in range(centre, right):
            bank[i, j] = (right - i) / (right - centre)
    assert (bank.sum(0) == 0).sum() == 38
    expected = np.log(np.maximum(power @ bank, 2.220446e-16))
    got = run("stica", wave)
    np.testing.assert_allclose(got, expected, atol=5e-3)
    empty = np.all(got == got[0, 0].min(), axis=0) | np.isclose(got, np.log(2.220446e-16), atol=1e-4).all(0)
    assert empty.sum() == 38


def test_stica_pads_a_last_frame_so_that_no_sample_is_lost() -> None:
    front_end = spectrogram("stica")
    wave = torch.zeros(1, 24000 + 100)
    wave[:, -1] = 0.5
    spec = front_end(wave)
    assert spec.shape[2] == 100
    assert spec[0, 0, -1].max() > 0 > spec[0, 0, :-1].max()


def test_brave() -> None:
    wave = tone_and_noise(48000, 0.2, seed=2)
    count = int(np.ceil(len(wave) / 160))
    padded = np.pad(wave, (0, 320))
    magnitude = np.sqrt(np.stack([dft_power(padded, 160 * i, hann(320), 320) for i in range(count)]))
    points = np.linspace(htk(np.array(80.0)), htk(np.array(7600.0)), 82)
    bins = htk(np.arange(161) * 150.0)
    bank = np.zeros((161, 80))
    for j in range(80):
        rising = (bins - points[j]) / (points[j + 1] - points[j])
        falling = (points[j + 2] - bins) / (points[j + 2] - points[j + 1])
        bank[:, j] = np.maximum(0, np.minimum(rising, falling))
    bank[0] = 0
    got = run("brave", wave)
    np.testing.assert_allclose(got, np.log(1 + 1e4 * magnitude @ bank), atol=2e-3)
    assert (got == 0).all(0).sum() == 16


def slaney_bank() -> Array:
    """80 filters, 0 to 8 kHz: linear below 1 kHz, logarithmic above, each of equal area."""
    step, break_hz = 200 / 3, 1000.0
    break_mel, log_step = break_hz / step, np.log(6.4) / 27

    def mel(f: float) -> float:
        return f / step if f < break_hz else break_mel + np.log(f / break_hz) / log_step

    def hertz(m: float) -> float:
        return m * step if m < break_mel else break_hz * np.exp(log_step * (m - break_mel))

    points = np.array([hertz(m) for m in np.linspace(mel(0.0), mel(8000.0), 82)])
    bins = np.arange(513) * 16000 / 1024
    bank = np.zeros((513, 80))
    for j in range(80):
        rising = (bins - points[j]) / (points[j + 1] - points[j])
        falling = (points[j + 2] - bins) / (points[j + 2] - points[j + 1])
        bank[:, j] = np.maximum(0, np.minimum(rising, falling)) * 2 / (points[j + 2] - points[j])
    return bank


def test_crisscross() -> None:
    wave = tone_and_noise(16000, 0.5, seed=3)
    padded = np.pad(wave, 512, mode="reflect")
    power = np.stack([dft_power(padded, 160 * i, hann(1024), 1024) for i in range(51)])
    expected = (np.log(power @ slaney_bank() + 1.1920929e-07) + 5.3688107) / 4.410007
    np.testing.assert_allclose(run("crisscross", wave), expected, atol=2e-3)


def test_small() -> None:
    wave = tone_and_noise(16000, 0.5, seed=4)
    padded = np.pad(wave, 200, mode="reflect")  # a window of 400 in the middle of the transform's 512
    power = np.stack([dft_power(padded, 160 * i, hann(400), 512) for i in range(50)])
    points = 700 * (10 ** (np.linspace(htk(np.array(50.0)), htk(np.array(8000.0)), 66) / 2595) - 1)
    bins = np.arange(257) * 16000 / 512
    bank = np.zeros((257, 64))
    for j in range(64):
        rising = (bins - points[j]) / (points[j + 1] - points[j])
        falling = (points[j + 2] - bins) / (points[j + 2] - points[j + 1])
        bank[:, j] = np.maximum(0, np.minimum(rising, falling))
    assert (bank.sum(0) > 0).all()
    expected = (np.log(power @ bank + 1e-5) + 3.7) / 4.5
    np.testing.assert_allclose(run("small", wave), expected, atol=2e-3)


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
