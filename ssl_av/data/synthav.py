"""Render the embedded data set `synthav`: short videos of audio-visual *events*, drawn and played by numpy.

An event is how something moves and how it sounds: four motions (`rise`, `fall`, `swing`, `hop`), each slow or
quick. One contour drives both streams of a sample, the height of an object and the (logarithmic) pitch of a
tone, so picture and sound share motion, period and phase and nothing else; all that is left (colours, shapes,
sizes, places, background, pitch range, timbre, level, noise, start in the cycle) is drawn independently of the
class. Every contour spends the same time at every height, so that neither the mean colour nor the mean spectrum
tells the classes apart: one has to look at time.

This module needs numpy and PyAV only, so that the processes that render start fast.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

VERSION = 3
"""Part of the cache's folder name: raise it whenever a rendered file would change."""
DRAWN = 2
"""Part of every seed: the `VERSION` since which the same scenes are drawn."""

MOTIONS = ("rise", "fall", "swing", "hop")
PERIODS = {"slow": 1.2, "quick": 0.45}
"""Seconds of one cycle, before the jitter of a sample."""
EVENTS: tuple[str, ...] = tuple(f"{motion}-{rhythm}" for motion in MOTIONS for rhythm in PERIODS)
"""The class names; the label of sample ``index`` is ``index % len(EVENTS)``, which balances every split."""
SPLITS = ("train", "val", "test")

SECONDS = 4.0
SIZE = 64
FPS = 16
RATE = 16_000

SHAPES = ("disc", "square", "diamond", "ring")
HARMONICS = 5
LOWEST_PITCH = 220.0
"""Hz; the highest harmonic of the highest pitch stays below 7.7 kHz."""

Frames = NDArray[np.uint8]
Wave = NDArray[np.float32]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Contour:
    """The one thing that picture and sound share: a height in [0, 1] over time, visited uniformly.

    Attributes:
        motion: one of `MOTIONS`.
        period: seconds of a cycle (a `hop` holds each of its heights for half a period).
        phase: where in the cycle the sample starts, in cycles.
        heights: the heights that a `hop` visits in turn; unused by the others.
    """

    motion: str
    period: float
    phase: float
    heights: Floats

    def __call__(self, seconds: Floats) -> Floats:
        """Heights in [0, 1] at these times (seconds from the beginning of the sample)."""
        cycles = seconds / self.period + self.phase
        if self.motion == "rise":
            return cycles % 1.0
        if self.motion == "fall":
            return 1.0 - cycles % 1.0
        if self.motion == "swing":
            return np.abs(2.0 * (cycles % 1.0) - 1.0)
        return self.heights[(2.0 * cycles).astype(np.int64)]


def draw_contour(rng: np.random.Generator, motion: str, rhythm: str) -> Contour:
    """A contour of this motion and rhythm, with its own period, phase and (for `hop`) order of heights."""
    period = PERIODS[rhythm] * 2.0 ** rng.uniform(-0.2, 0.2)
    holds = int(2.0 * (SECONDS / period + 1.0)) + 2
    return Contour(motion, period, rng.uniform(), _hops(rng, holds))


def _hops(rng: np.random.Generator, count: int) -> Floats:
    """Random heights, at least a quarter of the range apart from one to the next, uniform in the long run.

    Every four in a row hold one height of each quarter of the range; redrawing a round whose first quarter is
    the last one's keeps two holds from looking like one.
    """
    quarters: list[int] = []
    while len(quarters) < count:
        round_ = rng.permutation(4)
        if not quarters or round_[0] != quarters[-1]:
            quarters.extend(int(quarter) for quarter in round_)
    offset = rng.uniform()
    return (np.array(quarters) + offset) / 4.0


def render_sample(seed: int, split: str, index: int) -> tuple[Frames, Wave, int]:
    """Render one sample in memory; the same arguments give the same sample.

    Args:
        seed: which data set, not negative.
        split: one of `SPLITS`; no two splits share a sample.
        index: which sample of the split; decides the class.

    Returns:
        Frames uint8 [T, H, W, 3] at `FPS`, sound float32 [samples] at `RATE` in [-1, 1], and the label.
    """
    rng = np.random.default_rng([DRAWN, seed, SPLITS.index(split), index])
    label = index % len(EVENTS)
    motion, rhythm = EVENTS[label].split("-")
    contour = draw_contour(rng, motion, rhythm)
    return render_frames(rng, contour), render_wave(rng, contour), label


