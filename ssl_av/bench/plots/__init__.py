"""The figures of a report, as matplotlib figures; each is None where the records hold nothing to draw."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib.figure import Figure

from ssl_av.bench.analysis.groups import Group
from ssl_av.bench.plots.bars import accuracy_plot, cost_plot
from ssl_av.bench.plots.curves import loss_plot, probe_plot
from ssl_av.bench.plots.pareto import pareto_plot
from ssl_av.bench.plots.ranking import ranking_plot
from ssl_av.style import Style

PLOTS: dict[str, Callable[[Sequence[Group], Style], Figure | None]] = {
    "accuracy": accuracy_plot,
    "pareto": pareto_plot,
    "probe": probe_plot,
    "loss": loss_plot,
    "cost": cost_plot,
    "ranking": ranking_plot,
}
"""File name (without .png) to the function that draws it."""
