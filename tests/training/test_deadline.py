"""Trainings that end by the clock, on a clock of the test's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from ssl_av.evaluation.callbacks import OnlineProbe
from ssl_av.methods.settings import Optim
from ssl_av.optim import create_optimizer
from ssl_av.optim.schedules import schedule
from ssl_av.training.deadline import Deadline, total_steps


class Timed(pl.LightningModule):
    """Each step takes as many seconds as ``lasts`` says of it."""

    def __init__(self, lasts: Any, optim: Optim) -> None:
        super().__init__()
        self.lasts, self.optim, self.clock = lasts, optim, 0.0
        self.layer = torch.nn.Linear(2, 1)
        self.rates: list[float] = []
        self.totals: list[int] = []

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        self.rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])
        self.clock += self.lasts(self.global_step)
        return self.layer(batch).sum()

    def on_train_batch_end(self, *_: Any) -> None:
        self.totals.append(total_steps(self.trainer))

    def configure_optimizers(self) -> Any:
        deadline = next(c for c in self.trainer.callbacks if isinstance(c, Deadline))
        return create_optimizer(self.optim, self, [], deadline.total, epoch_steps=5)


def fit(module: Timed, minutes: float, folder: Path, resume: Path | None = None, **more: Any) -> pl.Trainer:
    trainer = pl.Trainer(
        max_steps=-1, max_epochs=-1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, accelerator="cpu", default_root_dir=folder,
        callbacks=[Deadline(minutes, lambda: module.clock), *more.pop("callbacks", [])], **more,
    )  # fmt: skip
    trainer.fit(module, DataLoader(torch.randn(5, 2)), ckpt_path=resume)
    return trainer


COSINE = Optim(name="sgd", lr=1.0, momentum=0.0, warmup=0.2, schedule="cosine", end=0.1)


def test_it_ends_with_the_step_in_which_the_time_runs_out(tmp_path):
    module = Timed(lambda step: 7.0, COSINE)
    trainer = fit(module, 1.0, tmp_path)
    assert trainer.global_step == 9, "8 steps are 56 seconds, 9 are 63"
    assert len(module.rates) == 9
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.1), "the rate ends with the time"


def test_the_rate_goes_by_the_time_and_not_by_the_steps(tmp_path):
    """Later steps are three times as slow; after half of the time the rate is where half of a training has it."""
    module = Timed(lambda step: 0.5 if step < 60 else 1.5, COSINE)
    trainer = fit(module, 1.0, tmp_path)
    assert trainer.global_step == 80
    known = [schedule("cosine", round(1000 * t), 1000, 0.2, 0.1) for t in (0.25, 0.5, 0.75)]
    # after so many seconds of sixty
    after = [module.rates[step] for step in (30, 60, 70)]
    assert after == pytest.approx(known, abs=0.01)
    assert max(module.rates) == pytest.approx(1.0, abs=0.05)
    assert module.rates[0] < 0.01


def test_of_equal_steps_the_schedule_is_that_of_a_known_number(tmp_path):
    module = Timed(lambda step: 0.6, COSINE)
    fit(module, 1.0, tmp_path)
    wanted = [schedule("cosine", step, 100, 0.2, 0.1) for step in range(1, 100)]
    assert module.rates[1:] == pytest.approx(wanted, abs=0.02)
    assert module.totals == [100] * 100


def test_lengths_in_steps_and_epochs_stay_what_they_are(tmp_path):
    optim = Optim(name="sgd", lr=1.0, schedule="multistep", milestones=("2 epochs", "6 epochs"), gamma=0.5)
    module = Timed(lambda step: 1.0, optim)
    fit(module, 1.0, tmp_path)
    assert module.rates == [1.0] * 10 + [0.5] * 20 + [0.25] * 30


def test_a_training_that_goes_on_has_what_is_left(tmp_path):
    whole = Timed(lambda step: 1.0, COSINE)
    fit(whole, 1.0, tmp_path)
    first = Timed(lambda step: 1.0, COSINE)
    trainer = fit(first, 0.5, tmp_path)
    assert trainer.global_step == 30
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    second = Timed(lambda step: 1.0, COSINE)
    second.clock = 30.0  # what Accounting restores
    trainer = fit(second, 1.0, tmp_path, resume=tmp_path / "half.ckpt")
    assert trainer.global_step == 60
    assert second.rates[1:] == pytest.approx(whole.rates[31:])

    over = Timed(lambda step: 1.0, COSINE)
    over.clock = 60.0
    trainer.save_checkpoint(tmp_path / "over.ckpt")
    trainer = fit(over, 1.0, tmp_path, resume=tmp_path / "over.ckpt")
    assert (trainer.global_step, over.rates) == (60, []), "no time is left: no step is made"


def test_accumulated_batches_end_with_a_whole_step(tmp_path):
    module = Timed(lambda step: 1.0, COSINE)
    trainer = fit(module, 0.1, tmp_path, accumulate_grad_batches=5)
    assert trainer.global_step == 2
    assert module.clock == 10.0


def test_probes_are_spread_over_the_time(tmp_path, monkeypatch):
    seen: list[float] = []
    module = Timed(lambda step: 1.0 if step < 30 else 3.0, COSINE)
    monkeypatch.setattr(OnlineProbe, "probe", lambda self, trainer, pl_module: seen.append(module.clock))
    fit(module, 1.0, tmp_path, callbacks=[OnlineProbe(times=4)])
    assert seen == [15.0, 30.0, 45.0, 60.0]
