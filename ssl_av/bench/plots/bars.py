"""Bars: accuracy with its chance, and what the runs cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ssl_av.bench.analysis.columns import main_columns
from ssl_av.bench.analysis.groups import UNTRAINED, Group, Number
from ssl_av.bench.analysis.headline import headline
from ssl_av.bench.analysis.tables import cell, formatted
from ssl_av.bench.plots.hover import mark_box
from ssl_av.bench.plots.style import colours, new_figure, row_names, titled
from ssl_av.style import LIGHT, Style


def accuracy_plot(groups: Sequence[Group], style: Style = LIGHT) -> Figure | None:
    """The headline (linear SVM): a group of bars a modality, with chance and the untrained network as lines."""
    about = headline(groups)
    columns = [c for c in main_columns(groups) if c.group == about.head]
    found = {column.title: [_only_number(column.of(group)) for group in groups] for column in columns}
    sides = [side for side, numbers in found.items() if any(numbers)]
    if not sides:
        return None
    chance = {column.title: column.chance for column in columns}
    down = len(sides) if style.narrow else math.ceil(len(sides) / 2)
    figure, panels = _rows_of_bars(groups, len(sides), (0.36 * len(groups) + 1.25) * down, style)
    top = max(100 * (n.mean + (n.std or 0)) for side in sides for n in found[side] if n)
    for axes, side in zip(panels, sides, strict=False):
        _bars(axes, groups, found[side], "percent", style)
        titled(axes, f"{side.capitalize()} – {about.title} (%)", style)
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
    for axes in panels[len(sides) :]:
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


def _rows_of_bars(
    groups: Sequence[Group], count: int, height: float, style: Style
) -> tuple[Figure, list[Axes]]:
    """Panels of horizontal bars that share their rows: two beside each other, or one on a phone."""
    across = 1 if style.narrow else min(2, count)
    down = math.ceil(count / across)
    figure, panels = new_figure(style, height, down, across, sharey=True)
    places = _places(groups)
    for axes in panels:
        axes.set_yticks(places, row_names((group.label for group in groups), style))
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


def _trained(group: Group, key: str) -> Number:
    return Number() if group.method in UNTRAINED else group.number("cost", key)


def _only_number(number: Number | str) -> Number:
    return number if isinstance(number, Number) else Number()
