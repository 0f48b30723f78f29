"""Views: what a method asks of a sample, and where in time it lies.

A method declares ``{"narrow": VideoView(...), "broad": AudioView(..., when=StartsWith("narrow"))}``. The view
says how long, how dense and how large; its ``when`` says how its start is drawn, perhaps relative to a view that
stands before it. `draw_starts` draws all views of one sample together.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from ssl_av.data.media import AudioRequest, VideoRequest


@dataclass(frozen=True)
class Window:
    """A stretch of a sample's time in seconds; it may reach past the end, where the sample loops."""

    start: float
    seconds: float


class When(ABC):
    """How the start of a view is drawn."""

    @abstractmethod
    def draw(
        self, seconds: float, duration: float, earlier: Mapping[str, Window], rng: np.random.Generator
    ) -> Window:
        """The window of a view of ``seconds`` in a sample of ``duration``.

        Args:
            seconds: length of the view.
            duration: length of the sample.
            earlier: windows of the views declared before this one.
            rng: the sample's random generator.
        """


@dataclass(frozen=True)
class Anywhere(When):
    """Uniform over every start at which ``span`` view lengths fit into the sample.

    BraVe's narrow view, AVID's audio, STiCA's video. A ``span`` above 1 keeps room for a second view that is
    shifted against this one (CrissCross).
    """

    span: float = 1.0

    def draw(
        self, seconds: float, duration: float, earlier: Mapping[str, Window], rng: np.random.Generator
    ) -> Window:
        room = max(duration - seconds * self.span, 0.0)
        return Window(rng.uniform(0.0, room) if room else 0.0, seconds)


@dataclass(frozen=True)
class AnyStart(When):
    """Uniform over the whole sample; what overruns the end continues from the beginning (BraVe 4.1, broad RGB)."""

    def draw(
        self, seconds: float, duration: float, earlier: Mapping[str, Window], rng: np.random.Generator
    ) -> Window:
        return Window(rng.uniform(0.0, duration), seconds)


@dataclass(frozen=True)
class StartsWith(When):
    """Starts when another view starts (BraVe's broad audio, STiCA's audio, a second crop of one clip)."""

    view: str

    def draw(
        self, seconds: float, duration: float, earlier: Mapping[str, Window], rng: np.random.Generator
    ) -> Window:
        return Window(earlier[self.view].start, seconds)


@dataclass(frozen=True)
class Near(When):
    """Uniform, inside another view's window widened by ``margin`` seconds on both sides (AVID 5)."""

    view: str
    margin: float

    def draw(
        self, seconds: float, duration: float, earlier: Mapping[str, Window], rng: np.random.Generator
    ) -> Window:
        other = earlier[self.view]
        low = max(other.start - self.margin, 0.0)
        high = min(other.start + other.seconds + self.margin, duration) - seconds
        return Window(
            rng.uniform(low, high) if high > low else max(min(low, duration - seconds), 0.0), seconds
        )


@dataclass(frozen=True)
class Inside(When):
    """Uniform, such that ``span`` lengths of this view lie inside ``span`` lengths of another one (CrissCross)."""

    view: str
    span: float = 1.0

    def draw(
        self, seconds: float, duration: float, earlier: Mapping[str, Window], rng: np.random.Generator
    ) -> Window:
        other = earlier[self.view]
        end = min(other.start + other.seconds * self.span, duration)
        room = max(end - other.start - seconds * self.span, 0.0)
        return Window(other.start + (rng.uniform(0.0, room) if room else 0.0), seconds)


@dataclass(frozen=True)
class Shifted(When):
    """``by`` view lengths after another view; 0.5 is CrissCross's "mild" relaxation (50 % overlap, §4.3)."""

    view: str
    by: float

    def draw(
        self, seconds: float, duration: float, earlier: Mapping[str, Window], rng: np.random.Generator
    ) -> Window:
        return Window(earlier[self.view].start + self.by * seconds, seconds)


@dataclass(frozen=True)
class Spaced(When):
    """Clip ``index`` of ``count`` evenly spaced ones; for evaluation, nothing is random."""

    index: int
    count: int

    def draw(
        self, seconds: float, duration: float, earlier: Mapping[str, Window], rng: np.random.Generator
    ) -> Window:
        room = max(duration - seconds, 0.0)
        return Window(room / 2 if self.count == 1 else room * self.index / (self.count - 1), seconds)


@dataclass(frozen=True)
class VideoView:
    """Frames of a sample.

    Attributes:
        frames: T.
        fps: frames a second; the view lasts ``frames / fps``.
        size: H = W after augmentation, in pixels.
        augment: name in `ssl_av.transforms.AUGMENTS`.
        when: how its start is drawn.
    """

    modality: ClassVar[str] = "video"
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
class AudioView:
    """Sound of a sample.

    Attributes:
        seconds: length of the waveform.
        rate: samples a second of the front end.
        augment: name in `ssl_av.transforms.AUDIO_AUGMENTS`.
        when: how its start is drawn.
    """

    modality: ClassVar[str] = "audio"
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


View = VideoView | AudioView
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
    """The modalities that a sample must have to serve these views."""
    return {view.modality for view in views.values()}
