"""How sure each number of a report is, class by class: from the records and the predictions beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from ssl_av.bench.analysis.groups import Group, get, seed
from ssl_av.bench.analysis.tables import MISSING, Table
from ssl_av.bench.analysis.words import word
from ssl_av.bench.plots.confusion import confusion_plot
from ssl_av.bench.plots.style import png
from ssl_av.bench.records import row_name
from ssl_av.bench.writing.markdown import escaped
from ssl_av.bench.writing.pictures import embedded
from ssl_av.errors import UserError
from ssl_av.evaluation.certainty import bracketed, load_predictions, predictions_file, save_predictions
from ssl_av.evaluation.statistics import confusion
from ssl_av.text import file_name

if TYPE_CHECKING:
    from ssl_av.evaluation.engine import Measured

DPI = 110
"""Of the confusion matrices: there may be many, and they are folded up."""
MOST = 6
"""Confusion matrices of one method that are drawn; of what comes after, the numbers stand there alone."""


@dataclass(frozen=True)
class Measure:
    """What one protocol says of one side of a method.

    Attributes:
        title: protocol and side.
        said: the number with its interval, seed by seed.
        how: how the interval was made.
        classes: each class with its accuracy, the mean over seeds.
        picture: the confusion matrix as a data URI, "" where no predictions were kept.
        file: its file's name in plots/, "" without one.
    """

    title: str
    said: str
    how: str
    classes: tuple[tuple[str, str], ...]
    picture: Markup
    file: str


@dataclass(frozen=True)
class Detail:
    """All of a method."""

    label: str
    method: str
    measures: tuple[Measure, ...]


def details(groups: Sequence[Group], folder: Path, homes: Sequence[Path] = ()) -> tuple[Detail, ...]:
    """What was classified, by method; confusion matrices are drawn into ``plots/``, over all seeds.

    Args:
        groups: the methods.
        folder: of the suite, or of several together.
        homes: the folders that hold the runs, and in theirs the predictions; without any, ``folder``.
    """
    plots = folder / "plots"
    plots.mkdir(exist_ok=True)
    for old in plots.glob("confusion-*.png"):
        old.unlink()  # no figure of an earlier report may stay
    found = []
    for group in groups:
        sides = {
            (protocol, side): None
            for run in group.runs
            for protocol, results in (run.get("results") or {}).items()
            for side in (results if isinstance(results, Mapping) else ())
            if get(run, "results", protocol, side, "by_class")
        }
        drawn = (_measure(group, *key, folder, homes or [folder], n < MOST) for n, key in enumerate(sides))
        if sides:
            found.append(Detail(group.label, group.method, tuple(drawn)))
    return tuple(found)


def run_folder(folder: Path, run: Mapping[str, Any]) -> Path:
    """Where a record's run lies."""
    return folder / file_name(f"{row_name(run)}-seed{seed(run)}")


def keep_predictions(found: Measured, run: Path) -> list[Path]:
    """Writes the predictions of an evaluation, and draws the confusion matrix of each side into its ``figures/``."""
    save_predictions(found.outcomes, run)
    files = []
    for protocol, sides in found.results.items():
        for side, numbers in sides.items() if "skipped" not in sides else ():
            counts = _counts([run], protocol, side, list(numbers.get("by_class") or ()))
            if counts is not None:
                target = run / "figures" / f"confusion-{_file(protocol, side)}.png"
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(_drawn(counts, list(numbers["by_class"])))
                files.append(target)
    return files


def note(table: Table) -> str:
    """What the intervals in a table are; empty where it has none."""
    if not any(cell.interval for row in table.rows for cell in row.cells):
        return ""
    return (
        " The range below a number is its 95 % interval over test samples (how it was made stands under By class): "
        "it says nothing about another seed."
    )


def markdown(found: Sequence[Detail]) -> list[str]:
    """The intervals as a list, with the confusion matrices linked."""
    lines = [
        f"- {escaped(detail.label)}, {escaped(measure.title)}: {escaped(measure.said)}"
        + (f" ([confusion matrix](plots/{measure.file}))" if measure.file else "")
        for detail in found
        for measure in detail.measures
    ]
    ways = dict.fromkeys(measure.how for detail in found for measure in detail.measures if measure.how)
    if not lines:
        return []
    return ["## By class", "\n".join(lines), *([f"Intervals: {'; '.join(ways)}."] if ways else ())]


def _measure(
    group: Group, protocol: str, side: str, folder: Path, homes: Sequence[Path], draw: bool
) -> Measure:
    runs = [run for run in group.runs if get(run, "results", protocol, side, "by_class")]
    each = [run["results"][protocol][side] for run in runs]
    metric = "top1" if "top1" in each[0] else "map"
    said = [bracketed(numbers, metric) for numbers in each if metric in numbers]
    names = list(each[0]["by_class"])
    means = []
    for name in names:
        values = [n["by_class"][name] for n in each if n["by_class"].get(name) is not None]
        means.append((name, f"{100 * float(np.mean(values)):.1f} %" if values else MISSING))
    kept = [_kept(homes, run, protocol) for run in runs]
    counts = _counts(kept, protocol, side, names) if draw else None
    file = file_name(f"confusion-{group.method}-{_file(protocol, side)}.png")
    picture = Markup("")
    if counts is not None:
        data = _drawn(counts, names, sum(predictions_file(home, protocol).is_file() for home in kept))
        (folder / "plots" / file).write_bytes(data)
        picture = embedded(data)
    if len(runs) > 1:
        said = [f"seed {seed(run)}: {text}" for run, text in zip(runs, said, strict=False)]
    return Measure(
        f"{protocol} – {word(side)}",
        f"{word(metric)} {'; '.join(said)}",
        str(get(each[0], "interval", "how") or ""),
        tuple(means),
        picture,
        file if picture else "",
    )


def _kept(homes: Sequence[Path], run: Mapping[str, Any], protocol: str) -> Path:
    """The run's folder that holds its predictions, else the first that it could be."""
    folders = [run_folder(home, run) for home in homes]
    return next((f for f in folders if predictions_file(f, protocol).is_file()), folders[0])


def _counts(runs: Sequence[Path], protocol: str, side: str, names: Sequence[str]) -> np.ndarray | None:
    """Confusions [classes, classes] of all folds of all runs; None without predictions, or of several labels."""
    total: np.ndarray | None = None
    for run in runs:
        file = predictions_file(run, protocol)
        if not file.is_file():
            continue
        for kept in load_predictions(file).get(side, ()):
            if kept.truth.ndim != 1:
                return None
            try:
                counts = confusion(kept.predicted, kept.truth, len(names))
            except UserError:  # kept by another run than the record's: its classes are others
                return None
            total = counts if total is None else total + counts
    return total


def _drawn(counts: np.ndarray, names: Sequence[str], runs: int = 1) -> bytes:
    figure = confusion_plot(counts, names, runs=runs)
    figure.set_dpi(DPI)
    return png(figure)


def _file(protocol: str, side: str) -> str:
    return file_name(f"{protocol}-{side}")
