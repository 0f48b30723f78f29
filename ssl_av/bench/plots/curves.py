"""Curves of the training: the online probes' accuracy, and the loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ssl_av.bench.analysis.columns import main_columns
from ssl_av.bench.analysis.groups import UNTRAINED, Group
from ssl_av.bench.analysis.headline import headline
from ssl_av.bench.plots.hover import mark
from ssl_av.bench.plots.style import colours, legend_below, markers, new_figure, titled, wrapped
from ssl_av.style import LIGHT, Style, literal

SIDES = ("video", "audio")


def probe_plot(groups: Sequence[Group], style: Style = LIGHT) -> Figure | None:
    """Online probe and kNN accuracy on the validation split against samples seen."""
    kinds = ("probe", "knn")
    names = [f"{kind}_{side}" for kind in kinds for side in SIDES]
    names = [name for name in names if any(group.curve(name) for group in groups)]
    if not names:
        return None
    across = 1 if style.narrow else min(2, len(names))
    down = math.ceil(len(names) / across)
    figure, panels = new_figure(style, 2.75 * down + 0.6, down, across)
    colour, marker = colours((g.method for g in groups), style), markers(g.method for g in groups)
    about = headline(groups).head
    floor = next((c.chance for c in main_columns(groups) if c.group == about), None)
    for axes, name in zip(panels, names, strict=False):
        kind, side = name.split("_", 1)
        titled(axes, f"{side.capitalize()} – online {'kNN' if kind == 'knn' else kind} (%)", style)
        for group in groups:
            _accuracy_line(axes, group, name, colour[group.method], marker[group.method])
        if floor is not None:
            axes.axhline(floor, color=style.muted, linestyle=":", linewidth=1.4, label="chance", zorder=1)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f}"))
        axes.set_ylim(bottom=0)
        _curve_axes(axes, style, "samples seen")
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    legend_below(figure, panels, style)
    return figure


def loss_plot(groups: Sequence[Group], style: Style = LIGHT) -> Figure | None:
    """The training loss, one panel a method: the losses have no common scale."""
    colour = colours((group.method for group in groups), style)  # as in every other figure
    groups = [group for group in groups if group.curve("loss")]
    if not groups:
        return None
    across = min(2 if style.narrow else 3, len(groups))
    down = math.ceil(len(groups) / across)
    figure, panels = new_figure(style, 1.85 * down + 0.3, down, across)
    for axes, group in zip(panels, groups, strict=False):
        titled(axes, "\n".join(wrapped(group.label, 18 if style.narrow else 32)), style)
        for x, y in group.curve("loss"):
            window = max(1, len(y) // 25)
            if window > 1:
                axes.plot(x, y, color=colour[group.method], linewidth=0.7, alpha=0.35)
            axes.plot(x, _smooth(y, window), color=colour[group.method], linewidth=1.9)
        _curve_axes(axes, style, "step")
        axes.margins(x=0.02)
    for axes in panels[len(groups) :]:
        axes.set_visible(False)
    return figure


def _accuracy_line(axes: Axes, group: Group, name: str, colour: str, marker: str) -> None:
    lines = group.curve(name)
    if not lines:
        return
    if group.method in UNTRAINED:  # a level, not a curve
        level = float(np.mean([y[0] for _, y in lines]))
        axes.axhline(level, color=colour, linestyle="--", linewidth=1.4, label=literal(group.label), zorder=1)
        return
    look: dict[str, Any] = {"color": colour, "linewidth": 1.9, "marker": marker, "markersize": 4.5}
    xs = [x for x, _ in lines]
    if all(x == xs[0] for x in xs):
        values = np.array([y for _, y in lines])
        axes.plot(xs[0], values.mean(axis=0), label=literal(group.label), **look)
        for seen, mean in zip(xs[0], values.mean(axis=0), strict=True):
            mark(axes, seen, mean, f"{group.label}: {100 * mean:.1f} % after {seen:,.0f} samples")
        if len(lines) > 1:
            axes.fill_between(
                xs[0], values.min(axis=0), values.max(axis=0), color=colour, alpha=0.16, linewidth=0
            )
        return
    for index, (x, y) in enumerate(lines):
        axes.plot(x, y, label=literal(group.label) if not index else None, **look)


def _curve_axes(axes: Axes, style: Style, label: str) -> None:
    axes.grid(axis="y", color=style.line, linewidth=0.8)
    axes.set_xlabel(label, fontsize=9, color=style.muted)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _smooth(values: Sequence[float], window: int) -> np.ndarray:
    """Running mean that is as long as its input; at the ends over what there is."""
    kernel = np.ones(window)
    sums = np.convolve(values, kernel, mode="same")
    return sums / np.convolve(np.ones(len(values)), kernel, mode="same")
