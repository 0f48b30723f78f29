"""`--eval`: a run is measured on other data than its own, as `ssl-av eval` measures its checkpoint there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from tiny_esc import plant_esc

from ssl_av.bench.records import load_records
from ssl_av.cli import run

FIT = ["fit", "--method", "avid"]
BENCH = ["bench", "--methods", "avid"]


@pytest.fixture
def places(tmp_path: Path, cache: Path) -> str:
    """Ten folds' worth of sounds, and the same as a table with a label of its own."""
    root = plant_esc(tmp_path / "ESC", classes=4, each=2)
    lines = ["path,loud,split"]
    for file in sorted((root / "audio").iterdir()):
        fold, _, _, target = file.stem.split("-")
        lines.append(f"{file.name},{'ab'[int(target) % 2]},{'test' if fold == '1' else 'train'}")
    (root / "audio" / "labels.csv").write_text("\n".join(lines) + "\n")
    table = f"csv:{root}/audio/labels.csv+label=loud+as=pitch+modalities=audio+protocols=[knn]"
    return f"esc50:{root}+protocols=[ridge,linear-svm],{table}"


@pytest.mark.slow
def test_fit_measures_elsewhere_what_eval_measures_there(ssl_av, small_fit, places: str, tmp_path: Path):
    out = tmp_path / "run"
    done = ssl_av(*FIT, "--out", out, *small_fit, "--eval", places, "--method.negatives", "8")
    assert done.returncode == 0, done.stderr
    assert "ridge@esc50" in done.stdout
    assert "pitch: 2 classes, chance 50.0 %" in done.stdout
    record = json.loads((out / "record.json").read_text())
    assert set(record["results"]) == {
        "linear-svm", "retrieval", "av-retrieval", "linear-svm@esc50", "ridge@esc50", "knn@pitch",
    }  # fmt: skip
    assert set(record["results"]["ridge@esc50"]) == {"audio"}
    assert record["elsewhere"]["esc50"]["chance"] == 0.25
    about = record["protocols"]["ridge@esc50"]
    assert [sum(fold.values()) for fold in about["samples"]] == [40] * 5
    assert len(set(about["data"])) == 5
    assert record["protocols"]["linear-svm@esc50"]["data"] == [record["elsewhere"]["esc50"]["hash"]]
    config = yaml.safe_load((out / "config.yaml").read_text())
    assert [p["as"] for p in config["evaluation"]["elsewhere"]] == ["esc50", "pitch"]

    again = ssl_av("eval", out, "--data", "esc50", "--data.root", tmp_path / "ESC", "--protocols", "ridge",
                   "--out", tmp_path / "measured")  # fmt: skip
    assert again.returncode == 0, again.stderr
    there = json.loads((tmp_path / "measured" / "evaluation.json").read_text())
    assert there["results"]["ridge"] == record["results"]["ridge@esc50"]
    assert there["protocols"]["ridge"] == about


@pytest.mark.slow
def test_bench_has_columns_for_it_and_a_row_of_statistics(ssl_av, small_bench, places: str, tmp_path: Path):
    out = tmp_path / "suite"
    done = ssl_av(
        "bench", "--methods", "statistics,avid", "--out", out, *small_bench, "--eval", places, timeout=900
    )
    assert done.returncode == 0, done.stderr + done.stdout
    records = {r["method"]: r for r in load_records(out)}
    assert {m: r["status"] for m, r in records.items()} == dict.fromkeys(
        ("random", "statistics", "avid", "supervised"), "completed"
    )
    assert records["statistics"]["budget"]["spent"]["steps"] == 0
    assert len({r["protocols"]["knn@pitch"]["hash"] for r in records.values()}) == 1
    text = (out / "report.md").read_text()
    assert "esc50 audio %" in text
    assert "pitch: knn audio (%) top-1" in text
    chance = next(line for line in text.splitlines() if line.startswith("| *Chance*"))
    assert "25.0" in chance  # of ESC's four classes; the run's own have eight


@pytest.mark.slow
def test_a_reference_is_measured_by_its_name(places: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSL_AV_CACHE", str(tmp_path / "cache"))
    data = ["--data", "esc50", "--data.root", "ESC", "--evaluation.clips", "1", "--protocols", "ridge"]
    assert run(["eval", "statistics", *data, "--method.inputs.audio_seconds", "0.5"]) == 0
    found = json.loads((tmp_path / "runs" / "eval-statistics-esc50" / "evaluation.json").read_text())
    assert len(found["results"]["ridge"]["audio"]["folds"]) == 5
    assert found["method"] == "statistics"
    for seed, out in (("0", "r0"), ("1", "r1"), ("0", "again")):
        assert run(["eval", "random", *data, "--seed", seed, "--out", out]) == 0
    weights = [
        {p.parent.parent.name for p in (tmp_path / d).rglob("columns.json")} for d in ("r0", "r1", "again")
    ]
    assert weights[0] == weights[2] != set()
    assert weights[0].isdisjoint(weights[1])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([*FIT, "--eval", "lrs:nowhere"], "--eval lrs:nowhere: unknown data set 'lrs'"),
        (
            [*FIT, "--eval", "grid:."],
            "--eval grid: root .: no videos or sounds in it or below it whose names",
        ),
        ([*FIT, "--eval", "esc5:nowhere"], "did you mean esc50"),
        ([*FIT, "--eval", "esc50:nowhere"], "--eval esc50: no esc50.csv in nowhere"),
        ([*BENCH, "--eval", "esc50:nowhere"], "--eval esc50: no esc50.csv in nowhere"),
        ([*BENCH, "--eval", "esc50:nowhere", "--eval", "esc50:x"], "'esc50' names two data sets"),
        ([*BENCH, "--eval", "csv:nowhere+lable=digit"], "unknown key 'lable'; did you mean label"),
        ([*BENCH, "--evl", "csv:nowhere"], "unknown option '--evl'; did you mean --eval"),
        (["eval", "statistic"], "statistic: no such checkpoint"),
        (["eval", "avid"], "the method 'avid' has to be trained first"),
        (["eval", "random", "--method.part", "2"], "unknown option '--method.part'"),
        (["eval", "nowhere.ckpt", "--method.parts", "2"], "a checkpoint has its own settings"),
        (
            ["eval", "random", "--evaluation.elsewhere", "[esc50:x]"],
            "unknown option '--evaluation.elsewhere'",
        ),
        (["fit", "--method", "statistics"], "nothing to fit"),
    ],
)
def test_told_before_any_data_are_prepared(words, says, refused):
    refused(words, says)
