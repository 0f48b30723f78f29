"""Files whose frames carry their number and whose sound tells its time."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

FPS, COUNT, RATE = 25, 100, 44_100


def chirp(seconds: np.ndarray) -> np.ndarray:
    """A sound that is different at every time of the first seconds."""
    return 0.5 * np.sin(2 * np.pi * (200 * seconds + 100 * seconds**2))


def image(number: int) -> np.ndarray:
    """A picture that shows its number: two grey fields, units and sixteens."""
    pixels = np.empty((48, 64, 3), np.uint8)
    pixels[:, :32], pixels[:, 32:] = 15 + 14 * (number % 16), 15 + 14 * (number // 16)
    return pixels


def numbers(frames: np.ndarray) -> list[int]:
    """The numbers that the pictures show."""
    width = frames.shape[2]
    units, sixteens = frames[:, :, : width // 4].mean((1, 2, 3)), frames[:, :, -width // 4 :].mean((1, 2, 3))
    return [round((u - 15) / 14) + 16 * round((s - 15) / 14) for u, s in zip(units, sixteens, strict=True)]


def lag(wave: np.ndarray, start: float, rate: int) -> tuple[float, float]:
    """By how many seconds a chirp is late or early, and how much it differs then from what it should be."""
    inner = slice(rate // 50, -rate // 50)
    at = (start + np.arange(len(wave)) / rate)[inner]
    errors = {k * 2e-5: float(np.abs(wave[inner] - chirp(at + k * 2e-5)).mean()) for k in range(-100, 101)}
    return min(errors.items(), key=lambda item: item[1])


def write(
    path: Path,
    codec: str = "libx264",
    sound: str = "aac",
    gop: int = 12,
    b_frames: int = 2,
    times: Sequence[int] | None = None,
    sound_from: float = 0.0,
    sound_to: float = COUNT / FPS,
    options: dict[str, str] | None = None,
) -> Path:
    """A file of numbered frames (at ``times``, in 1/1000 s, or at 25 fps) and a chirp in step with them."""
    with av.open(str(path), "w", options=options or {}) as out:
        if codec:
            quality = (
                {"crf": "12", "preset": "veryfast"} if codec == "libx264" else {"qmin": "1", "qmax": "2"}
            )
            video = out.add_stream(codec, rate=FPS, options=quality)
            video.bit_rate = 0 if codec == "libx264" else 4_000_000
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            video.codec_context.max_b_frames, video.codec_context.gop_size = b_frames, gop
            base = Fraction(1, FPS) if times is None else Fraction(1, 1000)
            video.codec_context.time_base = base
        if sound:
            audio = out.add_stream(sound, rate=RATE, layout="stereo")
        if codec:
            for number, stamp in enumerate(range(COUNT) if times is None else times):
                frame = av.VideoFrame.from_ndarray(image(number), format="rgb24")
                frame.pts, frame.time_base = stamp, base
                out.mux(video.encode(frame))
            out.mux(video.encode(None))
        if sound:
            first = round(sound_from * RATE)
            wave = chirp(np.arange(first, round(sound_to * RATE)) / RATE).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(np.stack([1.5 * wave, 0.5 * wave]), "fltp", "stereo")
            frame.sample_rate, frame.pts, frame.time_base = RATE, first, Fraction(1, RATE)
            resampler = av.AudioResampler(format=audio.codec_context.format, layout="stereo", rate=RATE)
            for part in resampler.resample(frame):
                out.mux(audio.encode(part))
            out.mux(audio.encode(None))
    return path
