"""How figures of a report look: the colour of each method, panels, and PNG bytes.

Matplotlib is used through its objects only (`Figure`, the Agg canvas): no pyplot, no rcParams, nothing
that a notebook which imports this would find changed.
"""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from ssl_av.style import LIGHT, OKABE_ITO, Style, literal

HOME = {"brave": "blue", "stica": "vermillion", "crisscross": "green", "avid": "orange", "cma": "purple"}
"""The colour of a paper is the same in every report."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""Curves differ in marker too, so that colour is never alone in saying which is which."""


def colours(methods: Iterable[str], style: Style = LIGHT) -> dict[str, str]:
    """A colour a method: the known papers their own, references grey and ink, others what is left."""
    fixed = {"random": "#8b919c", "supervised": "#c9ccd3" if style.dark else "#3b4150"}
    names = list(dict.fromkeys(methods))
    taken = {HOME[name] for name in names if name in HOME}
    # What no paper here has comes first, yellow last of it: it is faint on white. Then colours come again.
    palette = [*OKABE_ITO][::-1]
    palette.sort(key=lambda c: (c in taken, c in HOME.values(), c == "yellow"))
    strangers = sorted(name for name in names if name not in HOME and name not in fixed)
    found = {name: OKABE_ITO[HOME[name]] for name in names if name in HOME} | fixed
    found |= {name: OKABE_ITO[palette[index % len(palette)]] for index, name in enumerate(strangers)}
    return {name: found[name] for name in names}


def markers(methods: Iterable[str]) -> dict[str, str]:
    """A marker a method, by the order of their names; no two methods share colour and marker while there are others."""
    names = sorted(set(methods))
    colour, found = colours(names), dict[str, str]()
    for index, name in enumerate(names):
        taken = {found[other] for other in found if colour[other] == colour[name]}
        order = [MARKERS[(index + turn) % len(MARKERS)] for turn in range(len(MARKERS))]
        found[name] = next((marker for marker in order if marker not in taken), order[0])
    return found


def row_names(labels: Iterable[str], style: Style) -> list[str]:
    """Labels of the rows of a figure, on two lines where they are long."""
    return [literal("\n".join(wrapped(label, 17 if style.narrow else 30))) for label in labels]


def wrapped(label: str, width: int) -> list[str]:
    """A label on up to two lines of so many characters."""
    return textwrap.wrap(label, width, max_lines=2, placeholder="…") or [label]


def legend_below(figure: Figure, panels: Iterable[Axes], style: Style) -> None:
    """One legend of all panels below them, in as many columns as their names leave room for."""
    entries = {
        text: line for axes in panels for line, text in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    names = [textwrap.shorten(text, 34, placeholder="…") for text in entries]
    room = (50 if style.narrow else 125) // (max(map(len, names), default=0) + 8)  # characters
    columns = max(min(room, 3 if style.narrow else 8), 1)
    rows = math.ceil(len(names) / columns)
    figure.set_figheight(figure.get_figheight() + 0.19 * (rows - 1))  # not of the panels' height
    figure.legend(
        entries.values(), names, loc="outside lower center", ncols=columns, frameon=False, fontsize=9.5,
        labelcolor=style.ink,
    )  # fmt: skip


def new_figure(
    style: Style, height: float, rows: int, columns: int, sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    """A figure of `rows` x `columns` styled panels, `height` inches high."""
    figure = Figure(figsize=(style.width, height), dpi=170, facecolor=style.paper)
    figure.set_layout_engine("constrained", w_pad=0.09, h_pad=0.07)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=sharey)
    panels = [axes for line in grid for axes in line]
    for axes in panels:
        axes.set_facecolor(style.paper)
        for side, spine in axes.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_color(style.line)
        axes.tick_params(colors=style.muted, labelsize=9, length=0)
        axes.set_axisbelow(True)
    return figure, panels


def titled(axes: Axes, text: str, style: Style, colour: str = "") -> None:
    """Set the title of a panel, at its left."""
    axes.set_title(
        literal(text), loc="left", fontsize=10.5, fontweight="bold", color=colour or style.ink, pad=8
    )


def png(figure: Figure) -> bytes:
    """The figure as PNG with a palette of 192 colours: a third of the size, and no visible difference."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
    file = io.BytesIO()
    pixels.quantize(192, dither=Image.Dither.NONE).save(file, "PNG")
    return file.getvalue()
