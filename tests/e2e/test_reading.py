"""A training whose reading process is killed: a line that says so, exit code 2, and a checkpoint to go on from."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from killers import dies_reading


@pytest.mark.slow
def test_a_killed_reader_leaves_a_checkpoint_to_resume_from(ssl_av, small_fit, tmp_path: Path):
    out = tmp_path / "run"
    options = ["fit", "--method", "avid", "--out", out, "--data.pack", "none", "--data.num_workers", "1"]
    options += ["--method.negatives", "8"]
    options += [w if w != "steps=2" else "steps=6" for w in small_fit]
    died = ssl_av(*options, first=partial(dies_reading, "00003", str(tmp_path / "mark")))
    assert died.returncode == 2, died.stderr
    assert "a reading process died" in died.stderr
    assert "00003" in died.stderr
    assert "Traceback" not in died.stderr
    assert not (out / "record.json").exists()
    assert [p.name for p in (out / "checkpoints").iterdir()] == ["last.ckpt"]
    resumed = ssl_av(*options, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    record = json.loads((out / "record.json").read_text())
    assert record["budget"]["spent"]["steps"] == 6
    assert 0 <= record["cost"]["data_wait_share"] <= 1
    assert [step for step, _ in record["curves"]["loss"]] == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
def test_wrong_reading_options_are_refused(ssl_av, small_fit):
    refused = ssl_av("fit", "--method", "avid", *small_fit, "--data.max_bad", "2")
    assert refused.returncode == 2
    assert "max_bad is a share of the samples, between 0 and 1" in refused.stderr
    assert "Traceback" not in refused.stderr
