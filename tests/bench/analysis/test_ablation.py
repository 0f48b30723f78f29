"""A paper's table beside ours: rank correlations by hand, and the words around them."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations, permutations
from typing import Any

import pytest

from ssl_av.bench.analysis.ablation import ablation_section, agreement, check_paper, paper_columns
from ssl_av.bench.analysis.groups import group_runs
from ssl_av.errors import UserError

Record = dict[str, Any]
Make = Callable[..., Record]

PAPER = {"table": "A paper, table 1", "columns": {"ucf101 linear": "linear-svm video top1"}}
#: the paper's number, ours
ROWS = {"a": (60.0, 0.30), "b": (70.5, 0.35), "c": (65.0, 0.40), "d": (80.0, 0.50)}


def tau(x: list[float], y: list[float]) -> float:
    """Kendall's tau without ties, by counting pairs."""
    pairs = list(combinations(range(len(x)), 2))
    return sum(math.copysign(1, (x[i] - x[j]) * (y[i] - y[j])) for i, j in pairs) / len(pairs)


def rho(x: list[float], y: list[float]) -> float:
    """Spearman's rho without ties: 1 − 6 Σd² / (n (n² − 1))."""
    ranks = [[sorted(v).index(one) for one in v] for v in (x, y)]
    n = len(x)
    return 1 - 6 * sum((i - j) ** 2 for i, j in zip(*ranks, strict=True)) / (n * (n**2 - 1))


def made(record: Make, rows: dict[str, tuple[float | None, float]], seeds: int = 1, **more: Any):
    """Groups and suite.json of rows of AVID with these numbers."""
    records = [
        record("avid", seed, row=name, results={"linear-svm": {"video": {"top1": ours + 0.001 * seed}}})
        for name, (_, ours) in rows.items()
        for seed in range(seeds)
    ]
    about = {
        name: {"label": name.upper(), "reported": {} if theirs is None else {"ucf101": {"linear": theirs}}}
        for name, (theirs, _) in rows.items()
    }
    suite = {"rows": about, "paper": PAPER, **more}
    return group_runs(records, list(rows), {n: a["label"] for n, a in about.items()}), suite


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([1, 2, 3], [1, 2, 3]),
        ([1, 2, 3, 4], [1, 3, 2, 4]),
        ([5, 3, 9, 7, 1], [2, 8, 4, 6, 0]),
        ([1, 2, 3], [3, 2, 1]),
    ],
)
def test_rank_correlations_by_hand(x: list[float], y: list[float]):
    found = agreement(x, y)
    assert found is not None
    assert found.rows == len(x)
    assert found.kendall == pytest.approx(tau(x, y))
    assert found.spearman == pytest.approx(rho(x, y))
    by_chance = [tau(x, list(order)) >= tau(x, y) - 1e-12 for order in permutations(y)]
    assert found.by_chance == pytest.approx(sum(by_chance) / len(by_chance))


def test_equal_values_share_ranks():
    found = agreement([1, 2, 2, 3], [1, 2, 3, 4])
    assert found is not None
    # tau-b: five concordant pairs of six, one tied in the first: 5 / √(5 · 6)
    assert found.kendall == pytest.approx(5 / math.sqrt(30))


@pytest.mark.parametrize(("x", "y"), [([1, 2], [1, 2]), ([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [4, 4, 4])])
def test_no_order_to_compare(x: list[float], y: list[float]):
    assert agreement(x, y) is None


def test_the_section_has_both_numbers_their_orders_and_what_they_prove(record: Make):
    groups, suite = made(record, ROWS)
    section = ablation_section(groups, suite)
    assert section is not None
    assert section.title == "A paper, table 1, beside ours"
    (part,) = section.parts
    cells = {row.label: [cell.plain for cell in row.cells] for row in part.table.rows if row.kind == "method"}
    assert cells == {
        "A": ["60.0", "30.0", "4 → 4"], "B": ["70.5", "35.0", "2 → 3"], "C": ["65.0", "40.0", "3 → 2"],
        "D": ["80.0", "50.0", "1 → 1"],
    }  # fmt: skip
    # five of six pairs agree: τ 4 / 6; Σd² = 2: ρ 1 − 12 / 60; 4 of 24 orders reach this τ
    assert part.said == (
        "ucf101 linear: over 4 rows the orders agree in part: Kendall's τ +0.67, Spearman's ρ +0.80; unrelated "
        "orders reach such a τ in 16.7 % of cases. So few rows prove little. One seed a row: a part of our order is "
        "chance. D is the best in both.",
    )
    assert "linear-svm video top-1 on synthav" in part.note


def test_rows_without_the_paper_s_number_are_not_ranked(record: Make):
    groups, suite = made(record, {**ROWS, "e": (None, 0.9)}, seeds=2)
    section = ablation_section(groups, suite)
    assert section is not None
    row = next(row for row in section.parts[0].table.rows if row.label == "E")
    assert [cell.text for cell in row.cells] == ["–", "90.1", "–"]
    assert "over 4 rows" in section.parts[0].said[0]
    assert "One seed" not in section.parts[0].said[0]


def test_orders_that_disagree_and_too_few_rows(record: Make):
    groups, suite = made(record, {"a": (1.0, 0.3), "b": (2.0, 0.2), "c": (3.25, 0.1)})
    section = ablation_section(groups, suite)
    assert section is not None
    assert "do not agree: Kendall's τ −1.00" in section.parts[0].said[0]
    assert "The best: C there, A here." in section.parts[0].said[0]
    assert section.parts[0].table.rows[0].cells[0].text == "1.00", "two decimals where the paper prints two"
    groups, suite = made(record, {"a": (1.0, 0.3), "b": (2.0, 0.2)})
    section = ablation_section(groups, suite)
    assert section is not None
    assert section.parts[0].said == (
        "ucf101 linear: B is above A there, and below it here. Two rows prove nothing about an order.",
    )
    groups, suite = made(record, {"a": (1.0, 0.3), "b": (None, 0.2)})
    section = ablation_section(groups, suite)
    assert section is not None
    assert "fewer than two rows have the paper's number and ours" in section.parts[0].said[0]
    groups, suite = made(record, {"a": (1.0, 0.3), "b": (2.0, 0.3), "c": (3.0, 0.3)})
    section = ablation_section(groups, suite)
    assert section is not None
    assert "all 3 rows are level" in section.parts[0].said[0]


def test_the_paper_s_data_set_is_used_where_it_was_measured(record: Make):
    results = {"linear-svm": {"video": {"top1": 0.1}}, "linear-svm@ucf101": {"video": {"map": 0.7}}}
    groups = group_runs([record("avid", row="a", results=results)])
    (column,) = paper_columns({"columns": {"ucf101 finetune|linear": "linear-svm video top1|map"}})
    assert column.path(groups) == ("results", "linear-svm@ucf101", "video", "map")
    assert column.reported({"ucf101": {"linear": 3}}) == 3.0
    assert column.reported({"ucf101": {"linear": 3, "finetune": 4}}) == 4.0
    assert column.reported({"hmdb51": {"linear": 3}}) is None


def test_a_suite_without_a_paper_has_no_such_section(suite_records: list[Record]):
    assert ablation_section(group_runs(suite_records), {}) is None


@pytest.mark.parametrize(
    "columns", [{"ucf101": "linear-svm video top1"}, {"ucf101 linear": "linear-svm"}, ["x"]]
)
def test_columns_of_another_form(columns: Any):
    with pytest.raises(UserError, match="'paper'"):
        check_paper("mine", {"columns": columns}, [])
