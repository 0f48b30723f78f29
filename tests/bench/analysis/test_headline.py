"""What a report is about where no linear SVM was measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ssl_av.bench.analysis import wording
from ssl_av.bench.analysis.columns import main_columns, other_columns
from ssl_av.bench.analysis.groups import group_runs
from ssl_av.bench.analysis.headline import Headline, headline
from ssl_av.bench.analysis.tables import build
from ssl_av.bench.writing.summary import summary_table

Make = Callable[..., dict[str, Any]]


def ridge(video: float, both: float) -> dict[str, Any]:
    return {
        "ridge@esc50": {"audio": {"top1": 0.3}},
        "retrieval": {"video": {"r1": 0.2}},
        "ridge": {"video": {"top1": video}, "audio+video": {"top1": both}},
    }


def test_the_first_protocol_on_the_own_data_leads_where_there_is_no_svm(record: Make):
    records = [
        record("avid", results=ridge(0.4, 0.5)),
        record("stica", results=ridge(0.6, 0.5)),
        record("random", results=ridge(0.3, 0.55)),
    ]
    groups = group_runs(records)
    about = headline(groups)
    assert about == Headline("ridge", "top1", ("video", "audio+video"))
    assert wording.answer(groups) == (
        "Best ridge: STiCA 60.0 % (video) and AVID and STiCA 50.0 % (audio+video); both are above the untrained "
        "network on video (30.0 %), none is above the untrained network on audio+video (55.0 %)."
    )
    main = build("Results", main_columns(groups), groups)
    assert [column.name for column in main.columns][:4] == [
        "ridge video %", "ridge audio+video %", "gain video", "gain audio+video",
    ]  # fmt: skip
    rows = {row.method: [cell.text for cell in row.cells[:4]] for row in main.rows}
    assert rows["avid"] == ["40.0", "50.0", "+10.0", "−5.0"]
    # what stands in the main table is not told twice; other data are
    assert [c.name for c in other_columns(groups)] == ["esc50: ridge audio (%) top-1"]
    assert [str(column.header) for column in summary_table(records).columns][1:3] == [
        "ridge\nvideo %", "ridge\naudio+video %",
    ]  # fmt: skip


def test_an_svm_leads_wherever_it_stands_with_all_its_sides(record: Make):
    results = ridge(0.4, 0.5) | {"linear-svm": {"video": {"top1": 0.2}, "fused": {"top1": 0.7}}}
    groups = group_runs([record("avid", results=results)])
    assert headline(groups) == Headline("linear-svm", "top1", ("video", "audio", "fused"))
    assert headline(groups).head == "Linear SVM top-1 (%)"
    labels = group_runs([record("avid", results={"linear-svm": {"audio": {"map": 0.25}}})])
    assert headline(labels).title == "linear SVM mAP"
    assert wording.answer(labels) == "Best linear SVM mAP: AVID 25.0 % (audio)."


def test_an_svm_on_other_data_alone_stands_once(record: Make):
    results = {f"linear-svm@{place}": {"audio": {"top1": 0.4}} for place in ("esc50", "mine")}
    groups = group_runs([record("avid", results=results)])
    table = build("Results", main_columns(groups), groups)
    assert [(c.group, c.title) for c in table.columns if "SVM" in c.group] == [
        ("linear SVM on esc50 top-1 (%)", "audio"), ("mine: linear SVM top-1 (%)", "audio"),
    ]  # fmt: skip
    assert not other_columns(groups)


def test_a_mean_precision_has_no_binomial_error(record: Make):
    results = {"mlp@audioset": {"audio": {"map": 0.25}}}
    groups = group_runs([record("avid", results=results), record("stica", results=results)])
    assert headline(groups).head == "mlp on audioset mAP (%)"
    assert not any("standard error" in said for said in wording.remarks(groups))


@pytest.mark.parametrize("results", [{}, {"retrieval": {"video": {"r1": 0.2}}}])
def test_nothing_that_ranks(record: Make, results: dict[str, Any]):
    groups = group_runs([record("avid", results=results)])
    assert wording.answer(groups) == "No accuracy was measured, so the methods are not ranked here."
