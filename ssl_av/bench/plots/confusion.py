"""What a classifier takes for what: the confusion matrix and each class's accuracy, as one figure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from scipy import stats

from ssl_av.bench.plots.style import new_figure, titled
from ssl_av.errors import UserError
from ssl_av.style import LIGHT, OKABE_ITO, Style, literal

NAMED = 60
"""Up to so many classes the matrix names its rows; beyond, no letter could be read."""
NUMBERED = 12
"""Up to so many classes the shares are written into it, and its columns are named too."""
BARS = 20
"""At most so many classes have a bar: the worst and the best halves."""


def confusion_plot(counts: np.ndarray, names: Sequence[str], style: Style = LIGHT, runs: int = 1) -> Figure:
    """The confusion matrix beside the accuracy of each class.

    The matrix's rows are the true classes, as shares of each row, so that a rare class shows as well as a frequent
    one. The bars' whiskers are exact (Clopper–Pearson) 95% intervals: a class has few samples. A class without
    samples is an empty row, and has no bar.

    Args:
        counts: [classes, classes] as `evaluation.statistics.confusion` gives them.
        names: of the classes.
        style: of the page.
        runs: seeds that the counts are of, on the same samples: whiskers are as wide as one of them makes them.
    """
    classes = len(names)
    if counts.shape != (classes, classes):
        raise UserError(f"confusion matrix: {list(counts.shape)} counts for {classes} class names")
    total, right = counts.sum(axis=1), counts.diagonal()
    shown = _shown(total, right)
    bars, square = 0.24 * len(shown) + 1.0, float(np.clip(0.1 * classes + 3.0, 3.8, 6.0))
    if style.narrow:
        figure, (left, down) = new_figure(style, square + bars, 2, 1)
    else:
        figure, (left, down) = new_figure(style, max(square, bars), 1, 2)
    _matrix(left, counts / np.maximum(total, 1)[:, None], names, style)
    _accuracies(down, [(names[k], int(right[k]), int(total[k])) for k in shown], style, runs)
    if len(shown) < int((total > 0).sum()):
        half = len(shown) // 2
        titled(down, f"The {half} worst and {len(shown) - half} best classes (%)", style)
        down.axhline(half - 0.5, color=style.muted, linewidth=1.0, linestyle=":")
    return figure


def _shown(total: np.ndarray, right: np.ndarray) -> list[int]:
    """Classes with samples, worst first; the ends of the row where there are too many."""
    there = [int(k) for k in np.flatnonzero(total > 0)]
    there.sort(key=lambda k: right[k] / total[k])
    return there if len(there) <= BARS else there[: BARS // 2] + there[-(BARS - BARS // 2) :]


def _matrix(axes: Axes, share: np.ndarray, names: Sequence[str], style: Style) -> None:
    titled(axes, "Confusion matrix (%)", style)
    near, far = ("blue", "sky") if style.dark else ("sky", "blue")
    colours = LinearSegmentedColormap.from_list("share", [style.paper, OKABE_ITO[near], OKABE_ITO[far]])
    # Rare confusions matter: half of the colours go to the first quarter of the shares.
    picture = axes.imshow(share**0.5, cmap=colours, vmin=0, vmax=1, interpolation="nearest", aspect="equal")
    axes.set_anchor("N")
    for spine in axes.spines.values():
        spine.set_visible(False)
    classes = len(names)
    axes.set_ylabel("true", fontsize=9, color=style.muted)
    axes.set_xlabel("predicted", fontsize=9, color=style.muted)
    axes.set_xticks([])
    axes.set_yticks([])
    if classes <= NAMED:
        size = float(np.clip(230 / classes, 3.5 if style.narrow else 4.6, 9))
        axes.set_yticks(range(classes), [_short(name) for name in names])
        axes.tick_params(axis="y", labelsize=size, labelcolor=style.ink)
    if classes <= NUMBERED:
        axes.set_xticks(range(classes), [_short(name) for name in names], rotation=90)
        axes.tick_params(axis="x", labelsize=size, labelcolor=style.ink)
        for row, column in np.argwhere(share > 0.005):
            full = share[row, column] ** 0.5 > 0.6 and not style.dark
            axes.text(
                column, row, f"{100 * share[row, column]:.0f}", ha="center", va="center", fontsize=8,
                color="white" if full else style.ink,
            )  # fmt: skip
        return
    axes.set_xlabel(f"predicted, {classes} classes in the order of the rows", fontsize=9, color=style.muted)
    bar = axes.figure.colorbar(
        picture, ax=axes, location="bottom", shrink=0.6, aspect=30, pad=0.02, panchor=False
    )
    bar.set_ticks([0, 0.1**0.5, 0.25**0.5, 0.5**0.5, 1], labels=["0", "10", "25", "50", "100"])
    bar.ax.tick_params(colors=style.muted, labelsize=8, length=0)
    bar.outline.set_visible(False)


def _accuracies(axes: Axes, rows: Sequence[tuple[str, int, int]], style: Style, runs: int) -> None:
    titled(axes, "Accuracy of each class (%)", style)
    for place, (_, right, total) in enumerate(rows):
        interval = stats.binomtest(round(right / runs), round(total / runs)).proportion_ci(0.95)
        value = right / total
        axes.barh(place, value, 0.68, color=OKABE_ITO["blue"])
        axes.plot([interval.low, interval.high], [place, place], color=style.ink, linewidth=1.2)
        axes.text(
            1.03, place, f"{100 * value:.0f}   {right}/{total}", va="center", fontsize=8.5, color=style.muted
        )
    axes.set_yticks(range(len(rows)), [_short(name) for name, _, _ in rows])
    axes.tick_params(axis="y", labelsize=9, labelcolor=style.ink)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, 1.3)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f}"))
    axes.grid(axis="x", color=style.line, linewidth=0.8)
    axes.spines["bottom"].set_visible(False)


def _short(name: str) -> str:
    """A name that fits."""
    return literal(name if len(name) <= 24 else name[:23] + "…")
