"""Figures about features on light paper, readable at 800 pixels; colour is never alone in saying what is what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from sklearn.manifold import TSNE

from ssl_av.checks import check_map
from ssl_av.errors import unknown
from ssl_av.evaluation.metrics import feature_std
from ssl_av.style import LIGHT, OKABE_ITO, literal

Array = NDArray[Any]
Mark = Literal["query", "right", "wrong", "plain"]
WIDTH, DPI = 8.0, 200  # inches; at 800 px a point is 1.4 px
COLOURS = [OKABE_ITO[name] for name in ("blue", "vermillion", "green", "purple", "orange", "sky")]
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#c4c8cf"
EDGE = {
    "query": LIGHT.ink,
    "right": OKABE_ITO["green"],
    "wrong": OKABE_ITO["vermillion"],
    "plain": LIGHT.line,
}
HEADING: dict[str, Any] = {"fontweight": "bold", "color": LIGHT.ink}
SIGN = {"right": "✓ ", "wrong": "✗ "}


def embedding_map(
    vectors: Mapping[str, Array],
    labels: Array,
    classes: Sequence[str] = (),
    way: str = "tsne",
    seed: int = 0,
    limit: int = 2000,
    shown: int = 12,
) -> Figure:
    """Each modality's features in two dimensions, side by side, coloured by class.

    Args:
        vectors: by the panel's title, [N, D] of the same samples.
        labels: [N] class of each sample, -1 where there is none.
        classes: names of the classes.
        way: ``tsne`` or, where umap-learn is installed, ``umap``; by cosine.
        seed: of the map.
        limit: samples, evenly spread; t-SNE takes minutes for many thousands.
        shown: classes that have a colour and a marker, the most frequent ones; the others are grey.

    Raises:
        UserError: for another way, or UMAP where it is not installed.
        ValueError: for fewer than four samples.
    """
    if len(labels) < 4:
        raise ValueError(f"a map needs at least 4 samples, got {len(labels)}")
    rows = np.unique(np.linspace(0, len(labels) - 1, min(limit, len(labels))).round().astype(int))
    labels = np.asarray(labels)[rows]
    known, counts = np.unique(labels[labels >= 0], return_counts=True)
    first = sorted(known[np.argsort(-counts, kind="stable")][:shown].tolist())
    figure = _figure(4.3)
    panels = figure.subplots(1, len(vectors), squeeze=False)[0]
    for axes, (name, x) in zip(panels, vectors.items(), strict=True):
        place = _flat(np.asarray(x)[rows], way, seed)
        _frame(axes)
        _titled(axes, name)
        rest = ~np.isin(labels, first)
        if rest.any():
            axes.scatter(*place[rest].T, s=9, c=GREY, linewidths=0, label="other or none")
        for k, label in enumerate(first):
            text = classes[label] if label < len(classes) else f"class {label}"
            axes.scatter(
                *place[labels == label].T,
                s=18,
                c=COLOURS[k % len(COLOURS)],
                marker=MARKERS[k % len(MARKERS)],
                alpha=0.85,
                linewidths=0,
                label=_shortened(text, 22),
            )
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, names, loc="outside lower center", ncols=4, frameon=False, fontsize=8.5, labelcolor=LIGHT.ink
    )
    what = "t-SNE" if way == "tsne" else "UMAP"
    _head(figure, f"{what} of {len(rows)} samples")
    return figure


def _flat(x: Array, way: str, seed: int) -> Array:
    if way not in ("tsne", "umap"):
        raise unknown("kind of map", way, ("tsne", "umap"))
    if way == "tsne":
        perplexity = min(30.0, (len(x) - 1) / 3)
        unit = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
        # Euclidean between unit rows ranks as cosine does, and has the fast neighbour search.
        # The principal axes of features that have collapsed are not there to begin with.
        init = "pca" if unit.std(axis=0).max() > 1e-6 else "random"
        found: Array = TSNE(perplexity=perplexity, init=init, random_state=seed).fit_transform(unit)
        return found
    check_map(way)
    from umap import UMAP

    neighbours = min(15, len(x) - 1)
    return np.asarray(UMAP(n_neighbors=neighbours, metric="cosine", random_state=seed).fit_transform(x))


@dataclass(frozen=True)
class Tile:
    """One picture of a gallery.

    Attributes:
        image: uint8 [H, W, 3].
        caption: below it.
        mark: how it is framed; ``right`` and ``wrong`` have a sign before the caption too.
    """

    image: NDArray[np.uint8]
    caption: str = ""
    mark: Mark = "plain"


def gallery(rows: Sequence[Sequence[Tile]], groups: Sequence[tuple[str, int]], title: str = "") -> Figure:
    """Rows of pictures, as retrieval's (CrissCross S1, S2), CMA's positives and negatives (AVID figure 5), saliency.

    Args:
        rows: of as many tiles as the groups have columns; a row may end early.
        groups: heading and number of columns; the groups stand apart.
        title: above all.
    """
    columns = sum(count for _, count in groups)
    if not rows or any(len(row) > columns for row in rows):
        raise ValueError(f"a gallery needs rows of up to {columns} tiles, got {[len(row) for row in rows]}")
    edge, seam, gap, caption, top = 0.06, 0.07, 0.28, 0.26, 0.75 if title else 0.35  # inches
    side = (WIDTH - 2 * edge - seam * (columns - 1) - gap * (len(groups) - 1)) / columns
    height = top + len(rows) * (side + caption)
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor=LIGHT.paper)
    lefts: list[float] = []
    for k, (heading, count) in enumerate(groups):
        start = edge + len(lefts) * (side + seam) + k * gap
        lefts += [start + j * (side + seam) for j in range(count)]
        figure.text(start / WIDTH, 1 - (top - 0.09) / height, literal(heading), **HEADING, fontsize=10)
    for r, row in enumerate(rows):
        bottom = 1 - (top + r * (side + caption) + side) / height
        for left, tile in zip(lefts, row, strict=False):
            _tile(figure.add_axes((left / WIDTH, bottom, side / WIDTH, side / height)), tile)
    if title:
        figure.text(edge / WIDTH, 1 - 0.3 / height, literal(title), **HEADING, fontsize=12)
    return figure


def _tile(axes: Axes, tile: Tile) -> None:
    axes.imshow(tile.image, interpolation="nearest" if min(tile.image.shape[:2]) < 100 else "antialiased")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(EDGE[tile.mark])
        spine.set_linewidth(1 if tile.mark == "plain" else 3)
    colour = EDGE[tile.mark] if tile.mark in SIGN else LIGHT.ink
    axes.xaxis.set_label_coords(0.5, -0.03)
    axes.set_xlabel(SIGN.get(tile.mark, "") + _shortened(tile.caption, 17), fontsize=8.5, color=colour)


def distributions(
    runs: Mapping[str, Mapping[str, Array]],
    pairs: int = 20_000,
    seed: int = 0,
    colours: Mapping[str, str] | None = None,
) -> Figure:
    """How widely features are spread, run beside run: e.g. with and without a term (CrissCross figure 1).

    On the left the features of unit length, each dimension's mean taken off, times √D: all at 0 is collapse. On the
    right the cosines of random pairs of samples: all at 1 is collapse, all at 0 an even sphere.

    Args:
        runs: by the run's name, by modality, [N, D]; the modalities of the first run are drawn.
        pairs: of samples, drawn at random.
        seed: of the pairs.
        colours: by the run's name; those of the palette in turn where there are none.
    """
    ours = colours or {name: COLOURS[k % len(COLOURS)] for k, name in enumerate(runs)}
    modalities = list(next(iter(runs.values())))
    figure = _figure(2.3 * len(modalities) + 0.6)
    panels = figure.subplots(len(modalities), 2, squeeze=False)
    for (left, right), modality in zip(panels, modalities, strict=True):
        values, cosines, names, own = [], [], [], []
        for name, vectors in runs.items():
            if modality not in vectors:
                continue
            x = np.asarray(vectors[modality], dtype=np.float64)
            unit = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
            own.append(ours[name])
            values.append(((unit - unit.mean(axis=0)) * unit.shape[1] ** 0.5).ravel())
            cosines.append(_cosines(unit, pairs, seed))
            names.append((name, feature_std(torch.from_numpy(x)), cosines[-1].mean()))
        reach = max(float(np.quantile(np.abs(v), 0.995)) for v in values)
        _densities(left, values, (-reach, reach), [f"{n}: std {s:.2f}" for n, s, _ in names], own)
        low = min(0.0, *(float(c.min()) for c in cosines))
        _densities(right, cosines, (low, 1.0), [f"{n}: mean {c:.2f}" for n, _, c in names], own)
        _titled(left, f"{modality} – feature values")
        _titled(right, f"{modality} – cosine of two samples")
    return figure


def _cosines(unit: Array, pairs: int, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    one = rng.integers(len(unit), size=pairs)
    other = (one + rng.integers(1, max(len(unit), 2), size=pairs)) % len(unit)
    return np.einsum("nd,nd->n", unit[one], unit[other])


def _densities(
    axes: Axes, values: Sequence[Array], limits: tuple[float, float], names: list[str], colours: list[str]
) -> None:
    styles = ("solid", "dashed", "dotted", "dashdot")
    tallest = []
    for k, (x, name, colour) in enumerate(zip(values, names, colours, strict=True)):
        count, edges = np.histogram(x, bins=60, range=limits)
        height = count / (len(x) * (edges[1] - edges[0]))
        style = styles[k % len(styles)]
        axes.stairs(height, edges, color=colour, linewidth=1.6, linestyle=style, label=literal(name))
        axes.stairs(height, edges, color=colour, alpha=0.13, fill=True)
        tallest.append(height.max())
    # A run that has collapsed is a spike: it may leave the picture, for the others to be seen.
    axes.set_ylim(0, 1.25 * min(max(tallest), 4 * float(np.median(tallest))))
    axes.set_xlim(*limits)
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(5))
    _frame(axes, left=False)
    axes.legend(frameon=False, fontsize=8.5, labelcolor=LIGHT.ink, loc="upper left")


def save(figure: Figure, path: Path, dpi: int = DPI) -> Path:
    """Writes a PNG, whole or not at all; the same figure gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    figure.savefig(part, format="png", dpi=dpi, facecolor=figure.get_facecolor(), metadata={"Software": None})
    part.replace(path)
    return path


def _figure(height: float) -> Figure:
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor=LIGHT.paper)
    figure.set_layout_engine("constrained", w_pad=0.05, h_pad=0.05)
    return figure


def _frame(axes: Axes, left: bool = True) -> None:
    axes.set_facecolor(LIGHT.paper)
    for side, spine in axes.spines.items():
        spine.set_visible(left or side == "bottom")
        spine.set_color(LIGHT.line)
    if left:
        axes.set_xticks([])
        axes.set_yticks([])
    axes.tick_params(colors=LIGHT.muted, labelsize=8.5, length=0)


def _titled(axes: Axes, text: str) -> None:
    axes.set_title(literal(text), loc="left", fontsize=10, fontweight="bold", color=LIGHT.ink, pad=6)


def _head(figure: Figure, text: str) -> None:
    if text:
        figure.suptitle(literal(text), x=0.01, ha="left", fontsize=12, fontweight="bold", color=LIGHT.ink)


def _shortened(text: str, length: int) -> str:
    text = " ".join(text.split())
    text = text if len(text) <= length else text[: length - 1] + "…"
    return literal(text)
