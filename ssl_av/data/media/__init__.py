"""Decoding: exactly the frames and samples that a batch needs, or a `MediaError` that says why not.

Nothing is imported here but numpy; a backend is imported when it is chosen.
"""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ssl_av.errors import UserError, unknown

Frames = NDArray[np.uint8]
Wave = NDArray[np.float32]
PathLike = str | os.PathLike[str]
Source = PathLike | bytes
"""A file: where it lies, or all that is in it."""

READERS = {"pyav": "PyavReader", "decord": "DecordReader", "torchcodec": "TorchcodecReader"}
"""Module of this package → the class in it."""


class MediaError(Exception):
    """A file that cannot be read; ``str(e)`` is the short reason, without the path."""


@dataclass(frozen=True)
class Limits:
    """What is read of a file at most; one that asks for more cannot be read (``--data.limits.NAME``).

    Attributes:
        pixels: of a frame (8192 × 4352, what the highest levels of H.264, HEVC and AV1 allow; about 100 MB as RGB).
        fps: frames a second.
        seconds: length of a file, of which a piece may be all that is read: YouTube takes twelve hours.
        frames: decoded for one read: eleven minutes at 30 a second without a keyframe in between.
        mebibytes: compressed, held for one read: all between the first and the last asked time.
        sound: seconds of sound decoded for one read.
        rate: samples a second of a sound, the highest rate that is recorded anywhere; at least `LOWEST_RATE`.
        channels: of a sound.
        memory: GiB that reading one sample may allocate in a reading process (Linux): twice what the largest frames
            need.
    """

    pixels: int = 35_651_584
    fps: float = 1000.0
    seconds: float = 86_400.0
    frames: int = 20_000
    mebibytes: float = 1024.0
    sound: float = 3600.0
    rate: int = 768_000
    channels: int = 64
    memory: float = 4.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if not 0 < getattr(self, field.name) < math.inf:
                raise UserError(f"limits.{field.name} must be above 0, got {getattr(self, field.name)}")

    def refuse(self, name: str, what: str) -> MediaError:
        """An error for a file that is over the limit of that name."""
        return MediaError(f"{what}, at most {getattr(self, name):.12g} are read (limits.{name})")


LOWEST_RATE = 1000
"""Samples a second of a sound below which its header is not believed."""

SILENT = 1e-4
"""A sound whose largest sample (channels averaged) is below this is silent: -80 dB of full scale."""


@dataclass(frozen=True)
class MediaInfo:
    """What a file holds. Times are seconds from the beginning of the file, whatever its first time stamp is.

    Attributes:
        duration: usable span: of the video if there is video, else of the audio.
        has_video: whether there is a video stream (cover art does not count).
        has_audio: whether there is an audio stream with sound in it.
        fps: average frames a second; 0 without video.
        width: pixels of a frame as shown, that is after its rotation tag; 0 without video.
        height: as ``width``.
        aspect: true width / height as shown, pixels that are not square allowed for; 1 without video.
        audio_rate: samples a second; 0 without audio.
        audio_duration: where the audio ends; 0 without audio.
        video_duration: where the video ends; 0 without video.
        codec: FFmpeg's name of the picture's format, such as ``h264``; empty without video.
        audio_codec: the sound's; empty without audio.
        silent: whether no sample of the sound reaches `SILENT`; False without audio.
    """

    duration: float
    has_video: bool
    has_audio: bool
    fps: float
    width: int
    height: int
    aspect: float
    audio_rate: int
    audio_duration: float
    video_duration: float
    codec: str = ""
    audio_codec: str = ""
    silent: bool = False


@dataclass(frozen=True)
class VideoRequest:
    """Frames at these times.

    Attributes:
        times: seconds from the beginning of the file, any order, float64 [T].
        size: (height, width) to squash the frames to, or None to leave them as they are.
    """

    times: NDArray[np.float64]
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class AudioRequest:
    """A stretch of sound: ``seconds`` from ``start``, channels averaged, at ``rate`` samples a second."""

    start: float
    seconds: float
    rate: int

    @property
    def samples(self) -> int:
        """Length of the answer."""
        return round(self.seconds * self.rate)


class Reader(Protocol):
    """A backend. Not to be shared between threads, except for `probe`."""

    name: str

    def probe(self, source: Source) -> MediaInfo:
        """Opens a file, decodes its first frame and its sound until that is heard, and says what it holds.

        Args:
            source: the path of a file, or its bytes.

        Raises:
            MediaError: if it cannot be read.
        """

    def read(
        self, source: Source, video: Sequence[VideoRequest] = (), audio: Sequence[AudioRequest] = ()
    ) -> tuple[list[Frames], list[Wave]]:
        """Reads all that one sample needs; the requests share one pass over the file.

        The frame for a time is the last one whose presentation time stamp is not after it (a millisecond is
        forgiven, for containers round to it); before the first frame it is the first. Where the sound begins
        late or ends early there are zeros.

        Args:
            source: the path of a file, or its bytes.
            video: frames at given times.
            audio: stretches of sound.

        Returns:
            For each video request uint8 [T, H, W, 3]; for each audio request float32 [samples].

        Raises:
            MediaError: if the file is damaged or ends before an asked time (by more than the last frame's
                length and 0.1 s), if no sound could be decoded at all, or if it asks for more than the reader's
                `Limits`.
        """


def create_reader(name: str = "pyav", limits: Limits = Limits()) -> Reader:
    """A reader by name.

    Args:
        name: ``pyav`` (the default: faster, needs no system libraries), ``decord`` (for the picture) or
            ``torchcodec`` (needs the extra of that name).
        limits: what it reads of a file at most.

    Raises:
        UserError: if there is no such reader, or what it needs is not installed.
    """
    if name not in READERS:
        raise unknown("reader", name, READERS)
    module = importlib.import_module(f"ssl_av.data.media.{name}")
    files: Reader = getattr(module, READERS[name])(limits)
    from ssl_av.data.pack.reader import PackReader

    return PackReader(files)
