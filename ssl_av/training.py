"""The training of a run: the trainer, what watches it, and its logs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger

from ssl_av.bench.spending import Plan
from ssl_av.config import RunConfig
from ssl_av.data.datamodule import AVDataModule
from ssl_av.deadline import total_steps
from ssl_av.energy import this_machine
from ssl_av.evaluation.callbacks import Accounting, Clock, Collapse, OnlineProbe
from ssl_av.evaluation.engine import Report
from ssl_av.methods.base import Method
from ssl_av.resume import last_checkpoint


@dataclass
class Training:
    """What watched a training.

    Attributes:
        clock: its seconds.
        accounting: samples, clips, losses.
        probe: the online probes' curves.
        collapse: of its embeddings.
        steps: optimiser steps that were made.
        gpus: that computed.
    """

    clock: Clock
    accounting: Accounting
    probe: OnlineProbe
    collapse: Collapse
    steps: int = 0
    gpus: int = 0

    @classmethod
    def of(cls, config: RunConfig, share: int = 1) -> Training:
        """Before it begins; ``share`` is how many runs there are at once."""
        # The machine's counters do not tell one run from another beside it.
        clock = Clock(this_machine() if share == 1 else None)
        return cls(clock, Accounting(clock), OnlineProbe(config.evaluation.probes), Collapse())


def train(
    config: RunConfig,
    method: Method,
    data: AVDataModule,
    plan: Plan,
    out: Path,
    report: Report | None = None,
    callbacks: list[pl.Callback] | None = None,
    resume: Path | None = None,
    share: int = 1,
) -> Training:
    """Trains a method as far as its budget goes; its last checkpoint and its logs are in ``out``.

    Args:
        config: the run.
        method: what is trained.
        data: what it is trained on.
        plan: how far that is, what was spent before ``resume`` included.
        out: the run's folder.
        report: called as the training goes on.
        callbacks: further Lightning callbacks (a progress bar).
        resume: the checkpoint to continue from (`ssl_av.resume.resumable`).
        share: runs that share this machine.
    """
    watch = Training.of(config, share)
    # Not save_last: with nothing else to save, Lightning does not save that one either.
    checkpoint = ModelCheckpoint(
        out / "checkpoints", filename="last", save_top_k=1, every_n_epochs=1, enable_version_counter=False
    )
    extra = [*(callbacks or []), *([_Reporting(report)] if report else [])]
    settings: dict[str, Any] = {
        **plan.limits(),
        "logger": loggers(config, out),
        "enable_progress_bar": bool(callbacks),
        "enable_model_summary": False,
        **config.trainer,
    }
    trainer = pl.Trainer(
        callbacks=[
            watch.accounting,
            *plan.callbacks(watch.accounting),
            watch.collapse,
            watch.probe,
            checkpoint,
            *extra,
        ],
        profiler=watch.clock,
        **settings,
    )
    trainer.fit(method, datamodule=data, ckpt_path=resume, weights_only=True if resume else None)
    trainer.save_checkpoint(last_checkpoint(out))
    watch.steps = trainer.global_step
    watch.gpus = trainer.num_devices if trainer.strategy.root_device.type == "cuda" else 0
    losses = watch.accounting.losses
    if not all(torch.isfinite(torch.tensor(v)) for _, v in losses[-1:]):
        raise RuntimeError(f"the loss is {losses[-1][1]} at step {watch.steps}")
    return watch


def loggers(config: RunConfig, out: Path) -> list[Logger]:
    """metrics.csv always; W&B when asked, offline without an account."""
    before = out / "metrics.csv"
    if before.is_file():  # a resumed run: the logger would begin the file anew
        before.rename(out / f"metrics.{len(list(out.glob('metrics*.csv')))}.csv")
    found: list[Logger] = [CSVLogger(out, name=None, version="")]
    if config.wandb != "off":
        found.append(
            WandbLogger(
                project="ssl-av",
                name=f"{config.method['name']}-seed{config.seed}",
                group=config.suite or None,
                save_dir=str(out),
                offline=config.wandb == "offline",
                config=config.to_dict(),
            )
        )
    return found


class _Reporting(pl.Callback):
    """Passes the training's progress on."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """After each step."""
        numbers = {
            k: float(v)
            for k, v in trainer.callback_metrics.items()
            if k in ("loss", "data_wait") or "probe" in k
        }
        self.report("training", trainer.global_step, total_steps(trainer), numbers)
