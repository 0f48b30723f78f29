"""Signals outside of a training, and SLURM's: what the command ends with, and who puts the job back into the queue."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch

from ssl_av.errors import Interrupted
from ssl_av.training.resume import last_checkpoint
from ssl_av.training.signals import ended, heeded


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder with a checkpoint of step 7."""
    last = last_checkpoint(tmp_path / "run")
    last.parent.mkdir(parents=True)
    parts = {"state_dict": {}, "optimizer_states": [], "lr_schedulers": [], "loops": {}, "global_step": 7}
    torch.save(parts, last)
    return tmp_path / "run"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGHUP", "SIGINT"])
def test_a_signal_outside_of_the_training(name: str, run: Path) -> None:
    number = getattr(signal, name)
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as caught, heeded(run), heeded(run):
        os.kill(os.getpid(), number)
    assert caught.value.code == 128 + number
    assert caught.value.said.startswith(f"stopped by {name}; ")
    assert caught.value.said.endswith(
        "last.ckpt is of step 7, the same command with --resume goes on from it"
    )
    assert signal.getsignal(number) == before


def test_a_signal_while_features_are_made(run: Path) -> None:
    with pytest.raises(Interrupted) as caught, heeded(run, "the same command goes on with them"):
        os.kill(os.getpid(), signal.SIGTERM)
    assert (caught.value.said, caught.value.code) == (
        "stopped by SIGTERM; the same command goes on with them",
        143,
    )


def test_what_is_ignored_stays_ignored(run: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with heeded(run):
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_of_a_suite_and_of_nothing(tmp_path: Path) -> None:
    assert "there is no checkpoint in" in ended(signal.SIGTERM, tmp_path).said
    (tmp_path / "suite.json").touch()
    assert ended(signal.SIGTERM, tmp_path).said == "stopped by SIGTERM; the same command goes on"


@pytest.mark.parametrize(
    ("number", "state", "more", "requeued"),
    [
        (signal.SIGUSR1, "RUNNING", {}, "42"),
        (signal.SIGTERM, "RUNNING", {}, "42"),  # pre-empted
        (signal.SIGTERM, "CANCELLED", {}, None),
        (signal.SIGINT, "RUNNING", {}, None),
        (signal.SIGUSR1, "RUNNING", {"SLURM_ARRAY_JOB_ID": "40", "SLURM_ARRAY_TASK_ID": "2"}, "40_2"),
        (signal.SIGUSR1, "RUNNING", {"SLURM_PROCID": "1"}, None),
    ],
)
def test_who_is_put_back_into_the_queue(
    number: int, state: str, more: dict[str, str], requeued: str | None, slurm: Path, run: Path, monkeypatch
) -> None:
    (slurm.parent / "state").write_text(state)
    for name, value in more.items():
        monkeypatch.setenv(name, value)
    said = ended(number, run).said
    asked = [line for line in slurm.read_text().splitlines() if line.startswith("requeue")]
    assert asked == ([f"requeue {requeued}"] if requeued else [])
    assert (f"job {requeued} is requeued" in said) == bool(requeued)


def test_a_slurm_that_refuses(slurm: Path, run: Path, monkeypatch) -> None:
    (slurm.parent / "refuses").touch()
    assert "job 42 could not be requeued (Requeue is disabled)" in ended(signal.SIGUSR1, run).said
    monkeypatch.setenv("PATH", "")
    assert "job 42 could not be requeued (" in ended(signal.SIGUSR1, run).said
