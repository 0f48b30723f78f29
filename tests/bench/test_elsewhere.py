"""Columns of other data sets than the run's own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from ssl_av.bench.analysis.digest import digest
from ssl_av.bench.plots.bars import accuracy_plot
from ssl_av.bench.writing.markdown import to_markdown
from ssl_av.bench.writing.summary import summary_table

Record = dict[str, Any]


def elsewhere(record: Record, top1: float, **changes: Any) -> Record:
    record["results"] |= {
        "linear-svm@esc50": {"audio": {"top1": top1, "top1_val": 0.5, "C": 0.1}},
        "ridge@esc50": {"audio": {"top1": top1 + 0.1, "alpha": 10.0}},
        "retrieval@clips": {"video": {"r1": 0.3, "r5": 0.6}},
    }
    record["elsewhere"] = {
        "esc50": {"hash": "e", "train": 1400, "val": 200, "test": 400, "classes": 50, "chance": 0.02,
                  "skipped": [{"path": "a.ogg", "reason": "cut off"}]} | changes,
        "clips": {"hash": "c", "train": 5, "val": 1, "test": 2, "classes": 2, "chance": 0.5, "skipped": []},
    }  # fmt: skip
    return record


def test_each_column_has_its_own_chance(record: Callable[..., Record]):
    records = [elsewhere(record("avid"), 0.31), elsewhere(record("random"), 0.12)]
    found = digest(records)
    chance = {
        (c.group, c.title): cell.text
        for table in (found.main, found.other)
        for c, cell in zip(table.columns, table.rows[-1].cells, strict=True)
    }
    assert chance["Linear SVM top-1 (%)", "audio"] == "12.5"
    assert chance["esc50: linear SVM top-1 (%)", "audio"] == "2.0"
    assert chance["esc50: ridge audio (%)", "top-1"] == "2.0"
    assert chance["clips: retrieval video (%)", "R@1"] == "50.0"
    assert chance["clips: retrieval video (%)", "R@5"] == "96.9"
    assert sum(c.name == "esc50 audio %" for c in (*found.main.columns, *found.other.columns)) == 1
    facts = dict(found.facts)
    assert facts["Also measured on"] == "esc50 (1,400 / 200 / 400; 50 classes); clips (5 / 1 / 2; 2 classes)"
    assert any(files.reason == "esc50: cut off" for files in found.skipped)
    text = to_markdown(found, {}, defaultdict(str))
    line = next(row for row in text.splitlines() if row.startswith("| avid") or row.startswith("| AVID"))
    assert "31.0" in line
    titles = [str(c.header) for c in summary_table(records).columns]
    assert "esc50\naudio %" in titles
    # the figure stays about the run's own data
    figure = accuracy_plot(found.groups)
    assert figure is not None
    assert [axes.get_title(loc="left") for axes in figure.axes].count("Audio – linear SVM top-1 (%)") == 1


def test_other_data_under_one_name_is_said(record: Callable[..., Record]):
    records = [elsewhere(record("avid"), 0.31), elsewhere(record("brave"), 0.3, hash="other")]
    said = " ".join(digest(records).remarks)
    assert "the runs differ in data of esc50 (hash of the manifest): e (AVID); other (BraVe)" in said


def test_statistics_is_a_reference_without_training(record: Callable[..., Record]):
    row = record("random") | {"method": "statistics", "paper": "reference: statistics"}
    found = digest([record("avid"), record("random"), row])
    assert [r.label for r in found.main.rows] == ["AVID", "Untrained", "Statistics", "Chance"]
    assert found.main.rows[2].kind == "reference"
    seconds = [c.name for c in found.main.columns].index("train s")
    assert found.main.rows[2].cells[seconds].note == "not trained"
