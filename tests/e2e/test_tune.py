"""`ssl-av bench --tune` from the command line to the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ssl_av.bench.records import load_records

pytest.importorskip("optuna")

SUITE = """
name: mine
budget: {samples: 32}
references: [random]
data: {name: synthav, train: 16, val: 8, test: 8, batch_size: 8, num_workers: 0}
inputs: {frames: 4, size: 24, front_end: small, audio_seconds: 1.0}
networks: {video: r2plus1d_10, video_args: {width: 4}, audio: resnet9_audio, audio_args: {width: 4}}
evaluation: {protocols: [retrieval], clips: 1, probes: 0}
methods: {avid: {negatives: 4, hidden: 16}}
tune: {share: 0.5, space: {optim.lr: {log: [1e-4, 1e-2]}}}
"""


@pytest.mark.slow
def test_two_trials_then_the_run_with_the_better_one(ssl_av, tmp_path: Path):
    (tmp_path / "mine.yaml").write_text(SUITE)
    out = tmp_path / "out"
    words = ["bench", "--methods", "avid", "--suite", "mine.yaml", "--out", out, "--tune"]
    done = ssl_av(*words, "trials=2", timeout=600)
    assert done.returncode == 0, done.stderr
    assert "tuning avid: 2 trials of samples=16 each" in done.stdout
    record = {r["method"]: r for r in load_records(out)}["avid"]
    about = record["tuning"]
    assert (about["trials"], about["failed"], about["budget"]) == (2, 0, {"samples": 16})
    assert about["spent"]["samples"] == 2 * 16
    assert record["budget"]["spent"]["samples"] == 32, "what tuning spent is not the run's"
    assert record["settings"]["optim"]["lr"] == about["best"]["settings"]["optim.lr"]
    assert about["all"][0]["settings"]["optim.lr"] == 2e-4, "the method's own rate is tried first"
    assert about["best"]["score"] == max(one["score"] for one in about["all"])
    trial = json.loads((out / "tuning" / "avid" / "trial-0" / "record.json").read_text())
    assert trial["results"] == {}, "no protocol reads the test split"
    assert not (out / "tuning" / "avid" / "trial-0" / "checkpoints").exists()
    assert "## Tuning" in (out / "report.md").read_text()

    before = (out / "avid-seed0" / "record.json").read_bytes()
    again = ssl_av(*words, "trials=2")
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("done before") == 2
    assert (out / "avid-seed0" / "record.json").read_bytes() == before
