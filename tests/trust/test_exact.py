"""An interrupted training ends as one that was left alone: weights, memory, optimiser, random state, losses, logs."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from trainings import Signal, logged

from ssl_av.config import Budget, RunConfig
from ssl_av.data.datamodule import AVDataModule
from ssl_av.data.manifest import Manifest
from ssl_av.errors import Interrupted, UserError
from ssl_av.evaluation.callbacks import Collapse
from ssl_av.runs.run import build_method, execute
from ssl_av.training.resume import is_whole, last_checkpoint, newest_whole, peek
from ssl_av.training.saving import Checkpoints

METHODS = ("avid", "brave", "cma", "crisscross", "stica", "supervised")


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_killed_at_an_epochs_end_and_in_its_midst(
    name: str, clips: Manifest, config_of, undisturbed, state_of, alike, tmp_path: Path
) -> None:
    copies = undisturbed(name)
    whole = copies / "whole"
    assert [row["step"] for row in logged(whole)] == ["0", "1", "2", "3", "4", "5"]
    assert any(value for name, value in logged(whole)[5].items() if name.startswith("collapse/"))
    for killed, saved in ((3, 3), (5, 4)):  # three steps are an epoch
        folder = shutil.copytree(copies / str(killed), tmp_path / str(killed))  # others go on from it too
        assert peek(last_checkpoint(folder))[0] == saved
        record = execute(config_of(name), clips, folder, resume=last_checkpoint(folder))
        assert alike(state_of(whole), state_of(folder)) == []
        assert logged(folder) == logged(whole)
        assert record["health"]["resumed_at"] == [saved]
        assert record["budget"]["spent"]["samples"] == 24
        assert [step for step, _ in record["curves"]["loss"]] == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
def test_with_any_number_of_workers(
    clips: Manifest, config_of, undisturbed, state_of, alike, tmp_path: Path
) -> None:
    whole = undisturbed("avid") / "whole"
    execute(config_of("avid", workers=1), clips, tmp_path)
    assert alike(state_of(whole), state_of(tmp_path)) == []
    killed = tmp_path / "killed"  # with one, goes on with two
    shutil.copytree(tmp_path / "checkpoints", killed / "checkpoints")
    last_checkpoint(killed).unlink()
    (killed / "checkpoints" / "best.ckpt").unlink()  # of whichever step has the best of four samples
    before = newest_whole(killed)
    assert peek(before)[0] == 4
    execute(config_of("avid", workers=2), clips, killed, resume=before)
    assert alike(state_of(whole), state_of(killed)) == []


@pytest.mark.parametrize("name", ["brave", "cma", "crisscross", "stica"])
def test_no_methods_losses_depend_on_the_number_of_workers(name: str, clips: Manifest, config_of) -> None:
    """The test above trains one of them; here are the first losses of the others, without a trainer."""
    found = []
    for workers in (0, 2):
        config = config_of(name, workers=workers)
        pl.seed_everything(config.seed, workers=True, verbose=False)
        method = build_method(config, clips).train()
        data = AVDataModule(clips, config.loading, config.seed)
        data.train_views = method.views
        batches = [method.transform_batch(batch) for batch in data.train_dataloader()]
        found.append(torch.stack([method.loss(method(batch), batch)["loss"] for batch in batches]))
    assert len(found[0]) == 3
    assert torch.equal(*found)


@pytest.mark.parametrize(
    ("number", "code", "step"),
    [(signal.SIGTERM, 143, 3), (signal.SIGHUP, 129, 0), (signal.SIGINT, 130, 2)],
)
def test_a_signal_saves_and_ends(
    number: int,
    code: int,
    step: int,
    clips: Manifest,
    config_of,
    undisturbed,
    state_of,
    alike,
    tmp_path: Path,
) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as caught:
        execute(config_of("avid"), clips, tmp_path, callbacks=[Signal(number, step)])
    assert caught.value.code == code
    assert f"is of step {step + 1}, the same command with --resume" in caught.value.said
    assert signal.getsignal(number) == before
    last = last_checkpoint(tmp_path)
    assert peek(last)[0] == step + 1
    execute(config_of("avid"), clips, tmp_path, resume=last)
    whole = undisturbed("avid") / "whole"
    assert alike(state_of(whole), state_of(tmp_path)) == []
    assert logged(tmp_path) == logged(whole)


def test_a_second_ctrl_c_ends_at_once(clips: Manifest, config_of, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted) as caught:
        execute(config_of("supervised", probes=0), clips, tmp_path, callbacks=[Signal(signal.SIGINT, 3, 2)])
    assert caught.value.code == 130
    assert "stopped by SIGINT; " in caught.value.said
    assert "last.ckpt is of step 3, the same command" in caught.value.said, "the step was not ended"
    assert signal.getsignal(signal.SIGINT) == before


def test_another_runs_checkpoint_changes_nothing(
    clips: Manifest, config_of, undisturbed, tmp_path: Path
) -> None:
    folder = shutil.copytree(undisturbed("avid") / "3", tmp_path / "3")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    config, last = config_of("avid"), last_checkpoint(folder)
    with pytest.raises(UserError, match=r"is of another run, which differs in seed \(0 there, 1 here\)"):
        execute(replace(config, seed=1), clips, folder, resume=last)
    with pytest.raises(UserError, match="is of another run, which differs in samples"):
        execute(config, clips.take(range(1, len(clips))), folder, resume=last)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_gathered_gradients_are_never_cut_in_two(
    clips: Manifest, config_of, state_of, alike, tmp_path: Path
) -> None:
    settings = {"accumulate_grad_batches": 2}  # of three batches: the last of an epoch stands alone
    config = replace(config_of("supervised", trainer=settings, probes=0), budget=Budget(steps=4))
    whole, ended = tmp_path / "whole", tmp_path / "ended"
    execute(config, clips, whole)
    with pytest.raises(Interrupted):
        execute(config, clips, ended, callbacks=[Gathering(signal.SIGTERM, 3)])
    assert peek(last_checkpoint(ended))[0] == 3
    execute(config, clips, ended, resume=last_checkpoint(ended))
    assert alike(state_of(whole), state_of(ended)) == []


@pytest.mark.slow
def test_what_comes_with_a_step_comes_once_a_step(
    clips: Manifest, config_of, state_of, alike, monkeypatch, tmp_path: Path
) -> None:
    """With gathered gradients: checkpoints, probes, measurements of collapse, and signals in the first batch."""
    settings, measured, saved = {"accumulate_grad_batches": 3}, [], []
    config = config_of("supervised", trainer=settings, probes=2, checkpoint_every="steps=1")
    config = replace(config, budget=Budget(steps=2))
    monkeypatch.setattr(Collapse, "judge", lambda self, step, *_: measured.append(step))
    save = Checkpoints.save
    monkeypatch.setattr(
        Checkpoints, "save", lambda self, trainer: (saved.append(trainer.global_step), save(self, trainer))
    )
    monkeypatch.setattr(Collapse.__init__, "__defaults__", (512, 1, 3, False))
    record = execute(config, clips, tmp_path / "whole")
    assert sorted(set(measured)) == [1, 2]
    assert len(measured) == 2 * len(record["collapse"])
    assert 0 not in saved
    for curve in record["curves"].values():
        assert len(curve) in (2, 6), "probes; losses of six batches"
    assert [seen for seen, _ in record["curves"]["probe_video"]] == [12, 24]
    ended = tmp_path / "ended"
    with pytest.raises(Interrupted):
        execute(config, clips, ended, callbacks=[Gathering(signal.SIGTERM, 0)])
    assert peek(last_checkpoint(ended))[0] == 1
    execute(config, clips, ended, resume=last_checkpoint(ended))
    assert alike(state_of(tmp_path / "whole"), state_of(ended)) == []


class Late(pl.Callback):
    """Sends a signal when the last step is done."""

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_after_the_last_step_is_heeded_too(clips: Manifest, config_of, tmp_path: Path) -> None:
    config = replace(config_of("supervised", probes=0), budget=Budget(steps=1))
    with pytest.raises(Interrupted, match="143"):
        execute(config, clips, tmp_path, callbacks=[Late()])
    assert not (tmp_path / "record.json").exists()
    assert not (tmp_path / "wandb-id.json").exists(), "nothing of W&B where it is off"
    record = execute(config, clips, tmp_path, resume=last_checkpoint(tmp_path))
    assert record["budget"]["spent"]["steps"] == 1


class Gathering(pl.Callback):
    """Sends a signal while the first batch of a step is computed."""

    def __init__(self, number: int, batch: int) -> None:
        self.number, self.left = number, batch

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if self.left == 0:
            os.kill(os.getpid(), self.number)
        self.left -= 1


@pytest.mark.slow
def test_probes_leave_the_training_as_it_is(
    clips: Manifest, config_of, undisturbed, state_of, tmp_path: Path
) -> None:
    execute(config_of("brave", probes=0), clips, tmp_path)
    never, often = state_of(tmp_path), state_of(undisturbed("brave") / "whole")
    assert often["callbacks"]["OnlineProbe"]["curves"]
    assert all(torch.equal(x, often["state_dict"][k]) for k, x in never["state_dict"].items())
    assert torch.equal(
        never["callbacks"]["Checkpoints"]["random"][0]["torch"],
        often["callbacks"]["Checkpoints"]["random"][0]["torch"],
    )


def test_the_last_ones_and_the_best_are_kept(clips: Manifest, config_of, tmp_path: Path) -> None:
    execute(config_of("supervised", keep=3), clips, tmp_path)
    folder = tmp_path / "checkpoints"
    kept = {path.name: peek(path)[0] for path in folder.iterdir()}
    assert kept.pop("best.ckpt") in (2, 4, 6)  # where the probes measured
    assert kept == {"last.ckpt": 6, "last-1.ckpt": 4, "last-2.ckpt": 3}
    whole = (folder / "last.ckpt").read_bytes()
    (folder / "last.ckpt").write_bytes(whole[: len(whole) // 2])
    found = newest_whole(tmp_path)
    assert found is not None
    assert is_whole(found)
    assert found.name in ("last-1.ckpt", "best.ckpt")
    # What goes on from there does not push it out by the damaged one.
    execute(config_of("supervised", keep=3), clips, tmp_path, resume=folder / "last-1.ckpt")
    assert {path.name: peek(path)[0] for path in folder.iterdir() if path.name != "best.ckpt"} == kept
    assert all(is_whole(path) for path in folder.iterdir())


def test_the_best_one_has_its_name_when_a_training_goes_on(
    clips: Manifest, config_of, tmp_path: Path, monkeypatch
) -> None:
    """Also where it was killed between the two names, after its last step."""
    config = replace(config_of("supervised", probes=1), budget=Budget(steps=1))
    with monkeypatch.context() as m:
        m.setattr("ssl_av.training.saving._same_file", lambda path, name: None)
        execute(config, clips, tmp_path)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["last.ckpt"]
    for _ in range(2):  # a second time it is there
        execute(config, clips, tmp_path, resume=last_checkpoint(tmp_path))
        assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {"last.ckpt", "best.ckpt"}


def test_every_so_many_minutes(
    clips: Manifest, config_of: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from ssl_av.training import saving

    written = []
    write = saving.write_checkpoint

    def note(checkpoint: dict[str, Any], path: Path, keep: int = 1) -> None:
        written.append(checkpoint["global_step"])
        write(checkpoint, path, keep)

    monkeypatch.setattr(saving, "write_checkpoint", note)
    execute(config_of("supervised", checkpoint_every="minutes=1e-9", probes=0), clips, tmp_path / "all")
    assert written == [1, 2, 3, 4, 5, 6]
    written.clear()
    execute(config_of("supervised", checkpoint_every="minutes=60", probes=0), clips, tmp_path / "epochs")
    assert written == [3, 6]
