"""A report says how sure each number is, class by class; made-up records with real predictions."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from ssl_av.bench.analysis.digest import digest
from ssl_av.bench.analysis.groups import group_runs
from ssl_av.bench.report import write_report
from ssl_av.bench.writing.by_class import details, keep_predictions
from ssl_av.bench.writing.summary import summary_table
from ssl_av.evaluation.certainty import attach, save_predictions
from ssl_av.evaluation.engine import Measured
from ssl_av.evaluation.kinds import Outcome, Predicted

Record = dict[str, Any]
NAMES = ("clap", "rain")


@pytest.fixture(autouse=True)
def nothing_else_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other plots have tests of their own, and take seconds."""
    monkeypatch.setattr("ssl_av.bench.report.PLOTS", {})


def measured(run: Record, folder: Path, wrong: int, several: bool = False) -> Record:
    """The record with a linear SVM on sound that is wrong so many times of 20; its predictions in its folder."""
    truth = np.arange(20) % 2
    scores = np.eye(2)[np.where(np.arange(20) < wrong, 1 - truth, truth)]
    numbers: Record = {"top1": 1 - wrong / 20}
    if several:
        truth, numbers = np.eye(2, dtype=bool)[truth], {"map": 0.5}
    outcome = Outcome({"audio": numbers}, {"audio": Predicted(truth, scores, np.arange(20))})
    attach(outcome.results, [outcome], NAMES)
    save_predictions({"linear-svm": [outcome]}, folder / f"{run['method']}-seed{run['seed']}")
    return run | {"results": {"linear-svm": outcome.results}}


def test_one_seed_has_intervals_and_a_confusion_matrix(record: Callable[..., Record], write, tmp_path: Path):
    records = [measured(record(m), tmp_path, wrong) for m, wrong in (("avid", 4), ("brave", 8))]
    folder = write(records)
    page = write_report(folder).read_text(encoding="utf-8")
    low, high = (records[0]["results"]["linear-svm"]["audio"]["interval"][end] for end in ("low", "high"))
    said = f"{100 * low:.1f}–{100 * high:.1f}"
    assert f'<span class="sd">{said}</span>' in page
    assert "95 % interval over test samples" in page.replace("\N{NO-BREAK SPACE}", " ")
    assert 'id="classes"' in page
    assert "Confusion matrix and accuracy of each class: AVID, linear-svm – audio" in page
    assert "percentile bootstrap over 20 samples, 2000 draws, seed 0" in page
    assert (folder / "plots" / "confusion-avid-linear-svm-audio.png").stat().st_size > 1000
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert f"80.0 ({said})" in text
    assert "(plots/confusion-avid-linear-svm-audio.png)" in text
    shown = io.StringIO()
    Console(file=shown, width=80).print(summary_table(records))
    assert said in shown.getvalue()


def test_classes_and_pictures_over_seeds(record: Callable[..., Record], tmp_path: Path):
    runs = [measured(record("avid", seed), tmp_path, wrong) for seed, wrong in ((0, 4), (1, 8))]
    (found,) = details(group_runs(runs), tmp_path)
    (measure,) = found.measures
    assert measure.title == "linear-svm – audio"
    assert measure.said.startswith("top-1 seed 0: 80.0 % [")
    assert "; seed 1: 60.0 % [" in measure.said
    # of ten claps two and four are wrong, and of ten rains likewise
    assert measure.classes == (("clap", "70.0 %"), ("rain", "70.0 %"))
    assert measure.picture.startswith("data:image/png;base64,")
    table = digest(runs).main
    (cell,) = (
        c
        for c, column in zip(table.rows[0].cells, table.columns, strict=True)
        if column.name == "SVM audio %"
    )
    assert (cell.interval, cell.text) == ("", "70.0")
    assert cell.spread


def test_records_without_predictions_have_numbers_and_no_picture(
    record: Callable[..., Record], tmp_path: Path
):
    run = measured(record("avid"), tmp_path / "elsewhere", 4)
    (found,) = details(group_runs([run]), tmp_path)
    assert found.measures[0].picture == found.measures[0].file == ""
    assert found.measures[0].classes[0] == ("clap", "80.0 %")


def test_several_labels_have_no_confusion(record: Callable[..., Record], tmp_path: Path):
    run = measured(record("avid"), tmp_path, 4, several=True)
    (found,) = details(group_runs([run]), tmp_path)
    assert found.measures[0].said.startswith("mAP 50.0 % [")
    assert not found.measures[0].picture


def test_records_from_before_have_no_section(record: Callable[..., Record], write):
    page = write_report(write([record("avid")])).read_text(encoding="utf-8")
    assert 'id="classes"' not in page
    assert "interval over test samples" not in page


def test_an_evaluation_keeps_predictions_and_pictures(tmp_path: Path):
    truth = np.arange(6) % 2
    outcome = Outcome({"audio": {"top1": 1.0}}, {"audio": Predicted(truth, np.eye(2)[truth], np.arange(6))})
    attach(outcome.results, [outcome], NAMES)
    found = Measured({"knn": outcome.results, "fusion": {"skipped": "no"}}, outcomes={"knn": [outcome]})
    (picture,) = keep_predictions(found, tmp_path)
    assert picture == tmp_path / "figures" / "confusion-knn-audio.png"
    assert picture.is_file()
    assert (tmp_path / "predictions" / "knn.npz").is_file()


@pytest.mark.parametrize("old", ["confusion-gone-linear-svm-audio.png"])
def test_pictures_of_an_earlier_report_go(old: str, record: Callable[..., Record], tmp_path: Path):
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / old).write_bytes(b"")
    details(group_runs([record("avid")]), tmp_path)
    assert not (tmp_path / "plots" / old).exists()
