"""Methods ranked over tasks: mean ranks, Friedman's test, and Nemenyi's critical difference (Demšar 2006)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ssl_av.bench.analysis.findings import Part
from ssl_av.bench.analysis.groups import Group, Number
from ssl_av.bench.analysis.tables import Column, build
from ssl_av.bench.analysis.tasks import Task
from ssl_av.bench.analysis.wording import count, listed

LEVEL = 0.05
ENOUGH_TASKS, ENOUGH_METHODS = 10, 5
"""Friedman's χ² is close to exact above these numbers (Demšar 2006, §3.2.2)."""


@dataclass(frozen=True)
class Ranking:
    """Ranks of methods over tasks; 1 is the best, equal values share the mean of their ranks.

    Attributes:
        groups: the methods.
        tasks: those in which all of them have a number.
        ranks: [tasks, methods].
        p_value: Friedman's, of all methods being equal; none with fewer than three methods or two tasks.
        critical: mean ranks that are further apart than this differ (Nemenyi, 5 %); none where Friedman's test says
            nothing.
    """

    groups: tuple[Group, ...]
    tasks: tuple[Task, ...]
    ranks: np.ndarray
    p_value: float | None
    critical: float | None

    @property
    def mean(self) -> np.ndarray:
        """[methods] mean rank."""
        return np.asarray(self.ranks.mean(axis=0))

    def unlike(self, which: int) -> list[str]:
        """The methods that differ from one of them: at least the critical difference away."""
        if self.critical is None:
            return []
        far = np.abs(self.mean - self.mean[which]) >= self.critical
        return [group.label for at, group in enumerate(self.groups) if far[at]]


def rank(groups: Sequence[Group], tasks: Sequence[Task]) -> Ranking | None:
    """Rank the methods (not the references) by their means over seeds; none for fewer than two methods or tasks."""
    methods = tuple(group for group in groups if group.runs and not group.reference)
    table = {task: [group.number(*task.path) for group in methods] for task in tasks}
    whole = tuple(task for task, numbers in table.items() if all(numbers))
    if len(methods) < 2 or len(whole) < 2:
        return None
    values = level_ties([[number.mean for number in table[task]] for task in whole])
    ranks = stats.rankdata(-values, axis=1)
    p = critical = None
    if len(methods) > 2 and not (values == values[:, :1]).all():
        p = float(stats.friedmanchisquare(*values.T).pvalue)
        critical = critical_difference(len(methods), len(whole))
    return Ranking(methods, whole, ranks, p, critical)


def level_ties(means: ArrayLike) -> np.ndarray:
    """Means to be ranked, without their last bits.

    As many right answers over the seeds, divided otherwise among them, can end in means that differ in the last bit: no
    reason for another rank.
    """
    return np.round(np.asarray(means, dtype=np.float64), 12)


def critical_difference(methods: int, tasks: int, level: float = LEVEL) -> float:
    """Nemenyi's: q / √2 · √(k (k + 1) / 6 N), q the Studentised range of k means with infinite degrees of freedom."""
    q = float(stats.studentized_range.ppf(1 - level, methods, np.inf)) / math.sqrt(2)
    return q * math.sqrt(methods * (methods + 1) / (6 * tasks))


def ranking_part(found: Ranking) -> Part:
    """A ranking as a table with its sentences."""
    place = {group.method: at for at, group in enumerate(found.groups)}

    def mean(group: Group) -> Number:
        return Number((float(found.mean[place[group.method]]),), (0,))

    def firsts(group: Group) -> Number:
        return Number((float((found.ranks[:, place[group.method]] == 1).sum()),), (0,))

    def unlike(group: Group) -> str:
        return listed(found.unlike(place[group.method])) or "none"

    columns = [Column("mean rank", mean, "number", better="low"), Column("first places", firsts, "count")]
    if _tells(found):
        columns.append(Column("differs from", unlike))
    table = build("Ranks over tasks", columns, found.groups)
    names = "; ".join(task.title for task in found.tasks)
    note = (
        f"Tasks: {names}. 1 is the best; equal values share a rank; means over seeds are ranked. The tasks share "
        "networks and samples, so they are not independent, which these tests suppose."
    )
    return Part(tuple(_sentences(found)), table, note, figure="ranking")


def _tells(found: Ranking) -> bool:
    return found.p_value is not None and found.p_value < LEVEL


def _sentences(found: Ranking) -> list[str]:
    methods, tasks = len(found.groups), len(found.tasks)
    if found.p_value is None:
        why = "two methods are too few" if methods == 2 else "all of them are level"
        return [f"Ranked over {count(tasks)} tasks. No test of the ranks: for Friedman's, {why}."]
    p = "p < 0.001" if found.p_value < 0.001 else f"p = {found.p_value:.3f}"
    few = [
        f"{count(n)} {what}"
        for n, what, enough in ((tasks, "tasks", ENOUGH_TASKS), (methods, "methods", ENOUGH_METHODS))
        if n <= enough
    ]
    rough = (
        f" With {listed(few)} this test is rough: its χ² wants more than ten tasks and five methods."
        if few
        else ""
    )
    if not _tells(found):
        return [
            f"Ranked over {count(tasks)} tasks: no significant difference between the {count(methods)} methods "
            f"(Friedman, {p}).{rough}"
        ]
    return [
        f"Ranked over {count(tasks)} tasks: the {count(methods)} methods differ (Friedman, {p}).{rough}",
        f"Two methods differ where their mean ranks are at least {found.critical:.2f} apart (Nemenyi's critical "
        "difference, 5 %).",
    ]
