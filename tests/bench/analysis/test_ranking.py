"""Ranks over tasks against Demšar's formulas and tables."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from scipy import special

from ssl_av.bench.analysis.ablation import agreement
from ssl_av.bench.analysis.groups import Group, group_runs
from ssl_av.bench.analysis.ranking import critical_difference, rank, ranking_part
from ssl_av.bench.analysis.tasks import tasks

Record = dict[str, Any]
Make = Callable[..., Record]


def grouped(record: Make, scores: dict[str, list[float]]) -> list[Group]:
    """Methods with a score in each of several protocols."""
    return group_runs(
        record(
            "random" if name == "random" else "avid",
            row="" if name == "random" else name,
            results={f"task{k}": {"video": {"top1": value}} for k, value in enumerate(values)},
        )
        for name, values in scores.items()
    )


def friedman(ranks: list[list[float]]) -> float:
    """p of 12 N / (k (k + 1)) · (Σ R² − k (k + 1)² / 4) (Demšar 2006, eq. 9), by the incomplete gamma function."""
    n, k = len(ranks), len(ranks[0])
    mean = [sum(row[j] for row in ranks) / n for j in range(k)]
    chi = 12 * n / (k * (k + 1)) * (sum(r * r for r in mean) - k * (k + 1) ** 2 / 4)
    return float(special.gammaincc((k - 1) / 2, chi / 2))


@pytest.mark.parametrize(("k", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)])
def test_the_critical_difference_is_that_of_demsar_s_table_5(k: int, q: float):
    assert critical_difference(k, 14) == pytest.approx(q * math.sqrt(k * (k + 1) / (6 * 14)), rel=5e-4)


def test_mean_ranks_and_friedman_s_test_by_hand(record: Make):
    groups = grouped(
        record,
        {
            "a": [0.9, 0.8, 0.9, 0.7, 0.9], "b": [0.5, 0.9, 0.5, 0.6, 0.5], "c": [0.1, 0.2, 0.3, 0.1, 0.2],
            "random": [1.0] * 5,
        },
    )  # fmt: skip
    found = rank(groups, tasks(groups))
    assert found is not None
    assert [group.method for group in found.groups] == ["a", "b", "c"], "references are not ranked"
    assert found.ranks.tolist() == [[1, 2, 3], [2, 1, 3], [1, 2, 3], [1, 2, 3], [1, 2, 3]]
    assert found.mean.tolist() == pytest.approx([1.2, 1.8, 3.0])
    assert found.p_value == pytest.approx(friedman(found.ranks.tolist()))
    assert found.critical == pytest.approx(2.343 * math.sqrt(3 * 4 / 30), rel=5e-4)  # 1.48
    assert [found.unlike(at) for at in range(3)] == [["c"], [], ["a"]]
    part = ranking_part(found)
    assert part.said[0].startswith("Ranked over five tasks: the three methods differ (Friedman, p = 0.015).")
    assert "With five tasks and three methods this test is rough" in part.said[0]
    assert "at least 1.48 apart" in part.said[1]
    rows = {row.label: [cell.text for cell in row.cells] for row in part.table.rows}
    assert rows == {"a": ["1.2", "4", "c"], "b": ["1.8", "1", "none"], "c": ["3", "0", "a"]}


def test_no_difference_is_said(record: Make):
    groups = grouped(record, {"a": [0.9, 0.1, 0.5], "b": [0.1, 0.9, 0.6], "c": [0.5, 0.5, 0.4]})
    found = rank(groups, tasks(groups))
    assert found is not None
    part = ranking_part(found)
    assert "no significant difference between the three methods" in part.said[0]
    assert [column.title for column in part.table.columns] == ["mean rank", "first places"]


def test_equal_values_share_a_rank_and_incomplete_tasks_are_left_out(record: Make):
    groups = grouped(record, {"a": [0.5, 0.5, 0.9], "b": [0.5, 0.4, 0.8], "c": [0.1, 0.5]})
    found = rank(groups, tasks(groups))
    assert found is not None
    assert len(found.tasks) == 2
    assert found.ranks.tolist() == [[1.5, 1.5, 3], [1.5, 3, 1.5]]


def friedman_with_ties(ranks: list[list[float]]) -> float:
    """p of Friedman's χ² divided by 1 − Σ (t³ − t) / (N k (k² − 1)), t the sizes of the ties (Conover 1999, §5.8)."""
    n, k = len(ranks), len(ranks[0])
    mean = [sum(row[j] for row in ranks) / n for j in range(k)]
    chi = 12 * n / (k * (k + 1)) * (sum(r * r for r in mean) - k * (k + 1) ** 2 / 4)
    ties = sum(row.count(r) ** 3 - row.count(r) for row in ranks for r in set(row))
    return float(special.gammaincc((k - 1) / 2, chi / (1 - ties / (n * k * (k * k - 1))) / 2))


def test_friedman_s_test_of_ranks_with_ties(record: Make):
    scores = {
        "a": [0.9, 0.8, 0.9, 0.5],
        "b": [0.9, 0.7, 0.5, 0.5],
        "c": [0.1, 0.7, 0.3, 0.5],
        "d": [0.2, 0.1, 0.3, 0.4],
    }
    groups = grouped(record, scores)
    found = rank(groups, tasks(groups))
    assert found is not None
    wanted = [[1.5, 1.5, 4, 3], [1, 2.5, 2.5, 4], [1, 2, 3.5, 3.5], [2, 2, 2, 4]]
    assert found.ranks.tolist() == wanted
    assert found.p_value == pytest.approx(friedman_with_ties(wanted))


def test_as_many_right_answers_over_the_seeds_are_level_however_they_are_divided(record: Make):
    # of 40 samples 0 + 0 + 3 and 1 + 1 + 1 right: means of 0.024999999999999998 and 0.025000000000000005
    right = {"a": (0, 0, 3), "b": (1, 1, 1), "c": (9, 9, 9)}
    groups = group_runs(
        record(
            "avid", seed, row=name, results={p: {"video": {"top1": k / 40}} for p in ("knn", "linear-svm")}
        )
        for name, counts in right.items()
        for seed, k in enumerate(counts)
    )
    means = {group.method: group.number("results", "knn", "video", "top1").mean for group in groups}
    assert means["a"] != means["b"], "else this shows nothing"
    found = rank(groups, tasks(groups))
    assert found is not None
    assert found.ranks.tolist() == [[2.5, 2.5, 1], [2.5, 2.5, 1]]
    level = agreement([1.0, 2.0, 3.0], list(means.values()))
    assert level is not None
    assert level.kendall == pytest.approx(2 / math.sqrt(2 * 3))  # tau-b: the first two are level here


def test_too_few_to_rank(record: Make):
    groups = grouped(record, {"a": [0.5, 0.5], "b": [0.4, 0.4]})
    found = rank(groups, tasks(groups))
    assert found is not None
    assert found.p_value is None
    assert "two methods are too few" in ranking_part(found).said[0]
    level = grouped(record, {"a": [0.5, 0.5], "b": [0.5, 0.5], "c": [0.5, 0.5]})
    found = rank(level, tasks(level))
    assert found is not None
    assert "all of them are level" in ranking_part(found).said[0]
    assert rank(groups[:1], tasks(groups)) is None
    assert rank(groups, tasks(groups)[:1]) is None
