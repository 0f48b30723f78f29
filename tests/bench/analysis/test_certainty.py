"""What a report says of its seeds and samples: three seeds, one seed, and a paper's table."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssl_av.bench.analysis.certainty import certainty_section, verdict
from ssl_av.bench.analysis.digest import digest
from ssl_av.bench.analysis.groups import group_runs
from ssl_av.bench.report import write_report
from ssl_av.bench.writing.summary import summary_table

Record = dict[str, Any]
Make = Callable[..., Record]
METHODS = ["brave", "stica", "crisscross", "avid", "cma"]


@pytest.fixture
def three(record: Make) -> list[Record]:
    """Five methods and two references, three seeds each."""
    return [record(method, seed) for method in [*METHODS, "random", "supervised"] for seed in range(3)]


def test_intervals_of_three_seeds_by_hand(three: list[Record]):
    section = certainty_section(group_runs(three))
    assert section is not None
    part = section.parts[0]
    assert part.table.title == "95 % intervals over seeds"
    values = [r["results"]["linear-svm"]["video"]["top1"] for r in three if r["method"] == "avid"]
    mean = sum(values) / 3
    std = math.sqrt(sum((v - mean) ** 2 for v in values) / 2)
    half = 4.302653 * std / math.sqrt(3)
    row = next(row for row in part.table.rows if row.label == "AVID")
    assert row.cells[0].text == f"{100 * (mean - half):.1f} to {100 * (mean + half):.1f}"
    assert "Student's t" in part.note


def test_three_seeds_are_compared_two_by_two_and_ranked(three: list[Record]):
    section = certainty_section(group_runs(three))
    assert section is not None
    titles = [part.table.title for part in section.parts]
    assert titles == ["95 % intervals over seeds", "Two by two, over seeds", "Ranks over tasks"]
    pairs = section.parts[1]
    assert len(pairs.table.rows) == 10
    assert "Holm's correction for the 20 tests" in pairs.note


def test_one_seed_says_that_nothing_can_be_concluded(suite_records: list[Record]):
    section = certainty_section(group_runs(suite_records))
    assert section is not None
    assert "nothing can be concluded about seeds" in section.parts[0].said[0]
    assert not section.parts[0].table.columns
    assert [part.table.title for part in section.parts[1:]] == ["Ranks over tasks"]


def test_the_answer_says_whether_differences_are_more_than_chance_over_the_seeds(record: Make):
    def said(brave: tuple[float, ...], avid: tuple[float, ...]) -> str:
        return verdict(
            group_runs(
                record(method, seed, results={"linear-svm": {"video": {"top1": value}}})
                for method, values in (("brave", brave), ("avid", avid))
                for seed, value in enumerate(values)
            )
        )

    assert said((0.5,), (0.4,)) == ""
    assert (
        said((0.50, 0.60), (0.50, 0.40)) == "Over the seeds the difference between them is not significant."
    )
    assert said((0.50, 0.51, 0.52), (0.20, 0.21, 0.23)) == (
        "Over the seeds the difference between them is significant."
    )


def test_the_answer_counts_differences(three: list[Record], record: Make):
    assert digest(three).answer.endswith(
        "Over the seeds none of the 20 differences between two methods is significant."
    )
    level = {"brave": (0.50, 0.51, 0.52), "avid": (0.20, 0.21, 0.23), "stica": (0.21, 0.20, 0.22)}
    found = digest(
        [
            record(method, seed, results={"linear-svm": {"video": {"top1": value}}})
            for method, values in level.items()
            for seed, value in enumerate(values)
        ]
    )
    assert found.answer.endswith("Over the seeds 2 of the 3 differences between two methods are significant.")


def test_no_results_no_section(record: Make):
    assert certainty_section(group_runs([record("avid", results={})])) is None


def test_predictions_beside_the_records_are_compared(record: Make, tmp_path: Path):
    rng = np.random.default_rng(0)
    truth = rng.integers(8, size=160)
    for method in METHODS:
        out = tmp_path / f"{method}-seed0" / "predictions"
        out.mkdir(parents=True)
        hit = rng.random(160) < (0.9 if method == "avid" else 0.3)
        arrays = {"truth": truth, "predicted": np.where(hit, truth, (truth + 1) % 8), "index": np.arange(160)}
        np.savez(out / "linear-svm.npz", **{f"video.0.{k}": v for k, v in arrays.items()})
    section = certainty_section(group_runs([record(method) for method in METHODS]), [tmp_path])
    assert section is not None
    part = section.parts[1]
    assert part.table.title == "Two by two, over test samples"
    assert "4 of 10 differences are significant at 5 %" in part.said[0]
    assert "McNemar's exact test" in part.note
    assert "no significant difference" in {cell.text for row in part.table.rows for cell in row.cells}
    assert "AVID is higher" in {cell.text for row in part.table.rows for cell in row.cells}


def test_the_report_of_three_seeds(three: list[Record], write: Callable[..., Path]):
    page = write_report(write(three, {"name": "three", "methods": METHODS, "budget": {"samples": 6000}}))
    html, text = page.read_text(encoding="utf-8"), (page.parent / "report.md").read_text(encoding="utf-8")
    for said in (
        "How sure this is",
        "95 % intervals over seeds",
        "Two by two, over seeds",
        "Ranks over tasks",
    ):
        assert said in html
        assert said in text
    assert html.count('href="#certainty"') == 1
    assert 'id="certainty"' in html
    assert "no significant difference" in text


def test_the_report_of_an_ablation(record: Make, write: Callable[..., Path]):
    scores = {"sync": (0.30, 70.1), "async": (0.25, 69.1), "all": (0.35, 74.8)}
    records = [
        record("crisscross", row=name, results={"linear-svm": {"video": {"top1": ours}}})
        for name, (ours, _) in scores.items()
    ]
    rows = {
        name: {"label": f"L {name}", "reported": {"ucf101": {"linear-8f": p}}}
        for name, (_, p) in scores.items()
    }
    suite = {
        "name": "ablation", "methods": list(scores), "rows": rows,
        "paper": {"table": "CrissCross, table 1", "columns": {"ucf101 linear-8f": "linear-svm video top1"}},
    }  # fmt: skip
    found = digest(records, suite)
    assert [group.label for group in found.groups] == ["L sync", "L async", "L all"]
    assert [group.method for group in found.groups] == list(scores)
    page = write_report(write(records, suite))
    html, text = page.read_text(encoding="utf-8"), (page.parent / "report.md").read_text(encoding="utf-8")
    for said in ("CrissCross, table 1, beside ours", "Kendall", "74.8", "So few rows prove little"):
        assert said in html
        assert said in text
    assert summary_table(records).row_count == 4  # three rows and chance