def render_frames(rng: np.random.Generator, contour: Contour) -> Frames:
    """Draw the object gliding or jumping along its axis over a still background: uint8 [T, H, W, 3]."""
    heights = contour(np.arange(round(SECONDS * FPS)) / FPS)
    grid = ((np.arange(SIZE) + 0.5) / SIZE).astype(np.float32)
    scene = _background(rng, grid)

    shape = str(rng.choice(SHAPES))
    radius = rng.uniform(0.15, 0.2)
    travel = rng.uniform(0.9, 1.0) * (1.0 - 2.0 * radius)
    bottom = 1.0 - radius - rng.uniform() * (1.0 - 2.0 * radius - travel)
    slope = rng.uniform(-0.1, 0.1)
    column = rng.uniform(0.3, 0.7)
    colour = _colour(rng, value=(0.85, 1.0), saturation=(0.1, 0.6))

    y = (bottom - travel * heights).astype(np.float32)
    # A tilted axis, bent so that the object never leaves the frame: its area must not tell where it is.
    x = np.clip(column + slope * (heights - 0.5), radius, 1.0 - radius).astype(np.float32)
    dy = grid[None, :, None] - y[:, None, None]
    dx = grid[None, None, :] - x[:, None, None]
    mask = _inside(shape, dx, dy, radius)

    frames = scene + mask[..., None] * (colour - scene)
    frames *= rng.uniform(0.85, 1.0)
    frames += rng.normal(0.0, rng.uniform(0.0, 0.02), frames.shape[:3])[..., None].astype(np.float32)
    return (np.clip(frames, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def _background(rng: np.random.Generator, grid: NDArray[np.float32]) -> NDArray[np.float32]:
    """A dark colour gradient with a mild texture and at most one still shape: float32 [H, W, 3]."""
    first = _colour(rng, value=(0.02, 0.2), saturation=(0.2, 0.9))
    second = _colour(rng, value=(0.02, 0.2), saturation=(0.2, 0.9))
    angle = rng.uniform(0.0, 2.0 * np.pi)
    ramp = (grid[None, :] - 0.5) * np.cos(angle) + (grid[:, None] - 0.5) * np.sin(angle) + 0.5
    scene = first + np.clip(ramp, 0.0, 1.0)[..., None] * (second - first)
    coarse = rng.normal(0.0, rng.uniform(0.0, 0.015), (SIZE // 4, SIZE // 4))
    scene += np.kron(coarse, np.ones((4, 4)))[..., None]
    for _ in range(int(rng.integers(0, 2))):
        x, y = rng.uniform(0.1, 0.9, 2)
        radius = rng.uniform(0.05, 0.12)
        mask = _inside(str(rng.choice(SHAPES)), grid[None, :] - x, grid[:, None] - y, radius)
        scene += mask[..., None] * (_colour(rng, value=(0.15, 0.35), saturation=(0.2, 0.9)) - scene)
    return scene.astype(np.float32)


def _colour(
    rng: np.random.Generator, value: tuple[float, float], saturation: tuple[float, float]
) -> NDArray[np.float32]:
    """A colour of any hue, its value and saturation drawn from these ranges: float32 [3] in [0, 1]."""
    hue = (rng.uniform() + np.array([0.0, 1 / 3, 2 / 3])) % 1.0
    pure = np.clip(np.abs(6.0 * hue - 3.0) - 1.0, 0.0, 1.0)
    light = rng.uniform(*value)
    return (light * (1.0 - rng.uniform(*saturation) * (1.0 - pure))).astype(np.float32)


def _inside(
    shape: str, dx: NDArray[np.float32], dy: NDArray[np.float32], radius: float
) -> NDArray[np.float32]:
    """How much of each pixel a shape around the origin covers, in [0, 1], with an edge one pixel soft."""
    if shape == "square":
        distance = np.maximum(np.abs(dx), np.abs(dy)) - 0.85 * radius
    elif shape == "diamond":
        distance = (np.abs(dx) + np.abs(dy)) / np.sqrt(2.0) - 0.75 * radius
    else:
        distance = np.sqrt(dx * dx + dy * dy) - radius
        if shape == "ring":
            distance = np.abs(distance + 0.25 * radius) - 0.25 * radius
    return np.clip(0.5 - distance * SIZE, 0.0, 1.0).astype(np.float32)


def render_wave(rng: np.random.Generator, contour: Contour) -> Wave:
    """Play the contour as the pitch of a harmonic tone over drones and noise: float32 [samples] in [-1, 1]."""
    seconds = np.arange(round(SECONDS * RATE)) / RATE
    low = LOWEST_PITCH * 2.0 ** rng.uniform(0.0, 1.0)
    octaves = rng.uniform(1.0, 1.8)
    wave = _tone(rng, low * 2.0 ** (octaves * contour(seconds))) * _swell(rng, seconds)
    for _ in range(int(rng.integers(0, 2))):
        drone = np.full(len(seconds), LOWEST_PITCH * 2.0 ** rng.uniform(0.0, 2.5))
        wave += _decibel(rng, -20.0, -8.0) * _tone(rng, drone) * _swell(rng, seconds)
    wave += _decibel(rng, -22.0, -8.0) * _noise(rng, len(seconds)) * _swell(rng, seconds)
    return np.clip(_decibel(rng, -54.0, -6.0) * wave, -1.0, 1.0).astype(np.float32)


def _decibel(rng: np.random.Generator, low: float, high: float) -> float:
    """An amplitude between two levels in dB."""
    return float(10.0 ** (rng.uniform(low, high) / 20.0))


def _tone(rng: np.random.Generator, pitch: Floats) -> Floats:
    """A harmonic tone of root mean square 1 with a random timbre; ``pitch`` in Hz, one value a sample."""
    turns = np.cumsum(pitch) / RATE + rng.uniform()
    weights = rng.uniform(0.3, 1.0, HARMONICS) * np.arange(1, HARMONICS + 1) ** -rng.uniform(0.8, 2.0)
    # All harmonics from one sine and cosine by the angle-sum recurrence: sines are the most costly part.
    sine, cosine = np.sin(2.0 * np.pi * turns), np.cos(2.0 * np.pi * turns)
    before, harmonic, tone = np.zeros_like(sine), sine, weights[0] * sine
    for weight in weights[1:]:
        before, harmonic = harmonic, 2.0 * cosine * harmonic - before
        tone += weight * harmonic
    return tone / np.sqrt(np.mean(tone**2))


def _swell(rng: np.random.Generator, seconds: Floats) -> Floats:
    """A loudness in [0.2, 1] that comes and goes at a pace of its own, so that loudness does not tell rhythm."""
    depth, pace, start = rng.uniform(0.0, 0.8), rng.uniform(1.0, 8.0), rng.uniform()
    return 1.0 - depth * (0.5 + 0.5 * np.sin(2.0 * np.pi * (pace * seconds + start)))


def _noise(rng: np.random.Generator, count: int) -> Floats:
    """Noise of root mean square 1 whose power falls as 1 / frequency ** tilt, from white (0) to pink (1)."""
    tilt = rng.uniform()
    spectrum = np.fft.rfft(rng.normal(size=count))
    spectrum[1:] /= np.arange(1, len(spectrum)) ** (tilt / 2.0)
    spectrum[0] = 0.0
    noise = np.fft.irfft(spectrum, count)
    return noise / np.sqrt(np.mean(noise**2))


def write_mp4(path: str | os.PathLike[str], frames: Frames, fps: int, wave: Wave, rate: int) -> None:
    """Write frames and sound as an MP4 file: H.264 (yuv420p) and mono AAC.

    One thread, no dates and no arithmetic that is rounded otherwise by another processor (x264's AVX-512 code does
    not even repeat itself), so that the same input and the same libraries write the same bytes.

    Args:
        path: where to; any suffix.
        frames: uint8 [T, H, W, 3], height and width even.
        fps: frames per second.
        wave: float32 [samples] in [-1, 1].
        rate: samples per second.

    Raises:
        av.error.FFmpegError: the file cannot be written or the input not encoded.
    """
    container = av.open(os.fspath(path), "w", format="mp4", options={"fflags": "+bitexact"})
    with container:
        options = {"crf": "20", "preset": "veryfast", "x264-params": "cpu-independent=1"}
        video = container.add_stream("libx264", rate=fps, options=options)
        video.height, video.width = frames.shape[1:3]
        video.pix_fmt = "yuv420p"
        video.gop_size = 12
        video.thread_count = 1
        video.codec_context.flags |= av.codec.context.Flags.bitexact
        audio = container.add_stream("aac", rate=rate, layout="mono")
        audio.bit_rate = 48_000
        audio.codec_context.flags |= av.codec.context.Flags.bitexact
        for number, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        sound = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), format="fltp", layout="mono")
        sound.sample_rate, sound.pts, sound.time_base = rate, 0, Fraction(1, rate)
        container.mux(audio.encode(sound))
        container.mux(audio.encode(None))


def render_file(path: Path, seed: int, split: str, index: int) -> None:
    """Render a sample to a file: whole or not at all, also when two processes render the same one at once."""
    frames, wave, _ = render_sample(seed, split, index)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write_mp4(part, frames, FPS, wave, RATE)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
