"""A paper's own table beside ours: its numbers, ours at our scale, and whether both order the rows alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from ssl_av.bench.analysis.findings import Part, Section
from ssl_av.bench.analysis.groups import Group, Number, get
from ssl_av.bench.analysis.ranking import level_ties
from ssl_av.bench.analysis.tables import Column, Table, build
from ssl_av.bench.analysis.words import word
from ssl_av.bench.records import find
from ssl_av.errors import UserError, unknown

FEW = 8
"""Rows below which even a high rank correlation is said to prove little."""

Reported = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class PaperColumn:
    """A column of a paper's table, and the measure of ours that stands beside it.

    Attributes:
        dataset: that the paper measured on.
        measures: how; the first that a row reports counts (papers name one measure differently).
        protocol: ours.
        side: of the protocol's results.
        metrics: the first that a run has counts (``top1|map``: several labels a sample have no top-1).
    """

    dataset: str
    measures: tuple[str, ...]
    protocol: str
    side: str
    metrics: tuple[str, ...]

    @property
    def title(self) -> str:
        return f"{self.dataset} {' or '.join(self.measures)}"

    def reported(self, row: Reported) -> float | None:
        """The paper's number for a row, in per cent."""
        of = row.get(self.dataset, {})
        return next((float(of[measure]) for measure in self.measures if measure in of), None)

    def path(self, groups: Sequence[Group]) -> tuple[str, ...]:
        """Where our number lies in the records: on the paper's data set if it was measured there, else on our own."""
        paths = [
            ("results", protocol, self.side, metric)
            for protocol in (f"{self.protocol}@{self.dataset}", self.protocol)
            for metric in self.metrics
        ]
        return next((path for path in paths if any(group.number(*path) for group in groups)), paths[-1])


@dataclass(frozen=True)
class Agreement:
    """How alike two orders of the same rows are.

    Attributes:
        rows: how many there are.
        kendall: tau-b, from −1 (reversed) to 1 (the same order).
        spearman: rho.
        by_chance: how often unrelated orders reach this tau or more; exact where no two values are equal.
    """

    rows: int
    kendall: float
    spearman: float
    by_chance: float


def agreement(first: Sequence[float], second: Sequence[float]) -> Agreement | None:
    """The rank correlation of two measures of the same rows; none for fewer than three rows or a constant measure."""
    one, two = level_ties(first), level_ties(second)
    if len(one) < 3 or not np.ptp(one) or not np.ptp(two):
        return None
    tau = stats.kendalltau(one, two, alternative="greater")
    rho = stats.spearmanr(one, two)
    return Agreement(len(first), float(tau.statistic), float(rho.statistic), float(tau.pvalue))


def check_paper(where: str, paper: Mapping[str, Any], rows: Sequence[Reported]) -> None:
    """A suite's ``paper`` names columns that its rows report.

    Raises:
        UserError: if not.
    """
    for key in paper:
        if key not in ("table", "columns"):
            raise unknown(f"key of 'paper' in {where}", str(key), ("table", "columns"))
    known = sorted({f"{dataset} {measure}" for row in rows for dataset, of in row.items() for measure in of})
    for column in paper_columns(paper, where):
        if all(column.reported(row) is None for row in rows):
            raise unknown(f"column of 'paper' in {where}, which no row reports,", column.title, known)


def paper_columns(paper: Mapping[str, Any], where: str = "suite.json") -> list[PaperColumn]:
    """The columns of ``paper: {columns: {DATASET MEASURE[|MEASURE]: PROTOCOL SIDE METRIC[|METRIC]}}``.

    Raises:
        UserError: for one of another form.
    """
    columns = paper.get("columns") or {}
    if not isinstance(columns, Mapping):
        raise UserError(f"{where}: 'columns' of 'paper' is a mapping, got {columns!r}")
    found = []
    for theirs, ours in columns.items():
        reported, measured = str(theirs).split(), str(ours).split()
        if len(reported) != 2 or len(measured) != 3:
            raise UserError(
                f"{where}: a column of 'paper' is 'DATASET MEASURE: PROTOCOL SIDE METRIC', e.g. "
                f"'ucf101 linear: linear-svm video top1', got '{theirs}: {ours}'"
            )
        protocol, side, metrics = measured
        measures = tuple(reported[1].split("|"))
        found.append(PaperColumn(reported[0], measures, protocol, side, tuple(metrics.split("|"))))
    return found


def ablation_section(groups: Sequence[Group], suite: Mapping[str, Any]) -> Section | None:
    """The section of a suite whose rows have numbers in a paper; none of any other suite."""
    paper, rows = suite.get("paper") or {}, suite.get("rows") or {}
    columns = paper_columns(paper)
    reported = {name: about.get("reported") or {} for name, about in rows.items()}
    if not columns or not any(reported.values()):
        return None
    title = f"{paper['table']}, beside ours" if paper.get("table") else "The paper's table beside ours"
    said = tuple(_sentence(column, groups, reported) for column in columns)
    ours = (f"{column.title}: {_ours(column, groups)}" for column in columns)
    note = (
        f"Paper: as printed in {paper.get('table') or 'the paper'}, after its own training and measuring. Here: "
        f"{'; '.join(ours)}. The heights are not comparable, only the orders are. Order: the row's rank there → here, "
        "among the rows that have both."
    )
    return Section("paper", title, (Part(said, _table(title, columns, groups, reported), note),))


