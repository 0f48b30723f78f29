"""One training on several processes, as torchrun begins them: killed, stopped, continued, and continued by one."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._pytree import tree_leaves
from torchrun import torchrun

from ssl_av.cli import main
from ssl_av.training.logs import read_rows
from ssl_av.training.resume import last_checkpoint, peek

STEPS, LOGGED = 8, ["1", "3", "5", "7"]
pytestmark = pytest.mark.slow


@pytest.fixture
def words(small_fit: list[str]) -> list[str]:
    """Four batches of four are an epoch; CMA finds its positives at step 4."""
    own = ["--data.batch_size", "4", "--budget", f"steps={STEPS}", "--safety.checkpoint_every", "steps=3"]
    cma = ["--method.negatives", "8", "--method.positives", "3", "--method.renew_steps", "2"]
    here = ["--trainer.accelerator", "cpu", "--data.num_workers", "0", "--evaluation.protocols", "[]"]
    return ["fit", "--method", "cma", *small_fit, *own, *cma, *here]


def state(folder: Path) -> tuple[dict[str, Any], list[Any]]:
    """What the last checkpoint holds, without clocks and the note of where it was resumed, and the logged losses."""
    found = torch.load(last_checkpoint(folder), weights_only=True)
    del (
        found["callbacks"]["Accounting"]["seconds"],
        found["callbacks"]["Checkpoints"]["resumed_at"],
        found["loops"],
    )
    rows = read_rows(folder / "metrics.csv")[1]
    return found, [(row["step"], row["loss"]) for row in rows if row["loss"]]


def same(a: Any, b: Any) -> bool:
    pairs = zip(tree_leaves(a), tree_leaves(b), strict=True)
    return all(torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y for x, y in pairs)


def test_two_processes(words: list[str], cache: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    measured = [*words, "--out", whole, "--evaluation.protocols", "linear-svm"]
    first, second = torchrun(2, measured, tmp_path, cache)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "step" not in second.stdout, "the first process says and measures everything"
    assert "linear-svm" not in second.stdout
    assert "linear-svm" in first.stdout
    record = json.loads((whole / "record.json").read_text())
    spent = record["budget"]["spent"]
    assert (spent["steps"], spent["samples"], spent["clips"]) == (STEPS, 4 * STEPS, 8 * STEPS)
    assert [s["samples"] for s in record["stages"]] == [2 * STEPS, 2 * STEPS]
    assert (record["cost"]["processes"], record["data"]["batch_size"]) == (2, 4)
    assert [step for step, _ in state(whole)[1]] == LOGGED
    logged = [float(loss) for _, loss in state(whole)[1]]
    assert [loss for _, loss in record["curves"]["loss"]][1::2] == pytest.approx(logged, rel=1e-5)
    random = state(whole)[0]["callbacks"]["Checkpoints"]["random"]
    assert len(random) == 2
    assert not torch.equal(random[0]["torch"], random[1]["torch"])

    # One is lost: the other says so, and the training goes on from the checkpoint as if nothing had happened.
    first, second = torchrun(2, [*words, "--out", killed], tmp_path, cache, hit=(1, 7, signal.SIGKILL))
    assert (first.returncode, second.returncode) == (2, -signal.SIGKILL), first.stderr
    assert "another process of the 2 of this training is gone" in first.stderr
    assert f"the last good checkpoint is {last_checkpoint(killed)} (--resume" in first.stderr
    assert "Traceback" not in first.stderr
    assert peek(last_checkpoint(killed))[0] == 6
    for done in torchrun(2, [*words, "--out", killed, "--resume", "auto"], tmp_path, cache):
        assert done.returncode == 0, done.stderr
    assert same(state(whole), state(killed))


def test_stopped_and_continued_by_one(words: list[str], cache: Path, tmp_path: Path) -> None:
    """A signal to any process ends all after the same step; a batch is the same however many share it."""
    out = tmp_path / "run"
    first, second = torchrun(2, [*words, "--out", out], tmp_path, cache, hit=(1, 5, signal.SIGTERM))
    assert (first.returncode, second.returncode) == (143, 0), first.stderr + second.stderr
    assert "stopped by SIGTERM" in first.stderr
    assert "is of step 5, the same command with --resume" in first.stderr
    assert "ssl-av:" not in second.stderr
    (alone,) = torchrun(1, [*words, "--out", out, "--resume"], tmp_path, cache)
    assert alone.returncode == 0, alone.stderr
    assert "the checkpoint is of 2 processes, now there are 1: the batches are those of then" in alone.stderr
    record = json.loads((out / "record.json").read_text())
    spent = record["budget"]["spent"]
    assert (spent["steps"], spent["samples"], record["cost"]["processes"]) == (STEPS, 4 * STEPS, 1)
    assert [step for step, _ in state(out)[1]] == LOGGED


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--data.batch_size", "7"], "--data.batch_size 7 is shared by 2 processes: give a multiple of 2"),
        (["--data.batch_size", "2", "--method.negatives", "4"], "at least 2 for each"),
        (["--trainer.strategy", "ddp_spawn"], "several processes train by ddp only"),
        (["--trainer.sync_batchnorm", "true"], "PyTorch has it on GPUs only"),
    ],
)
def test_what_several_processes_refuse(
    more: list[str], says: str, words: list[str], cache: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("SSL_AV_CACHE", str(cache))
    with pytest.raises(SystemExit) as ended:
        main([*words, "--out", str(tmp_path / "run"), "--trainer.devices", "2", *more])
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert ended.value.code == 2
    assert says in error
    assert not (tmp_path / "run").exists()


def test_a_suites_runs_are_one_process_each(tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "--methods", "avid", "--trainer.devices", "2", "--trainer.accelerator", "cpu",
              "--out", str(tmp_path / "suite")])  # fmt: skip
    assert ended.value.code == 2
    assert "each run is one process" in capsys.readouterr().err
    assert not (tmp_path / "suite").exists()
