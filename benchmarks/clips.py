"""Files to measure on: 340x256 H.264 + AAC, textures that move and noise, about 750 kbit/s, made anew and the same."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

HEIGHT, WIDTH, FPS, RATE = 256, 340, 30, 44_100


def make_clips(folder: Path, count: int, seconds: float = 10.0, gop: int = 12) -> list[Path]:
    """Writes ``count`` files of ``seconds`` with a keyframe every ``gop`` frames; those that are there stay."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{i:03d}-gop{gop}-{seconds:g}s.mp4" for i in range(count)]
    for i, path in enumerate(paths):
        if not path.is_file():
            part = path.with_suffix(".part")
            _write(part, np.random.default_rng(i), seconds, gop)
            part.replace(path)
    return paths


def _write(path: Path, rng: np.random.Generator, seconds: float, gop: int) -> None:
    container = av.open(str(path), "w", format="mp4")
    video = container.add_stream("libx264", rate=FPS, options={"crf": "23", "preset": "veryfast"})
    video.height, video.width, video.pix_fmt, video.gop_size = HEIGHT, WIDTH, "yuv420p", gop
    audio = container.add_stream("aac", rate=RATE, layout="mono")
    audio.bit_rate = 64_000
    tiles = np.kron(rng.integers(0, 255, (40, 48, 3)), np.ones((12, 12, 1)))
    texture = sum(np.roll(tiles, (i, i), (0, 1)) for i in range(8)) / 8
    for k in range(round(seconds * FPS)):
        moved = np.roll(texture, (int(20 * np.sin(k / 10)), 2 * k), (0, 1))[:HEIGHT, :WIDTH]
        noisy = moved + rng.normal(0, 6, (HEIGHT, WIDTH, 1))
        frame = av.VideoFrame.from_ndarray(np.clip(noisy, 0, 255).astype(np.uint8), format="rgb24")
        frame.pts, frame.time_base = k, Fraction(1, FPS)
        container.mux(video.encode(frame))
    container.mux(video.encode(None))
    times = np.arange(round(seconds * RATE)) / RATE
    wave = 0.3 * np.sin(2 * np.pi * rng.uniform(200, 2000) * times) + 0.03 * rng.normal(size=len(times))
    sound = av.AudioFrame.from_ndarray(wave.astype(np.float32)[None], format="fltp", layout="mono")
    sound.sample_rate, sound.pts, sound.time_base = RATE, 0, Fraction(1, RATE)
    container.mux(audio.encode(sound))
    container.mux(audio.encode(None))
    container.close()