def _table(
    title: str, columns: Sequence[PaperColumn], groups: Sequence[Group], reported: Mapping[str, Reported]
) -> Table:
    shown: list[Column] = []
    for column in columns:
        values = [value for row in reported.values() if (value := column.reported(row)) is not None]
        form = (
            "percent"
            if all(math.isclose(10 * v, round(10 * v), abs_tol=1e-6) for v in values)
            else "hundredths"
        )
        order, path = _orders(column, groups, reported), column.path(groups)
        shown += [
            Column("paper", _theirs(column, reported), form, f"{column.title} (%)", "high"),
            Column("here", _at(path), "percent", f"{column.title} (%)", "high"),
            Column("order", _place(order), group=f"{column.title} (%)"),
        ]
    return build(title, shown, groups)


def _theirs(column: PaperColumn, reported: Mapping[str, Reported]) -> Callable[[Group], Number]:
    def value(group: Group) -> Number:
        found = column.reported(reported.get(group.method, {}))
        return Number() if found is None else Number((found / 100,), (0,))

    return value


def _at(path: tuple[str, ...]) -> Callable[[Group], Number]:
    return lambda group: group.number(*path)


def _place(order: Mapping[str, str]) -> Callable[[Group], str]:
    return lambda group: order.get(group.method, "")


def _both(
    column: PaperColumn, groups: Sequence[Group], reported: Mapping[str, Reported]
) -> list[tuple[Group, float, float]]:
    """The rows that have the paper's number and ours."""
    path = column.path(groups)
    pairs = ((g, column.reported(reported.get(g.method, {})), g.number(*path)) for g in groups)
    return [(group, theirs, ours.mean) for group, theirs, ours in pairs if theirs is not None and ours]


def _orders(column: PaperColumn, groups: Sequence[Group], reported: Mapping[str, Reported]) -> dict[str, str]:
    """Each row's rank in the paper and here, 1 the highest; equal values share the mean of their ranks."""
    rows = _both(column, groups, reported)
    ranks = [stats.rankdata(-level_ties(values)) for values in ([r[1] for r in rows], [r[2] for r in rows])]
    return {
        row[0].method: f"{there:g} → {here:g}"
        for row, there, here in zip(rows, *map(np.asarray, ranks), strict=True)
    }


def _sentence(column: PaperColumn, groups: Sequence[Group], reported: Mapping[str, Reported]) -> str:
    """Whether both order the rows alike, and how much that says."""
    rows = _both(column, groups, reported)
    if len(rows) < 2:
        return f"{column.title}: fewer than two rows have the paper's number and ours, so there is no order to compare."
    if len(rows) == 2:
        return f"{column.title}: {_two(*rows)} Two rows prove nothing about an order."
    found = agreement([there for _, there, _ in rows], [here for _, _, here in rows])
    if found is None:
        return f"{column.title}: all {len(rows)} rows are level in one of the two, so there is no order to compare."
    alike = "agree" if found.kendall > 1 - 1e-9 else "agree in part" if found.kendall > 0 else "do not agree"
    text = (
        f"{column.title}: over {found.rows} rows the orders {alike}: Kendall's τ {_signed(found.kendall)}, "
        f"Spearman's ρ {_signed(found.spearman)}; unrelated orders reach such a τ in "
        f"{_share(found.by_chance)} of cases."
    )
    if found.rows < FEW:
        text += " So few rows prove little."
    if max(len(group.runs) for group, _, _ in rows) == 1:
        text += " One seed a row: a part of our order is chance."
    there, here = (max(rows, key=key)[0].label for key in (lambda row: row[1], lambda row: row[2]))
    return text + (
        f" {there} is the best in both." if there == here else f" The best: {there} there, {here} here."
    )


def _two(first: tuple[Group, float, float], second: tuple[Group, float, float]) -> str:
    """Two rows there and here, as a sentence."""
    there, here = np.sign(level_ties([first[1] - second[1], first[2] - second[2]]))
    if not there or not here:
        return f"{first[0].label} and {second[0].label} are level {'there' if not there else 'here'}."
    above, below = (first, second) if there > 0 else (second, first)
    return f"{above[0].label} is above {below[0].label} there, and {'here too' if there == here else 'below it here'}."


def _share(value: float) -> str:
    return "less than 0.1 %" if value < 0.001 else f"{100 * value:.3g} %"


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _ours(column: PaperColumn, groups: Sequence[Group]) -> str:
    """What stands beside a column of the paper, in words."""
    _, protocol, side, metric = column.path(groups)
    runs = [
        run
        for group in groups
        for run in group.runs
        if find(run, "results", protocol, side, metric)[0] is not None
    ]
    data = "" if "@" in protocol or not runs else f" on {get(runs[0], 'data', 'name')}"
    return f"{protocol} {word(side)} {word(metric)}{data}"
