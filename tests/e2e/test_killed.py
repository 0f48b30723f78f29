"""A training that is killed, continued and run again ends with the numbers of one that was left alone."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from killers import dies_after

from ssl_av.training.resume import last_checkpoint, peek


def settings(small_fit: list[str], steps: int) -> list[str]:
    """Three batches of eight are an epoch."""
    words = ["24" if w == "16" else w for w in small_fit]
    words = [f"steps={steps}" if w == "steps=2" else w for w in words]
    return [*words, "--safety.checkpoint_every", "steps=2", "--method.negatives", "8"]


@pytest.mark.slow
def test_killed_in_an_epochs_midst_and_run_again(ssl_av, small_fit, tmp_path: Path) -> None:
    words = ["fit", "--method", "avid", *settings(small_fit, 6)]
    killed = tmp_path / "killed"
    once = [*words, "--out", killed, "--data.num_workers", "1"]
    died = ssl_av(*once, first=partial(dies_after, 5))
    assert died.returncode == -9, died.stderr
    assert peek(last_checkpoint(killed))[0] == 4
    resumed = ssl_av(*once, "--resume", "auto")
    assert resumed.returncode == 0, resumed.stderr
    record = json.loads((killed / "record.json").read_text())
    assert record["health"]["resumed_at"] == [4]

    again = ssl_av("rerun", killed, "--out", tmp_path / "again")
    assert again.returncode == 0, again.stderr + again.stdout
    assert "results and losses: the same as then" in again.stdout
    x, y = (torch.load(last_checkpoint(f), weights_only=True) for f in (killed, tmp_path / "again"))
    assert y["callbacks"]["Checkpoints"]["resumed_at"] == []
    assert all(torch.equal(x["state_dict"][name], y["state_dict"][name]) for name in y["state_dict"])

    record["data"]["hash"] = "another"
    record["versions"]["torch"] = "0.1"
    (tmp_path / "moved.json").write_text(json.dumps(record))
    refused = ssl_av("rerun", tmp_path / "moved.json", "--out", tmp_path / "refused")
    assert refused.returncode == 2
    assert "are others than then (hash another then" in refused.stderr
    assert 'differs: versions.torch ("0.1" there' in refused.stdout
    assert not (tmp_path / "refused").exists()
