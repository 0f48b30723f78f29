"""How figures of a report look: the colour of each method, panels, and PNG bytes.

Matplotlib is used through its objects only (`Figure`, the Agg canvas): no pyplot, no rcParams, nothing
that a notebook which imports this would find changed.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from ssl_av.style import LIGHT, OKABE_ITO, Style

HOME = {"brave": "blue", "stica": "vermillion", "crisscross": "green", "avid": "orange", "cma": "purple"}
"""The colour of a paper is the same in every report."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""Curves differ in marker too, so that colour is never alone in saying which is which."""


def colours(methods: Iterable[str], style: Style = LIGHT) -> dict[str, str]:
    """A colour a method: the known papers their own, references grey and ink, others what is left."""
    fixed = {"random": "#8b919c", "supervised": "#c9ccd3" if style.dark else "#3b4150"}
    names = list(dict.fromkeys(methods))
    taken = {HOME[name] for name in names if name in HOME}
    free = [colour for colour in reversed(OKABE_ITO) if colour not in taken] or list(OKABE_ITO)
    free.sort(key=lambda colour: (colour in HOME.values(), colour == "yellow"))  # yellow is faint on white
    strangers = sorted(name for name in names if name not in HOME and name not in fixed)
    found = {name: OKABE_ITO[HOME[name]] for name in names if name in HOME} | fixed
    found |= {name: OKABE_ITO[free[index % len(free)]] for index, name in enumerate(strangers)}
    return {name: found[name] for name in names}


def markers(methods: Iterable[str]) -> dict[str, str]:
    """A marker a method, by the order of their names."""
    return {name: MARKERS[index % len(MARKERS)] for index, name in enumerate(sorted(set(methods)))}


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
    axes.set_title(text, loc="left", fontsize=10.5, fontweight="bold", color=colour or style.ink, pad=8)


def png(figure: Figure) -> bytes:
    """The figure as PNG with a palette of 192 colours: a third of the size, and no visible difference."""
    for text in figure.findobj(
        Text
    ):  # a name with "$" in it is no formula; the numbers of a logarithmic axis are
        if not re.fullmatch(r"\$\\mathdefault\{[-−0-9.^{}]*\}\$", text.get_text()):
            text.set_parse_math(False)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
    file = io.BytesIO()
    pixels.quantize(192, dither=Image.Dither.NONE).save(file, "PNG")
    return file.getvalue()
