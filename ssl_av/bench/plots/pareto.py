"""Accuracy against cost: which methods no other one beats in both."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, MaxNLocator

from ssl_av.bench.analysis.groups import UNTRAINED, Group, Number
from ssl_av.bench.analysis.headline import headline
from ssl_av.bench.analysis.tables import formatted
from ssl_av.bench.analysis.words import word
from ssl_av.bench.plots.hover import mark
from ssl_av.bench.plots.style import colours, legend_below, markers, new_figure, titled
from ssl_av.style import LIGHT, Style, literal

COSTS = (
    (("budget", "spent", "flops"), "training FLOPs"),
    (("cost", "train_seconds"), "training seconds"),
)
"""What a training cost, as the records have it: the first of which every trained run has."""

LOG = 20.0
"""Costs that differ by more than so many times stand on a logarithmic axis."""


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Which (cost, accuracy) points are on the Pareto front, by rising cost.

    A point is on it if no other one is at least as accurate for no more cost (of equal points the first is).
    """
    kept: list[int] = []
    for index in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        if not kept or points[index][1] > points[kept[-1]][1]:
            kept.append(index)
    return kept


def pareto_plot(groups: Sequence[Group], style: Style = LIGHT) -> Figure | None:
    """The headline (linear SVM) against what the training cost, a panel a side; None with fewer than two methods."""
    about = headline(groups)
    trained = [group for group in groups if group.method not in UNTRAINED and group.runs]
    path, said = next(
        (cost for cost in COSTS if trained and all(group.number(*cost[0]) for group in trained)), ((), "")
    )
    sides = [
        side
        for side in about.sides
        if path and sum(bool(about.number(group, side)) for group in trained if not group.reference) > 1
    ]
    if not sides:
        return None
    across = 1 if style.narrow else len(sides)
    down = len(sides) if style.narrow else 1
    figure, panels = new_figure(style, 3.0 * down + 0.5, down, across)
    colour, marker = colours((g.method for g in groups), style), markers(g.method for g in groups)
    for axes, side in zip(panels, sides, strict=True):
        titled(axes, f"{word(side).capitalize()} – {about.title} (%)", style)
        shown = [(g, g.number(*path), top) for g in trained if (top := about.number(g, side))]
        end = max(cost.mean for _, cost, _ in shown)
        _front_line(axes, [(cost.mean, top.mean) for g, cost, top in shown if not g.reference], end, style)
        for group, cost, top in shown:
            axes.errorbar(
                cost.mean, top.mean, yerr=top.std, color=colour[group.method], marker=marker[group.method],
                markersize=8, linestyle="none", capsize=3, elinewidth=1.2, label=literal(group.label),
            )  # fmt: skip
            value = formatted(top.mean, "percent")
            mark(axes, cost.mean, top.mean, f"{group.label}: {value} %, {cost.mean:,.4g} {said}")
        untrained = next((about.number(g, side) for g in groups if g.method == "random"), Number())
        if untrained:
            axes.axhline(
                untrained.mean,
                label="Untrained",
                color=colour["random"],
                linestyle="--",
                linewidth=1.4,
                zorder=1,
            )
        _scales(axes, [cost.mean for _, cost, _ in shown], said, style)
    legend_below(figure, panels, style)
    return figure


def _front_line(axes: Axes, points: Sequence[tuple[float, float]], end: float, style: Style) -> None:
    """The most accuracy that a cost buys: flat until the next method of the front, at last until ``end``."""
    best = [points[index] for index in front(points)]
    if best:
        best.append((end, best[-1][1]))
        axes.plot(
            *zip(*best, strict=True), drawstyle="steps-post", color=style.muted, linewidth=1.2, zorder=1,
            label="Pareto front",
        )  # fmt: skip


def _scales(axes: Axes, costs: Sequence[float], said: str, style: Style) -> None:
    axes.grid(color=style.line, linewidth=0.8)
    axes.set_xlabel(said, fontsize=9, color=style.muted)
    axes.margins(0.12)
    if min(costs) > 0 and max(costs) > LOG * min(costs):
        axes.set_xscale("log")
    else:
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g}"))
