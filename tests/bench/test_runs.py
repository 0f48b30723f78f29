"""What a run's folder says: to be continued, or to be begun."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ssl_av.bench.runs import checkpoint_of, damage, finished
from ssl_av.config import Budget, RunConfig
from ssl_av.training.resume import last_checkpoint

RUN = RunConfig({"name": "avid", "dim": 8}, {"name": "synthav"}, Budget(steps=2))


@pytest.mark.parametrize(
    ("record", "goes_on"),
    [
        (None, True),  # killed
        ({"status": "failed", "goes_on": True}, True),  # by a full disk
        ({"status": "failed"}, False),  # by a mistake of ours
        ({"status": "completed"}, False),
        ("{", False),
    ],
)
def test_what_goes_on(record: object, goes_on: bool, tmp_path: Path) -> None:
    last = last_checkpoint(tmp_path)
    last.parent.mkdir()
    parts = {"state_dict": {}, "optimizer_states": [], "lr_schedulers": [], "loops": {}, "global_step": 1}
    torch.save(parts, last)
    assert checkpoint_of(tmp_path, RUN) is None, "whose it is is not known"
    RUN.save(tmp_path / "config.yaml")
    if record is not None:
        (tmp_path / "record.json").write_text(record if isinstance(record, str) else json.dumps(record))
    assert checkpoint_of(tmp_path, RUN) == (last if goes_on else None)
    drawn = replace(RUN.evaluation, figures=True, map="umap")
    other = replace(RUN, evaluation=drawn, data={**RUN.data, "num_workers": 3, "make_flow": True})
    assert checkpoint_of(tmp_path, other) == (last if goes_on else None)
    assert checkpoint_of(tmp_path, replace(RUN, seed=1)) is None
    assert (finished(tmp_path, RUN) is not None) == (record == {"status": "completed"})


@pytest.mark.parametrize("odd", ["{", "[" * 100_000, "a pipe", "a folder"])
@pytest.mark.parametrize("name", ["record.json", "config.yaml"])
def test_what_cannot_be_read_is_told_and_not_waited_for(odd: str, name: str, tmp_path: Path) -> None:
    assert list(damage(tmp_path)) == []
    RUN.save(tmp_path / "config.yaml")
    (tmp_path / "record.json").write_text(json.dumps({"status": "completed"}))
    assert list(damage(tmp_path)) == []
    (tmp_path / name).unlink()
    if odd == "a pipe":
        os.mkfifo(tmp_path / name)
    elif odd == "a folder":
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_text(odd)
    (said,) = damage(tmp_path)
    assert said.startswith(f"{tmp_path / name}: ")
    assert said.endswith("the run begins anew")
    assert finished(tmp_path, RUN) is None
    assert checkpoint_of(tmp_path, RUN) is None
