"""Methods two by two: over seeds and over test samples, corrected together, and what may be concluded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy import stats

from ssl_av.bench.analysis.groups import Group, get
from ssl_av.bench.analysis.predictions import Right, paired
from ssl_av.bench.analysis.tables import MISSING, Cell, Column, Row, Table, formatted
from ssl_av.bench.analysis.tasks import Task
from ssl_av.evaluation.statistics import Interval, holm, mcnemar, over_runs, paired_bootstrap

LEVEL = 0.95
MOST = 15
"""Pairs that a table shows; of more, those with the best method."""
SAME = "no significant difference"


@dataclass(frozen=True)
class Pair:
    """Two methods on one task.

    Attributes:
        task: what was measured.
        first: a method.
        second: another.
        difference: the first minus the second with its interval; none where nothing could be compared.
        p_value: two-sided, of no difference.
        adjusted: the p-value after Holm's correction for all pairs of the table.
        why: the reason where there is no test.
    """

    task: Task
    first: Group
    second: Group
    difference: Interval | None = None
    p_value: float | None = None
    adjusted: float | None = None
    why: str = ""

    @property
    def verdict(self) -> str:
        """What may be concluded at 5 %."""
        if self.difference is None or self.adjusted is None:
            return MISSING
        if self.adjusted >= 1 - LEVEL:
            return SAME
        return f"{(self.first if self.difference.value > 0 else self.second).label} is higher"


def over_seeds(groups: Sequence[Group], tasks: Sequence[Task]) -> list[Pair]:
    """Every two methods on every task over the seeds that both have: paired t-tests, corrected by Holm together.

    The question is whether training once more with other seeds would give the same answer; the test samples stay.
    """
    return _corrected([_seed_pair(task, a, b) for task in tasks for a, b in _two_by_two(groups)])


def over_samples(
    groups: Sequence[Group], tasks: Sequence[Task], right: Mapping[tuple[str, Task], Right]
) -> list[Pair]:
    """Every two methods on every task over the test samples that both predicted, corrected by Holm together.

    The question is whether other test samples would give the same answer; the trained networks stay. One run a method:
    McNemar's exact test. Several: a paired t-test over samples of the share of runs that are right.

    Args:
        groups: the methods.
        tasks: those to compare on.
        right: which samples each method's runs got right, by (method, task), where predictions were kept.
    """
    pairs = [
        _sample_pair(task, a, b, right[a.method, task], right[b.method, task])
        for task in tasks
        for a, b in _two_by_two(groups)
        if (a.method, task) in right and (b.method, task) in right
    ]
    return _corrected(pairs)


def pair_table(title: str, pairs: Sequence[Pair]) -> tuple[Table, str]:
    """The pairs as a table, a row each with its tasks side by side, and what was left out, in words."""
    tasks = list(dict.fromkeys(pair.task for pair in pairs))
    names = list(dict.fromkeys((pair.first.method, pair.second.method) for pair in pairs))
    left_out = ""
    if len(names) > MOST:
        best = _best(pairs, tasks[0])
        shown = [pair for pair in names if best.method in pair]
        left_out = (
            f"Of {len(names)} pairs, those with {best.label} are shown, which is highest on {tasks[0].title}; all were "
            "corrected together. "
        )
        names = shown
    columns = tuple(
        Column(part, lambda group: "", group=task.title)
        for task in tasks
        for part in ("difference", "95 % interval", "p, Holm", "conclusion")
    )
    found = {(pair.first.method, pair.second.method, pair.task): pair for pair in pairs}
    rows = []
    for first, second in names:
        own = [found.get((first, second, task)) for task in tasks]
        one = next(pair for pair in own if pair is not None)
        label = f"{one.first.label} − {one.second.label}"
        rows.append(
            Row(label, one.first.method, "method", tuple(cell for pair in own for cell in _cells(pair)))
        )
    return Table(title, columns if rows else (), tuple(rows)), left_out


def _two_by_two(groups: Sequence[Group]) -> list[tuple[Group, Group]]:
    return list(combinations([group for group in groups if group.runs and not group.reference], 2))


def _seed_pair(task: Task, first: Group, second: Group) -> Pair:
    one, two = first.number(*task.path), second.number(*task.path)
    theirs = dict(zip(two.seeds, two.values, strict=True))
    gaps = [value - theirs[at] for at, value in zip(one.seeds, one.values, strict=True) if at in theirs]
    if len(gaps) < 2:
        return Pair(
            task, first, second, why="fewer than two seeds in common: nothing can be concluded about seeds"
        )
    spread = over_runs(gaps, level=LEVEL)
    if not spread.std or np.ptp(gaps) < 1e-12:
        why = "the difference is the same in all seeds: no spread to test it with"
        p = 1.0
    else:
        p, why = float(stats.ttest_1samp(gaps, 0.0).pvalue), ""
    return Pair(task, first, second, spread.interval, p, why=why)


def _sample_pair(task: Task, first: Group, second: Group, one: Right, two: Right) -> Pair:
    if (
        len(_data(first) | _data(second)) > 1
    ):  # merged suites: a row of one manifest is another sample in the other
        return Pair(task, first, second, why="measured on different data")
    a, b = paired(one, two)
    if len(a) < 2:
        return Pair(task, first, second, why="no test samples that both predicted")
    if one.runs == two.runs == 1:
        p = mcnemar(a, b)
    else:
        gaps = a - b
        p = float(stats.ttest_1samp(gaps, 0.0).pvalue) if np.ptp(gaps) > 0 else 1.0
    return Pair(task, first, second, paired_bootstrap(a, b, level=LEVEL), p)


def _data(group: Group) -> set[object]:
    return {get(run, "data", "hash") for run in group.runs}


def _corrected(pairs: Sequence[Pair]) -> list[Pair]:
    tested = [pair.p_value for pair in pairs if pair.p_value is not None]
    adjusted = iter(holm(tested)) if tested else iter(())
    return [pair if pair.p_value is None else replace(pair, adjusted=float(next(adjusted))) for pair in pairs]


def _best(pairs: Sequence[Pair], task: Task) -> Group:
    groups = {group.method: group for pair in pairs for group in (pair.first, pair.second)}
    return max(groups.values(), key=lambda group: group.number(*task.path).mean)


def _cells(pair: Pair | None) -> tuple[Cell, ...]:
    if pair is None or pair.difference is None or pair.adjusted is None:
        note = pair.why if pair else ""
        return Cell(MISSING, note=note), Cell(MISSING), Cell(MISSING), Cell(MISSING)
    gap = pair.difference
    low, high = max(gap.low, -1.0), min(gap.high, 1.0)  # of two shares; the t of two seeds reaches further
    ends = f"{formatted(low, 'points')} to {formatted(high, 'points')}"
    return (
        Cell(formatted(gap.value, "points"), value=gap.value, note=pair.why),
        Cell(ends),
        Cell("< 0.001" if pair.adjusted < 0.001 else f"{pair.adjusted:.3f}", value=pair.adjusted),
        Cell(pair.verdict),
    )
