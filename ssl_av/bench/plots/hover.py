"""Values that appear where a reader points at a figure: places on the picture, each with a text."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

REACH = 0.085
"""Inches around a point that count as the point: a finger's tip on a phone."""


@dataclass(frozen=True)
class Spot:
    """A place on a picture, in per cent of its width and height from the upper left, and what is said there."""

    left: float
    top: float
    width: float
    height: float
    text: str


_marked: WeakKeyDictionary[Figure, list[tuple[Axes, tuple[float, float], tuple[float, float], str]]] = (
    WeakKeyDictionary()
)


def mark(axes: Axes, x: float, y: float, text: str) -> None:
    """Says ``text`` at a point of the data."""
    mark_box(axes, (x, y), (x, y), text)


def mark_box(axes: Axes, first: tuple[float, float], last: tuple[float, float], text: str) -> None:
    """Says ``text`` on a box between two corners (x, y) of the data: a bar."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    _marked.setdefault(figure, []).append((axes, first, last, text))


def spots(figure: Figure) -> list[Spot]:
    """What was marked on a figure that has been drawn; its layout is known only then."""
    wide, high = figure.bbox.width, figure.bbox.height
    found = []
    for axes, first, last, text in _marked.get(figure, ()):
        box = Bbox(axes.transData.transform([first, last]))
        x, y, reach = sorted(box.intervalx), sorted(box.intervaly), REACH * figure.dpi
        for side in (x, y):  # what is thinner than a finger grows to it
            grow = max(2 * reach - (side[1] - side[0]), 0) / 2
            side[0], side[1] = side[0] - grow, side[1] + grow
        found.append(
            Spot(
                round(100 * x[0] / wide, 2),
                round(100 * (1 - y[1] / high), 2),
                round(100 * (x[1] - x[0]) / wide, 2),
                round(100 * (y[1] - y[0]) / high, 2),
                text,
            )
        )
    return found
