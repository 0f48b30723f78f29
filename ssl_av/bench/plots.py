"""The figures of a report, as matplotlib figures; each is None where the records hold nothing to draw."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ssl_av.bench.columns import main_columns
from ssl_av.bench.groups import UNTRAINED, Group, Number
from ssl_av.bench.hover import mark, mark_box
from ssl_av.bench.pareto import pareto_plot
from ssl_av.bench.ranking_plot import ranking_plot
from ssl_av.bench.style import colours, markers, new_figure, titled
from ssl_av.bench.tables import cell, formatted
from ssl_av.style import LIGHT, Style

SIDES = ("video", "audio")


def accuracy_plot(groups: Sequence[Group], style: Style = LIGHT) -> Figure | None:
    """Linear SVM top-1: one group of bars a modality, with chance and the untrained network as lines."""
    columns = [c for c in main_columns(groups) if c.group.startswith("Linear SVM")]
    found = {column.title: [_only_number(column.of(group)) for group in groups] for column in columns}
    sides = [side for side, numbers in found.items() if any(numbers)]
    if not sides:
        return None
    chance = {column.title: column.chance for column in columns}
    height = 0.36 * len(groups) + 1.25
    figure, panels = _rows_of_bars(groups, len(sides), height, style)
    top = max(100 * (n.mean + (n.std or 0)) for side in sides for n in found[side] if n)
    for axes, side in zip(panels, sides, strict=True):
        _bars(axes, groups, found[side], "percent", style)
        titled(axes, f"{side.capitalize()} – linear SVM top-1 (%)", style)
        axes.set_xlim(0, min(112, top * 1.17 + 1) / 100)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f}"))
        untrained = next(
            (n for g, n in zip(groups, found[side], strict=True) if g.method == "random" and n), None
        )
        floor = chance[side]
        if floor is not None:
            said = f"chance {formatted(floor, 'percent')}"
            axes.axvline(floor, color=style.muted, linestyle=":", linewidth=1.4, label=said)
        if untrained:
            said = f"untrained {formatted(untrained.mean, 'percent')}"
            axes.axvline(untrained.mean, color=style.ink, linestyle="--", linewidth=1.1, label=said)
        if floor is not None or untrained:
            _legend(axes, style)
    return figure


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
    floor = next((c.chance for c in main_columns(groups) if c.group.startswith("Linear SVM")), None)
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
    entries = {
        label: line for axes in panels for line, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        entries.values(),
        entries.keys(),
        loc="outside lower center",
        ncols=3 if style.narrow else 8,
        frameon=False,
        fontsize=9.5,
        labelcolor=style.ink,
    )
    return figure


def loss_plot(groups: Sequence[Group], style: Style = LIGHT) -> Figure | None:
    """The training loss, one panel a method: the losses have no common scale."""
    groups = [group for group in groups if group.curve("loss")]
    if not groups:
        return None
    across = min(2 if style.narrow else 3, len(groups))
    down = math.ceil(len(groups) / across)
    figure, panels = new_figure(style, 1.85 * down + 0.3, down, across)
    colour = colours((group.method for group in groups), style)
    for axes, group in zip(panels, groups, strict=False):
        titled(axes, group.label, style, style.ink)
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


def cost_plot(groups: Sequence[Group], style: Style = LIGHT) -> Figure | None:
    """Seconds of training and evaluation, clips a second, share of waiting for data, peak memory."""
    train = [_trained(group, "train_seconds") for group in groups]
    evaluate = [group.number("cost", "eval_seconds") for group in groups]
    drawn: list[tuple[str, list[Number], str]] = [
        ("Seconds: train + evaluate", train, "seconds"),
        ("Clips a second", [_trained(group, "clips_per_second") for group in groups], "decimal"),
        ("Waiting for data (%)", [_trained(group, "data_wait_share") for group in groups], "percent"),
        ("Peak memory (MB)", [group.number("cost", "peak_memory_mb") for group in groups], "count"),
    ]
    drawn = [panel for panel in drawn if any(panel[1]) or (panel[1] is train and any(evaluate))]
    if not drawn:
        return None
    down = math.ceil(len(drawn) / 2)
    height = (0.3 * len(groups) + 0.75) * (len(drawn) if style.narrow else down)
    figure, panels = _rows_of_bars(groups, len(drawn), height, style)
    for axes, (title, numbers, form) in zip(panels, drawn, strict=False):
        titled(axes, title, style)
        if numbers is train:
            _stacked(axes, groups, train, evaluate, style)
        else:
            _bars(axes, groups, numbers, form, style)
        axes.set_xlim(0, axes.get_xlim()[1] * 1.16)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        if form == "percent":
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f}"))
        else:
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.4g}"))
    for axes in panels[len(drawn) :]:
        axes.set_visible(False)
    return figure


PLOTS: dict[str, Callable[[Sequence[Group], Style], Figure | None]] = {
    "accuracy": accuracy_plot,
    "pareto": pareto_plot,
    "probe": probe_plot,
    "loss": loss_plot,
    "cost": cost_plot,
    "ranking": ranking_plot,
}
"""File name (without .png) to the function that draws it."""


def _rows_of_bars(
    groups: Sequence[Group], count: int, height: float, style: Style
) -> tuple[Figure, list[Axes]]:
    """Panels of horizontal bars that share their rows: two beside each other, or one on a phone."""
    across = 1 if style.narrow else min(2, count)
    down = math.ceil(count / across)
    if style.narrow and count == 2:
        height *= 2
    figure, panels = new_figure(style, height, down, across, sharey=True)
    places = _places(groups)
    for axes in panels:
        axes.set_yticks(places, [group.label for group in groups])
        axes.set_ylim(max(places) + 0.6, min(places) - 0.6)
        axes.tick_params(axis="y", labelsize=10, labelcolor=style.ink)
        axes.grid(axis="x", color=style.line, linewidth=0.8)
        axes.spines["bottom"].set_visible(False)
    return figure, panels


def _places(groups: Sequence[Group]) -> list[float]:
    """Row of each method, with a gap before the references."""
    first = next((index for index, group in enumerate(groups) if group.reference), len(groups))
    gap = 0.45 if 0 < first < len(groups) else 0.0
    return [index + (gap if index >= first else 0.0) for index in range(len(groups))]


def _bars(axes: Axes, groups: Sequence[Group], numbers: Sequence[Number], form: str, style: Style) -> None:
    colour = colours((group.method for group in groups), style)
    for place, group, number in zip(_places(groups), groups, numbers, strict=True):
        if not number:
            _beside(axes, 0.0, place, "–", style)
            continue
        std = number.std or 0.0
        error = {"ecolor": style.ink, "elinewidth": 1.2, "capsize": 3}
        axes.barh(
            place,
            number.mean,
            0.68,
            color=colour[group.method],
            xerr=std if number.std is not None else None,
            error_kw=error,
        )
        mark_box(
            axes,
            (0.0, place - 0.34),
            (number.mean, place + 0.34),
            f"{group.label}: {cell(number, form).plain}",
        )
        _beside(axes, number.mean + std, place, formatted(number.mean, form), style)


def _stacked(
    axes: Axes, groups: Sequence[Group], train: Sequence[Number], evaluate: Sequence[Number], style: Style
) -> None:
    """Training in full colour, and after it evaluation, paler."""
    colour = colours((group.method for group in groups), style)
    for place, group, first, second in zip(_places(groups), groups, train, evaluate, strict=True):
        trained, evaluated = (number.mean if number else 0.0 for number in (first, second))
        axes.barh(place, trained, 0.68, color=colour[group.method])
        axes.barh(place, evaluated, 0.68, left=trained, color=colour[group.method], alpha=0.4)
        said = " + ".join(formatted(number.mean, "seconds") for number in (first, second) if number) or "–"
        mark_box(
            axes, (0.0, place - 0.34), (trained + evaluated, place + 0.34), f"{group.label}: {said} seconds"
        )
        _beside(axes, trained + evaluated, place, said, style)


def _beside(axes: Axes, x: float, y: float, text: str, style: Style) -> None:
    """A value at the end of its bar, on paper of its own so that no line runs through it."""
    axes.annotate(
        text,
        (x, y),
        xytext=(5, 0),
        textcoords="offset points",
        va="center",
        fontsize=9.5,
        color=style.ink,
        bbox={"facecolor": style.paper, "edgecolor": "none", "pad": 0.8, "alpha": 0.85},
    )


def _accuracy_line(axes: Axes, group: Group, name: str, colour: str, marker: str) -> None:
    lines = group.curve(name)
    if not lines:
        return
    if group.method in UNTRAINED:  # a level, not a curve
        level = float(np.mean([y[0] for _, y in lines]))
        axes.axhline(level, color=colour, linestyle="--", linewidth=1.4, label=group.label, zorder=1)
        return
    look: dict[str, Any] = {"color": colour, "linewidth": 1.9, "marker": marker, "markersize": 4.5}
    xs = [x for x, _ in lines]
    if all(x == xs[0] for x in xs):
        values = np.array([y for _, y in lines])
        axes.plot(xs[0], values.mean(axis=0), label=group.label, **look)
        for seen, mean in zip(xs[0], values.mean(axis=0), strict=True):
            mark(axes, seen, mean, f"{group.label}: {100 * mean:.1f} % after {seen:,.0f} samples")
        if len(lines) > 1:
            axes.fill_between(
                xs[0], values.min(axis=0), values.max(axis=0), color=colour, alpha=0.16, linewidth=0
            )
        return
    for index, (x, y) in enumerate(lines):
        axes.plot(x, y, label=group.label if not index else None, **look)


def _curve_axes(axes: Axes, style: Style, label: str) -> None:
    axes.grid(axis="y", color=style.line, linewidth=0.8)
    axes.set_xlabel(label, fontsize=9, color=style.muted)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _legend(axes: Axes, style: Style) -> None:
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(-0.01, -0.09),
        ncols=2,
        frameon=False,
        fontsize=9,
        labelcolor=style.muted,
        handlelength=1.8,
        borderaxespad=0,
    )


def _smooth(values: Sequence[float], window: int) -> np.ndarray:
    """Running mean that is as long as its input; at the ends over what there is."""
    kernel = np.ones(window)
    sums = np.convolve(values, kernel, mode="same")
    return sums / np.convolve(np.ones(len(values)), kernel, mode="same")


def _trained(group: Group, key: str) -> Number:
    return Number() if group.method in UNTRAINED else group.number("cost", key)


def _only_number(number: Number | str) -> Number:
    return number if isinstance(number, Number) else Number()
