"""The comparison of a suite as W&B gets it, from records made here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ssl_av.bench.records import append_record
from ssl_av.errors import UserError
from ssl_av.tracking import Tracking
from ssl_av.tracking.dashboard import sections, show_dashboard, workspace
from ssl_av.tracking.flat import flat
from ssl_av.tracking.suite import comparison


def record(method: str, top1: float) -> dict[str, Any]:
    return {
        "method": method, "seed": 0, "status": "completed", "error": None,
        "budget": {"asked": {"steps": 2}, "spent": {"samples": 16, "seconds": 1.5}},
        "cost": {"train_seconds": 1.5, "peak_memory_mb": 100.0, "data_wait_share": None},
        "results": {
            "linear-svm": {"video": {"top1": top1, "folds": [1, 2], "converged": True}},
            "av-retrieval": {"skipped": "no shared space"},
        },
        "protocols": {"linear-svm": {"version": 1, "hash": "abc"}},
        "collapse": {"video": {"std": 0.1, "effective_rank": 9.0}},
        "curves": {"loss": [[1, 2.0]], "probe_video": [[8, 0.5]]},
        "data": {"name": "synthav", "hash": "123", "chance": 0.5},
    }  # fmt: skip


def test_flat_keeps_numbers_and_says_what_was_skipped() -> None:
    found = flat(record("avid", 0.75))
    assert found["results/linear-svm/video/top1"] == 0.75
    assert found["spent/samples"] == 16
    assert found["protocol/linear-svm"] == "1 abc"
    assert found["skipped/av-retrieval"] == "no shared space"
    assert found["data/hash"] == "123"
    assert not any("folds" in name or "converged" in name or name.endswith("wait_share") for name in found)


def test_comparison_has_a_row_a_run_and_null_where_a_run_lacks_a_number() -> None:
    failed = {"method": "cma", "seed": 1, "status": "failed", "error": "…"}
    columns, rows = comparison([record("avid", 0.75), failed])
    assert columns[:3] == ["method", "seed", "status"]
    assert [row[:3] for row in rows] == [["avid", 0, "completed"], ["cma", 1, "failed"]]
    at = columns.index("results/linear-svm/video/top1")
    assert [row[at] for row in rows] == [0.75, None]
    assert len({len(row) for row in rows} | {len(columns)}) == 1


def test_panels_are_those_that_there_are_numbers_for() -> None:
    made = sections([record("avid", 0.75)])
    assert [p.keys for p in made["Accuracy"]] == [("results/linear-svm/video/top1",)]
    more = record("avid", 0.75)
    more["results"] |= {"retrieval": {"video": {"r1": 0.5, "r5": 0.75}}}
    more["results"]["linear-svm"]["video"]["std"] = {"top1": 0.01}
    assert [p.keys[0] for p in sections([more])["Accuracy"]] == [
        "results/linear-svm/video/top1",
        "results/retrieval/video/r1",
    ]
    assert [p.keys for p in made["Learning"]] == [("val/probe_video",), ("loss",)]
    assert [p.keys for p in made["Collapse"]] == [("collapse/video_effective_rank",), ("collapse/video_std",)]
    assert [p.keys for p in made["Cost"]] == [("cost/train_seconds",), ("cost/peak_memory_mb",)]


def test_workspace_is_what_wandb_takes() -> None:
    made = sections([record("avid", 0.75)])
    view = workspace(made, "tiny", Tracking("online", project="p", entity="me"))._to_model()
    spec = json.loads(view.model_dump_json(by_alias=True))
    assert (spec["entity"], spec["project"]) == ("me", "p")
    found = spec["spec"]["section"]["panelBankConfig"]["sections"]
    assert [s["name"] for s in found] == list(made)
    assert [len(s["panels"]) for s in found] == [len(p) for p in made.values()]
    bars = found[0]["panels"][0]
    assert bars["viewType"] == "Bar Chart"
    assert "results/linear-svm/video/top1" in json.dumps(bars["config"])
    assert '"tiny"' in json.dumps(spec["spec"]["section"]["runSets"])


def test_dry_run_prints_it_without_an_account(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    append_record(tmp_path, record("avid", 0.75))
    (tmp_path / "suite.json").write_text('{"name": "tiny"}')
    assert show_dashboard(tmp_path, Tracking("online", project="p"), dry_run=True) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "tiny comparison" in said
    assert "linear-svm, video: top1" in said
    with pytest.raises(UserError, match="--entity"):
        show_dashboard(tmp_path, Tracking("online", project="p"), dry_run=False)


def test_a_folder_without_a_suite_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"records\.jsonl"):
        show_dashboard(tmp_path, Tracking("online"), dry_run=True)
