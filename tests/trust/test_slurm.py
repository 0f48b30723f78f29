"""A job of SLURM that is to make room: it saves, asks to come back, and goes on as if nothing had been."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
from slurm import made_up_slurm

from ssl_av.data.manifest import Manifest
from ssl_av.errors import Interrupted
from ssl_av.runs.run import execute
from ssl_av.training.resume import last_checkpoint, peek


class Warning(pl.Callback):
    """Sends what ``#SBATCH --signal=USR1@90`` and a pre-emption send, in the midst of a step."""

    def __init__(self, number: int, step: int) -> None:
        self.number, self.step = number, step

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        if trainer.global_step == self.step:
            os.kill(os.getpid(), self.number)


def test_it_saves_is_put_back_into_the_queue_and_goes_on(
    clips: Manifest, config_of, state_of, alike, monkeypatch, tmp_path: Path
) -> None:
    config = config_of("supervised", probes=0)
    execute(config, clips, tmp_path / "whole")
    asked, out = made_up_slurm(tmp_path / "slurm", monkeypatch), tmp_path / "job"
    for number, step in ((signal.SIGUSR1, 1), (signal.SIGTERM, 3)):
        begin = last_checkpoint(out) if out.exists() else None
        with pytest.raises(Interrupted, match=str(128 + number)) as caught:
            execute(config, clips, out, callbacks=[Warning(number, step)], resume=begin)
        assert peek(last_checkpoint(out))[0] == step + 1
        assert caught.value.said.endswith("; job 42 is requeued")
    assert [line for line in asked.read_text().splitlines() if "requeue" in line] == ["requeue 42"] * 2
    record = execute(config, clips, out, resume=last_checkpoint(out))
    assert record["health"]["resumed_at"] == [2, 4]
    assert alike(state_of(tmp_path / "whole"), state_of(out)) == []
    assert not list(tmp_path.rglob("hpc_ckpt*")), "Lightning's own requeueing stays out of the way"
