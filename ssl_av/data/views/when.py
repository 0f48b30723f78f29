"""Where in time a view lies: how its start is drawn, perhaps relative to a view that was drawn before it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Window:
    """A stretch of a sample's time in seconds; the sample loops where it reaches past its end (or its beginning)."""

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
class CentredOn(When):
    """Has the centre of another view (BraVe, appendix C); what overruns either end of the sample loops."""

    view: str

    def draw(
        self, seconds: float, duration: float, earlier: Mapping[str, Window], rng: np.random.Generator
    ) -> Window:
        other = earlier[self.view]
        return Window(other.start + (other.seconds - seconds) / 2, seconds)


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
    """Uniform inside another view (CrissCross).

    Attributes:
        view: the other one.
        span: with ``span`` lengths of this view inside ``span`` lengths of the other, for a second view that is
            shifted against this one.
        after: share of the room in the other view that is left out at its beginning. With ``after = by``, this view
            and the same `Shifted` by ``by`` lie inside the other view and that one shifted by ``by``.
    """

    view: str
    span: float = 1.0
    after: float = 0.0

    def draw(
        self, seconds: float, duration: float, earlier: Mapping[str, Window], rng: np.random.Generator
    ) -> Window:
        other = earlier[self.view]
        end = min(other.start + other.seconds * self.span, duration)
        room = max(end - other.start - seconds * self.span, 0.0)
        return Window(other.start + (rng.uniform(self.after * room, room) if room else 0.0), seconds)


@dataclass(frozen=True)
class Shifted(When):
    """``by`` view lengths after another view: 0.5 overlaps by half, 1 is adjacent (CrissCross 4.3)."""

    view: str
    by: float

    def draw(
        self, seconds: float, duration: float, earlier: Mapping[str, Window], rng: np.random.Generator
    ) -> Window:
        return Window(earlier[self.view].start + self.by * seconds, seconds)


@dataclass(frozen=True)
class Half(When):
    """Uniform within the first (0) or the second (1) half of the sample (CrissCross 4.3, "extreme").

    Where a half is shorter than the view, the first begins with the sample and the second ends with it.
    """

    index: int

    def draw(
        self, seconds: float, duration: float, earlier: Mapping[str, Window], rng: np.random.Generator
    ) -> Window:
        half = duration / 2
        room = max(half - seconds, 0.0)
        begin = max(min(half, duration - seconds), 0.0) if self.index else 0.0
        return Window(begin + (rng.uniform(0.0, room) if room else 0.0), seconds)


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
