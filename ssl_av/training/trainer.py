"""The training of a run: the trainer, what watches it and what guards it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities.exceptions import SIGTERMException

from ssl_av import ranks
from ssl_av.config import RunConfig
from ssl_av.data.datamodule import AVDataModule
from ssl_av.errors import Dismissed, NotFinite, UserError
from ssl_av.evaluation.callbacks import Collapse, OnlineProbe
from ssl_av.evaluation.during import During
from ssl_av.evaluation.engine import Report
from ssl_av.methods.base import Method
from ssl_av.tracking.again import send_missing
from ssl_av.tracking.runs import begin_run
from ssl_av.training.accounting import Accounting, Clock
from ssl_av.training.compiling import compiled, split_compile
from ssl_av.training.deadline import total_steps
from ssl_av.training.energy import this_machine
from ssl_av.training.group import as_one, launched, part
from ssl_av.training.launcher import adopt
from ssl_av.training.logs import loggers, read_rows
from ssl_av.training.nonfinite import PassOver
from ssl_av.training.resume import identity, last_checkpoint, peek
from ssl_av.training.saving import Checkpoints, WholeFiles
from ssl_av.training.signals import Signals
from ssl_av.training.spending import Plan


@dataclass
class Training:
    """What watches a training.

    Attributes:
        clock: its seconds.
        accounting: samples, clips, losses.
        probe: the online probes' curves.
        during: what protocols find while it trains.
        collapse: of its embeddings.
        passed: batches whose loss was not finite.
        checkpoints: of it.
        steps: optimiser steps that were made.
        gpus: that computed.
        processes: that trained together.
        embeddings: measures of the last ones (`Collapse.measure`).
    """

    clock: Clock
    accounting: Accounting
    probe: OnlineProbe
    during: During
    collapse: Collapse
    passed: PassOver
    checkpoints: Checkpoints
    steps: int = 0
    gpus: int = 0
    processes: int = 1
    embeddings: dict[str, dict[str, float]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, config: RunConfig, out: Path, share: int = 1, run: Mapping[str, Any] | None = None
    ) -> Training:
        """Before it begins; ``share`` is how many runs there are at once, ``run`` whose its checkpoints are."""
        # The machine's counters do not tell one run from another beside it.
        clock = Clock(this_machine(int(os.environ.get("LOCAL_RANK", "0"))) if share == 1 else None)
        probe = OnlineProbe(config.evaluation.probes)
        e = config.evaluation
        during = During(e.during, e.every, e.limit, config.seed)
        collapse = Collapse(stop=config.safety.on_collapse == "stop")
        settings = {"budget": config.budget.asked(), "trainer": config.trainer}
        checkpoints = Checkpoints(out, config.safety, probe, settings, run)
        return cls(clock, Accounting(clock), probe, during, collapse, PassOver(), checkpoints)

    @property
    def health(self) -> dict[str, Any]:
        """The record's part about what went wrong and was survived."""
        return {
            "skipped_batches": self.passed.skipped,
            "collapsed": self.collapse.found,
            "resumed_at": self.checkpoints.resumed_at,
            "changed": self.checkpoints.changed,
        }


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
    """Trains a method as far as its budget goes; its checkpoints and its logs are in ``out``.

    Args:
        config: the run.
        method: what is trained.
        data: what it is trained on.
        plan: how far that is, what was spent before ``resume`` included.
        out: the run's folder.
        report: called as the training goes on.
        callbacks: further Lightning callbacks (a progress bar).
        resume: the checkpoint to continue from (`ssl_av.training.resume.resumable`).
        share: runs that share this machine.

    Raises:
        Interrupted: if a signal ended it.
        Dismissed: when it is over, in all but the first of several processes.
    """
    watch = Training.of(config, out, share, identity(config, data.manifest.hash))
    signals, done = Signals(), peek(resume)
    own, backend = split_compile(config.trainer)
    guards = [signals, *([watch.passed] if config.safety.on_nonfinite == "skip" else [])]
    extra = [*(callbacks or []), *([_Reporting(report)] if report else [])]
    settings: dict[str, Any] = {
        **plan.limits(),
        "logger": loggers(config, out, done),
        "enable_progress_bar": bool(callbacks),
        "enable_model_summary": False,
        "use_distributed_sampler": False,  # our own shares an epoch among the ranks
        "plugins": [WholeFiles(config.safety.keep, resume not in (None, last_checkpoint(out)))],
        **launched(),
        **own,
    }
    trainer = pl.Trainer(
        callbacks=[
            watch.accounting,
            *plan.callbacks(watch.accounting),
            watch.collapse,
            watch.probe,
            watch.during,
            *guards,
            watch.checkpoints,
            *extra,
        ],
        profiler=watch.clock,
        **settings,
    )
    adopt(trainer)
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            begin_run(logger)  # has an id from now on
            if done.steps and trainer.is_global_zero:
                send_missing(logger, out, read_rows(out / "metrics.csv")[1])
            watch.checkpoints.wandb = logger.version
    with as_one(trainer, out):
        try:
            with compiled(method, backend):
                trainer.fit(method, datamodule=data, ckpt_path=resume, weights_only=True if resume else None)
        except SIGTERMException as e:
            raise _ended(signals, trainer, out) from e
        except (RuntimeError, UserError) as e:
            # A signal that was heeded here may have ended other processes of the job.
            if signals.number is None or isinstance(e, NotFinite):
                raise
            raise _ended(signals, trainer, out) from e
        watch.checkpoints.save(trainer)
        if ranks.any_of(signals.number is not None):  # it came after the last step
            raise _ended(signals, trainer, out)
        watch.accounting.settle()
        watch.embeddings = watch.collapse.measure()
        part(trainer)
    watch.steps, watch.processes = trainer.global_step, trainer.world_size
    watch.gpus = trainer.world_size if trainer.strategy.root_device.type == "cuda" else 0
    losses = watch.accounting.losses
    if not all(torch.isfinite(torch.tensor(v)) for _, v in losses[-1:]):
        raise RuntimeError(f"the loss is {losses[-1][1]} at step {watch.steps}")
    return watch


def _ended(signals: Signals, trainer: pl.Trainer, out: Path) -> SystemExit:
    """What a signal ends a process with: the first of several says it, and puts a job back into its queue."""
    return Dismissed() if trainer.global_rank else signals.ended(out)


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
