"""What a report says of what was equal and what was not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ssl_av.bench.analysis.axes import fairness
from ssl_av.bench.analysis.digest import digest
from ssl_av.bench.analysis.groups import group_runs
from ssl_av.bench.analysis.tables import Table
from ssl_av.bench.report import _notes as notes
from ssl_av.bench.report import write_report
from ssl_av.bench.writing.markdown import to_markdown

Record = dict[str, Any]


def cell(table: Table, method: str, column: str) -> Any:
    row = next(row for row in table.rows if row.method == method)
    return row.cells[[c.name for c in table.columns].index(column)]


@pytest.fixture
def spent(record: Callable[..., Record]) -> Callable[..., Record]:
    """A record that spent so much."""

    def make(method: str, asked: dict[str, float], **amounts: float | None) -> Record:
        made = record(method, budget={"asked": asked, "spent": amounts})
        made["cost"]["flops_per_step"] = amounts.get("flops") and amounts["flops"] / 10
        return made

    return make


def test_it_says_which_axis_was_held_equal_and_who_spent_more_on_the_others(spent):
    asked = {"samples": 6000}
    records = [
        spent("avid", asked, samples=5984, clips=11968, flops=4e12, seconds=50.0, joules=None),
        spent("crisscross", asked, samples=5984, clips=23936, flops=9e12, seconds=80.0, joules=None),
        spent("supervised", asked, samples=5984, clips=1, flops=1e9, seconds=1.0, joules=None),
    ]
    said = fairness(group_runs(records), "6,000 samples")
    assert said.startswith("Held equal: 6,000 samples for every method. Equal in what was spent: samples.")
    assert "clips 2 times (AVID least, CrissCross most)" in said
    assert "FLOPs 2.25 times (AVID least, CrissCross most)" in said
    assert "seconds 1.6 times (AVID least, CrissCross most)" in said
    assert "joules" not in said
    assert fairness(group_runs(records[:1]), "6,000 samples") == ""


def test_a_budget_that_ends_with_a_whole_step_is_equal(spent):
    records = [spent("avid", {}, flops=1.000e13), spent("brave", {}, flops=0.993e13)]
    assert fairness(group_runs(records), "1e+13 flops").endswith("Equal in what was spent: FLOPs.")


def test_every_axis_has_a_column_and_what_no_machine_tells_has_none(spent):
    asked = {"minutes": 2.0}
    records = [
        spent("avid", asked, steps=100, flops=4e12, seconds=121.0, gpu_hours=0.0336, joules=None),
        spent("brave", asked, steps=50, flops=9e12, seconds=123.0, gpu_hours=0.0342, joules=None),
    ]
    found = digest(records)
    assert cell(found.budget, "avid", "asked").text == "2 minutes"
    assert cell(found.budget, "brave", "Spent TFLOP").text == "9.00"
    assert cell(found.budget, "brave", "Spent GPU-hours").text == "0.0342"
    assert cell(found.budget, "brave", "Spent of asked minutes (%)").text == "102.5"
    assert "Spent joules" in found.budget.absent
    assert cell(found.cost, "avid", "GFLOP a step").text == "400.00"


def test_the_unit_is_one_of_which_all_have_at_least_one(spent):
    records = [spent("avid", {}, flops=4e8), spent("brave", {}, flops=9e12)]
    assert cell(digest(records).budget, "brave", "Spent GFLOP").text == "9,000.00"


def test_runs_beside_each_other_are_said_to_be_a_sum(record):
    def shared(method: str) -> Record:
        made = record(method)
        made["cost"]["runs_at_once"] = 2
        return made

    facts = dict(digest([shared("avid"), shared("brave")]).facts)
    assert facts["Time of all runs"].endswith("(sum; 2 ran at a time)")
    assert "sum" not in dict(digest([record("avid")]).facts)["Time of all runs"]


def test_the_time_of_a_run_is_from_its_beginning_to_its_end_where_that_is_known(record):
    made = record("avid")
    made["cost"] |= {"train_seconds": 600.0, "eval_seconds": 60.0}
    assert dict(digest([made]).facts)["Time of all runs"] == "11 min"
    made["cost"]["total_seconds"] = 1500.0
    found = digest([made])
    assert dict(found.facts)["Time of all runs"] == "25 min"
    assert cell(found.cost, "avid", "Seconds in all").text == "1,500"


TUNING = {
    "trials": 2, "failed": 0, "share": 0.25, "budget": {"samples": 1500}, "measure": "the probe",
    "space": {"optim.lr": {"log": [1e-4, 1e-2]}},
    "best": {"trial": 1, "settings": {"optim.lr": 0.00234}, "score": 0.41}, "own": 0.33, "spread": 0.057,
    "spent": {"samples": 3000, "flops": 2e12, "seconds": 31.0, "total_seconds": 44.0},
    "all": [
        {"trial": 0, "settings": {"optim.lr": 0.001}, "score": 0.33, "spent": {"seconds": 15.0}, "error": None},
        {"trial": 1, "settings": {"optim.lr": 0.00234}, "score": 0.41, "spent": {"seconds": 16.0}, "error": None},
    ],
}  # fmt: skip
LOST = TUNING | {
    "failed": 2, "best": None, "own": None, "spread": None,
    "all": [one | {"score": None, "error": "the loss is nan"} for one in TUNING["all"]],
}  # fmt: skip


@pytest.mark.slow  # draws the figures
def test_tuning_has_its_own_table_with_every_trial(record, write):
    folder = write([record("avid", tuning=TUNING), record("brave", tuning=LOST), record("random")])
    found = digest([record("avid", tuning=TUNING), record("brave", tuning=LOST), record("random")])
    assert [row.method for row in found.tuning.rows] == ["avid", "brave"]
    assert cell(found.tuning, "avid", "Top-1 on validation (%) best").text == "41.0"
    assert cell(found.tuning, "avid", "Top-1 on validation (%) suite's own").text == "33.0"
    assert cell(found.tuning, "avid", "best setting").text == "optim.lr 0.00234"
    assert cell(found.tuning, "avid", "Spent by all trials GFLOP").text == "2,000.00"
    assert [(row.method, row.cells[0].text, row.cells[2].text) for row in found.trials.rows] == [
        ("avid", "1", "33.0"), ("avid", "2", "41.0"), ("brave", "1", "–"), ("brave", "2", "–"),
    ]  # fmt: skip
    assert found.trials.rows[1].cells[2].best
    assert found.trials.rows[2].cells[2].note == "the loss is nan"
    page = write_report(folder).read_text()
    assert 'id="tuning"' in page
    assert "No trial of BraVe was completed: the suite&#39;s own setting was used." in page
    text = (folder / "report.md").read_text()
    assert "## Tuning" in text
    assert "2 trials of 25 % of the budget each (1,500 samples)" in text


def test_without_tuning_there_is_no_such_section(record):
    found = digest([record("avid"), record("brave")])
    assert (found.tuning.columns, found.trials.columns) == ((), ())
    notes = dict.fromkeys(("main", "collapse", "budget", "command", "tuning"), "")
    assert "Tuning" not in to_markdown(found, {}, notes)


def test_unlike_budgets_are_not_said_to_be_held_equal(spent):
    records = [
        spent("avid", {"samples": 6000}, samples=6000),
        spent("brave", {"samples": 9000}, samples=9000),
    ]
    found = digest(records, {"name": "two", "methods": ["avid", "brave"], "budget": None})
    assert dict(found.facts)["Budget a method"] == "not the same for all"
    assert found.question.endswith("on a budget of its own each?")
    assert "Held equal" not in notes(found)["budget"]
    assert any("the runs differ in budget asked for" in text for text in found.remarks)
