"""The kinds of views: picture, sound and optical flow, and what each asks of a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from ssl_av.data.media import AudioRequest, VideoRequest
from ssl_av.data.views.when import Anywhere, When, Window


@dataclass(frozen=True)
class FrameView:
    """What picture and optical flow have in common.

    Attributes:
        frames: T.
        fps: frames a second; the view lasts ``frames / fps``.
        size: H = W after augmentation, in pixels.
        augment: name of its augmentation.
        when: how its start is drawn.
    """

    modality: ClassVar[str]
    #: The stream that a file must have to serve it.
    stream: ClassVar[str] = "video"
    frames: int
    fps: float
    size: int
    augment: str = "none"
    when: When = field(default_factory=Anywhere)

    @property
    def seconds(self) -> float:
        """Length of the view."""
        return self.frames / self.fps

    def request(self, window: Window, begin: float, duration: float, decode_size: int) -> VideoRequest:
        """What to read: the frames at the window's times, looped, at ``decode_size`` squared."""
        times = window.start + np.arange(self.frames) / self.fps
        return VideoRequest(times=begin + np.mod(times, duration), size=(decode_size, decode_size))


@dataclass(frozen=True)
class VideoView(FrameView):
    """Frames of a sample; ``augment`` is a name in `ssl_av.transforms.AUGMENTS`."""

    modality: ClassVar[str] = "video"


@dataclass(frozen=True)
class FlowView(FrameView):
    """Optical flow of a sample, made beforehand; ``augment`` is a name in `ssl_av.transforms.flow.FLOW_AUGMENTS`."""

    modality: ClassVar[str] = "flow"


@dataclass(frozen=True)
class AudioView:
    """Sound of a sample.

    Attributes:
        seconds: length of the waveform.
        rate: samples a second of the front end.
        augment: name in `ssl_av.transforms.AUDIO_AUGMENTS`.
        when: how its start is drawn.
    """

    modality: ClassVar[str] = "audio"
    stream: ClassVar[str] = "audio"
    seconds: float
    rate: int
    augment: str = "none"
    when: When = field(default_factory=Anywhere)

    @property
    def samples(self) -> int:
        """Length of the waveform in samples."""
        return round(self.seconds * self.rate)

    def requests(self, window: Window, begin: float, duration: float) -> list[AudioRequest]:
        """What to read, in order; more than one piece where the window loops past the sample's end."""
        pieces: list[AudioRequest] = []
        left, at = self.samples, window.start % duration
        while left > 0:
            here = min(left, max(round((duration - at) * self.rate), 1))
            pieces.append(AudioRequest(start=begin + at, seconds=here / self.rate, rate=self.rate))
            left, at = left - here, 0.0
        return pieces


View = VideoView | AudioView | FlowView
Views = Mapping[str, View]


def draw_starts(views: Views, duration: float, rng: np.random.Generator) -> dict[str, Window]:
    """Draws the windows of all views of one sample together.

    Args:
        views: by name; a view may refer to views before it.
        duration: seconds of the sample.
        rng: generator of this sample in this epoch.

    Raises:
        ValueError: if a view refers to one that does not stand before it.
    """
    windows: dict[str, Window] = {}
    for name, view in views.items():
        try:
            windows[name] = view.when.draw(view.seconds, duration, windows, rng)
        except KeyError as e:
            raise ValueError(f"view '{name}' lies relative to {e}, which is not declared before it") from None
    return windows


def modalities(views: Views) -> set[str]:
    """The streams, ``video`` and ``audio``, that a sample must have to serve these views."""
    return {view.stream for view in views.values()}
