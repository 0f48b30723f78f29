"""Mean ranks with the critical difference, as a picture."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from ssl_av.bench.analysis.groups import Group
from ssl_av.bench.analysis.ranking import rank
from ssl_av.bench.analysis.tasks import tasks
from ssl_av.bench.plots.style import colours, markers, new_figure, row_names, titled
from ssl_av.style import LIGHT, Style


def ranking_plot(groups: Sequence[Group], style: Style = LIGHT) -> Figure | None:
    """A row a method, best first: its mean rank and half the critical difference to both sides.

    None where there is no critical difference: fewer than three methods or two tasks, or all level.
    """
    found = rank(groups, tasks(groups))
    if found is None or found.critical is None:
        return None
    colour = colours((group.method for group in groups), style)
    marker = markers(group.method for group in groups)
    order = sorted(range(len(found.groups)), key=lambda at: found.mean[at])
    figure, (axes,) = new_figure(style, 0.36 * len(order) + 1.25, 1, 1)
    for place, at in enumerate(order):
        group, mean = found.groups[at], float(found.mean[at])
        axes.errorbar(
            mean, place, xerr=found.critical / 2, fmt=marker[group.method], color=colour[group.method],
            markersize=8, elinewidth=3, capsize=0, alpha=0.9,
        )  # fmt: skip
        axes.annotate(
            f"{mean:.2f}", (mean, place), xytext=(0, 7), textcoords="offset points", ha="center", fontsize=9,
            color=style.ink,
        )  # fmt: skip
    axes.set_yticks(range(len(order)), row_names((found.groups[at].label for at in order), style))
    axes.set_ylim(len(order) - 0.5, -0.7)
    axes.tick_params(axis="y", labelsize=10, labelcolor=style.ink)
    axes.grid(axis="x", color=style.line, linewidth=0.8)
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks(range(1, len(order) + 1))
    titled(axes, f"Mean rank over {len(found.tasks)} tasks", style)
    return figure
