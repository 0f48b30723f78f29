"""Each front end against a direct DFT in float64, written in numpy from the papers' and the codes' numbers alone."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ssl_av.transforms import spectrogram
from ssl_av.transforms.spectrograms import AVID_STATS, FRONT_ENDS

Array = NDArray[np.float64]


def power(wave: Array, window: Array, hop: int, n_fft: int, count: int) -> Array:
    """[count, n_fft // 2 + 1] by the definition of the DFT; what is missing at the end is zero."""
    wave = np.pad(wave, (0, len(window)))
    frames = np.stack([wave[i * hop : i * hop + len(window)] * window for i in range(count)])
    k, n = np.arange(n_fft // 2 + 1)[:, None], np.arange(len(window))[None]
    basis = np.exp(-2j * np.pi * k * n / n_fft)
    return np.abs(frames @ basis.T) ** 2


def hann(n: int) -> Array:
    """Periodic."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)


def htk(hertz: Array | float) -> Array:
    return 2595 * np.log10(1 + np.asarray(hertz) / 700)


def htk_points(low: float, high: float, filters: int) -> Array:
    """Corners of so many triangles in mel."""
    return np.linspace(htk(low), htk(high), filters + 2)


def hertz(mel: Array) -> Array:
    return 700 * (10 ** (mel / 2595) - 1)


def triangles(points: Array, bins: Array) -> Array:
    """[bins, filters]; points and bins on one axis."""
    bank = np.zeros((len(bins), len(points) - 2))
    for j in range(len(points) - 2):
        rising = (bins - points[j]) / (points[j + 1] - points[j])
        falling = (points[j + 2] - bins) / (points[j + 2] - points[j + 1])
        bank[:, j] = np.maximum(0, np.minimum(rising, falling))
    return bank


def avid(wave: Array) -> Array:
    """24 kHz, centred Hann windows of 1024, hop 240; dB of DC and pairs of bins; statistics of each bin."""
    p = power(np.pad(wave, 512, mode="reflect"), hann(1024), 240, 1024, len(wave) // 240)
    bins = np.concatenate([p[:, :1], (p[:, 1::2] + p[:, 2::2]) / 2], axis=1)
    decibel = 10 * np.log10(np.maximum(bins, 1e-10))
    decibel = np.maximum(decibel, decibel.max() - 100)
    stats = json.loads(AVID_STATS.read_text())
    return (decibel - np.array(stats["mean"])) / (np.array(stats["std"]) + 1e-5)


def stica(wave: Array) -> Array:
    """24 kHz, 16-bit values, pre-emphasis, rectangular windows of 480, hop 240; 257 filters between whole bins."""
    scaled = wave * 32767
    emphasised = np.concatenate([scaled[:1], scaled[1:] - 0.97 * scaled[:-1]])
    count = 1 + int(np.ceil(max(0, len(wave) - 480) / 240))
    p = power(emphasised, np.ones(480), 240, 1024, count) / 1024
    corner = np.floor(1025 * hertz(htk_points(0, 12000, 257)) / 24000).astype(int)
    bank = np.zeros((513, 257))
    for j in range(257):
        left, centre, right = corner[j : j + 3]
        for i in range(left, centre):
            bank[i, j] = (i - left) / (centre - left)
        for i in range(centre, right):
            bank[i, j] = (right - i) / (right - centre)
    assert (bank.sum(0) == 0).sum() == 38
    return np.log(np.maximum(p @ bank, 2.220446049250313e-16))


def brave(wave: Array) -> Array:
    """48 kHz, Hann windows of 320, hop 160, magnitude; 80 triangles in mel, 80 to 7600 Hz; log(1 + 10^4 mel)."""
    magnitude = np.sqrt(power(wave, hann(320), 160, 320, int(np.ceil(len(wave) / 160))))
    bank = triangles(htk_points(80, 7600, 80), htk(np.arange(161) * 150.0))
    bank[0] = 0
    assert (bank.sum(0) == 0).sum() == 16
    return np.log(1 + 1e4 * magnitude @ bank)


def slaney_points() -> Array:
    """82 corners from 0 to 8 kHz: linear below 1 kHz, logarithmic above."""
    linear, log = 1000 / (200 / 3), np.log(6.4) / 27
    mels = np.linspace(0, linear + np.log(8) / log, 82)
    return np.where(mels < linear, mels * 200 / 3, 1000 * np.exp(log * (mels - linear)))


def crisscross(wave: Array) -> Array:
    """16 kHz, centred Hann windows of 1024, hop 160; 80 Slaney filters of equal area; the code's mean and std."""
    p = power(np.pad(wave, 512, mode="reflect"), hann(1024), 160, 1024, 1 + len(wave) // 160)
    points = slaney_points()
    bank = triangles(points, np.arange(513) * 16000 / 1024) * 2 / (points[2:] - points[:-2])
    return (np.log(p @ bank + 1.1920929e-07) + 5.3688107) / 4.410007


def small(wave: Array) -> Array:
    """16 kHz, centred Hann windows of 400 in a transform of 512, hop 160; 64 HTK filters from 50 Hz."""
    padded = np.pad(wave, 200, mode="reflect")
    p = power(padded, hann(400), 160, 512, len(wave) // 160)
    bank = triangles(hertz(htk_points(50, 8000, 64)), np.arange(257) * 16000 / 512)
    return (np.log(p @ bank + 1e-5) + 3.7) / 4.5


def wide(wave: Array) -> Array:
    """44.1 kHz, centred Hann windows of 2048, hop 512; 64 HTK filters of the whole band."""
    p = power(np.pad(wave, 1024, mode="reflect"), hann(2048), 512, 2048, len(wave) // 512)
    bank = triangles(hertz(htk_points(0, 22050, 64)), np.arange(1025) * 44100 / 2048)
    return (np.log(p @ bank + 1e-10) + 2.1) / 6.6


EXPECTED: dict[str, Callable[[Array], Array]] = {
    "avid": avid, "stica": stica, "brave": brave, "crisscross": crisscross, "small": small,
    "wide": wide,
}  # fmt: skip
SOUNDS = ("sweep and noise", "odd length", "quiet", "clicks")


def sound(kind: str, rate: int) -> Array:
    """A tenth of a second or more, in values that float32 has."""
    rng = np.random.default_rng(SOUNDS.index(kind))
    t = np.arange(round(rate * 0.25) + (137 if kind == "odd length" else 0)) / rate
    wave = 0.3 * np.sin(2 * np.pi * (200 * t + 900 * t**2)) + 0.05 * rng.standard_normal(len(t))
    if kind == "quiet":
        wave *= 1e-3
    if kind == "clicks":
        wave = np.where(rng.random(len(t)) < 0.01, rng.uniform(-1, 1, len(t)), 0.01 * wave)
    return wave.astype(np.float32).astype(np.float64)


def test_every_front_end_has_its_arithmetic_here() -> None:
    assert set(EXPECTED) == set(FRONT_ENDS)


@pytest.mark.parametrize("kind", SOUNDS)
@pytest.mark.parametrize("name", EXPECTED)
def test_values(name: str, kind: str) -> None:
    front_end = spectrogram(name)
    wave = sound(kind, front_end.sample_rate)
    got = front_end(torch.from_numpy(wave).float()[None])
    expected = EXPECTED[name](wave)
    assert got.dtype == torch.float32
    assert got.shape == (1, 1, *expected.shape)
    # logarithms cross zero: 1e-4 of the value, or of one there
    np.testing.assert_allclose(got[0, 0].double().numpy(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_batch_is_each_of_its_sounds(name: str) -> None:
    front_end = spectrogram(name)
    waves = [sound(kind, front_end.sample_rate) for kind in ("sweep and noise", "quiet", "clicks")]
    got = front_end(torch.from_numpy(np.stack(waves)).float())
    expected = np.stack([EXPECTED[name](wave) for wave in waves])
    np.testing.assert_allclose(got[:, 0].double().numpy(), expected, rtol=1e-4, atol=1e-4)


def test_the_empty_filters_of_two_front_ends_are_constant() -> None:
    wave = torch.from_numpy(sound("sweep and noise", 24000)).float()[None]
    stica_, brave_ = spectrogram("stica")(wave)[0, 0], spectrogram("brave")(wave)[0, 0]
    assert torch.isclose(stica_, torch.tensor(np.log(2.220446e-16)).float()).all(0).sum() == 38
    assert (brave_ == 0).all(0).sum() == 16
