"""Several suites in one report, where their numbers can stand in one table."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssl_av.bench.merge import merge_suites, report
from ssl_av.bench.records import load_records
from ssl_av.errors import UserError

Make = Callable[..., dict[str, Any]]


@pytest.fixture
def suite(tmp_path: Path) -> Callable[..., Path]:
    """`suite(name, records)` makes the folder of a suite."""

    def make(name: str, records: list[dict[str, Any]]) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "records.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
        methods = [r["method"] for r in records]
        about = {"name": "tiny", "question": "Why?", "methods": methods, "command": f"make {name}"}
        (folder / "suite.json").write_text(json.dumps(about))
        return folder

    return make


def measured(record: Make, method: str, digest: str = "aa", **changes: Any) -> dict[str, Any]:
    about = {"linear-svm": {"version": 1, "hash": digest}}
    return record(method, **({"protocols": about, "curves": {}, "cost": {}} | changes))  # with little to draw


def test_two_suites_stand_in_one_table(suite, record: Make, tmp_path: Path, capsys) -> None:
    random = measured(record, "random")
    one = suite("one", [measured(record, "brave"), random])
    two = suite("two", [measured(record, "avid"), random, measured(record, "brave", seed=1)])
    out = tmp_path / "both"
    assert report([one, two], out) == 0
    assert capsys.readouterr().out == f"report: {out / 'report.html'}\n"
    assert [(r["method"], r["seed"]) for r in load_records(out)] == [
        ("brave", 0), ("random", 0), ("avid", 0), ("brave", 1),
    ]  # fmt: skip
    markdown = (out / "report.md").read_text()
    for said in ("# Why?", "make one\nmake two", "AVID", "BraVe", f"Runs of 2 suites: {one}, {two}"):
        assert said in markdown, said
    merge_suites([two, one], out)  # again, in another order
    assert load_records(out)[0]["method"] == "avid"


def test_other_protocols_are_refused_and_nothing_is_written(suite, record: Make, tmp_path: Path) -> None:
    one = suite("one", [measured(record, "brave")])
    two = suite("two", [measured(record, "avid", "bb")])
    with pytest.raises(UserError, match=r"results of 'linear-svm' by different protocols.*brave.*avid"):
        merge_suites([one, two], tmp_path / "both")
    assert not (tmp_path / "both").exists()


def test_one_run_with_two_results_is_refused_but_a_reference_is_said(
    suite, record: Make, tmp_path: Path
) -> None:
    other = {"linear-svm": {"video": {"top1": 0.5}}}
    one = suite("one", [measured(record, "brave"), measured(record, "random")])
    two = suite("two", [measured(record, "avid"), measured(record, "random", results=other)])
    merge_suites([one, two], tmp_path / "both")
    assert load_records(tmp_path / "both")[1]["results"]["linear-svm"]["video"]["top1"] == 0.206
    remarks = json.loads((tmp_path / "both" / "suite.json").read_text())["remarks"]
    assert remarks[1] == f"Untrained (seed 0) has other results in {two}; shown are those of {one}."
    three = suite("three", [measured(record, "brave", results=other)])
    with pytest.raises(UserError, match="both hold brave seed 0, with different results"):
        merge_suites([one, three], tmp_path / "all")


def test_a_run_that_failed_gives_way_to_one_that_did_not(suite, record: Make, tmp_path: Path) -> None:
    one = suite(
        "one", [measured(record, "avid"), {"method": "brave", "seed": 0, "status": "failed", "error": "x"}]
    )
    two = suite("two", [measured(record, "brave")])
    merge_suites([one, two], tmp_path / "both")
    assert [r["status"] for r in load_records(tmp_path / "both")] == ["completed", "completed"]


def test_folders_that_cannot_be(suite, record: Make, tmp_path: Path) -> None:
    one, two = suite("one", [measured(record, "brave")]), suite("two", [measured(record, "avid")])
    with pytest.raises(UserError, match="2 suites needs a folder of its own: add --out DIR"):
        report([one, two], None)
    with pytest.raises(UserError, match="is one of the suites"):
        report([one, two], one)
    with pytest.raises(UserError, match="nowhere: no such folder"):
        report([one, tmp_path / "nowhere"], tmp_path / "both")
    with pytest.raises(UserError, match=r"no records\.jsonl"):
        report([one, tmp_path], tmp_path / "both")
    three = suite("three", [measured(record, "cma")])
    with pytest.raises(UserError, match="holds other files"):
        report([one, two], three)


def test_rows_keep_their_labels_their_paper_and_their_predictions(
    suite, record: Make, tmp_path: Path
) -> None:
    paper = {"table": "A paper, table 1", "columns": {"ucf101 linear": "linear-svm video top1"}}
    folders = []
    for name, value, hits in (("warm", 70.0, 30), ("cold", 60.0, 5)):
        made = measured(record, "avid", row=name)
        by_class = {"a": 0.5, "b": 0.5}
        made["results"] = {"linear-svm": {"video": {"top1": hits / 40, "by_class": by_class}}}
        folder = suite(name, [made])
        kept = folder / f"{name}-seed0" / "predictions"
        kept.mkdir(parents=True)
        truth = np.arange(40) % 2
        arrays = {"truth": truth, "predicted": np.where(np.arange(40) < hits, truth, 1 - truth)}
        arrays["index"] = np.arange(40)
        np.savez(kept / "linear-svm.npz", **{f"video.0.{key}": value for key, value in arrays.items()})
        about = json.loads((folder / "suite.json").read_text())
        rows = {name: {"label": f"so {name}", "reported": {"ucf101": {"linear": value}}}}
        (folder / "suite.json").write_text(json.dumps({**about, "rows": rows, "paper": paper}))
        folders.append(folder)
    out = tmp_path / "both"
    report(folders, out)
    text = (out / "report.md").read_text()
    assert "so warm is above so cold there, and here too." in text
    assert "so warm above so cold" in text, "over test samples"
    assert (out / "plots" / "confusion-warm-linear-svm-video.png").is_file()
    other = json.loads((folders[1] / "records.jsonl").read_text())
    other["data"]["hash"] = "another"
    (folders[1] / "records.jsonl").write_text(json.dumps(other) + "\n")
    report(folders, out)
    assert "over test samples" not in (out / "report.md").read_text(), "they are other samples"
