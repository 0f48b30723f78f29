"""Checkpoints of a training: when they are taken, how they reach the disk, and how many stay."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.utilities.exceptions import SIGTERMException

from ssl_av import ranks
from ssl_av.checks import differences
from ssl_av.data.datamodule import AVDataModule
from ssl_av.evaluation.callbacks import OnlineProbe
from ssl_av.methods.base import Method
from ssl_av.training.resume import between_batches, last_checkpoint
from ssl_av.training.rng import begin_rank, random_state, set_random_state
from ssl_av.training.safety import Safety
from ssl_av.whole import whole_file


def write_checkpoint(checkpoint: dict[str, Any], path: Path, keep: int = 1) -> None:
    """Writes a checkpoint whole or not at all; of the ``keep`` newest the older ones become ``NAME-1``, ``NAME-2`` …"""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path, "wb", before=partial(_make_room, path, keep)) as file:
        torch.save(checkpoint, file)


def _make_room(path: Path, keep: int) -> None:
    """Every file is one older; the newest keeps its name as well until the next one takes it."""
    files = [path, *(path.with_stem(f"{path.stem}-{age}") for age in range(1, keep))]
    for older, newer in zip(files[:1:-1], files[-2:0:-1], strict=True):
        if newer.exists():
            newer.replace(older)
    if keep > 1 and path.exists():
        _same_file(path, files[1])


def _same_file(path: Path, name: Path) -> None:
    """A second name for a file, at once; a copy where the file system has no such names."""
    part = name.with_name(name.name + ".part")
    part.unlink(missing_ok=True)
    if name.exists() and name.samefile(path):
        return  # it has been done, by a process that was killed then: renaming one of two such names does nothing
    try:
        os.link(path, part)
    except OSError:
        shutil.copy2(path, part)
    part.replace(name)


class WholeFiles(TorchCheckpointIO):
    """Lightning's checkpoint files, written by `write_checkpoint`.

    Args:
        keep: how many of the newest stay.
        spoilt: the newest file is not what the training goes on from: it is damaged, and the next one takes its place
            without its becoming an older one, which would push a whole one out.
    """

    def __init__(self, keep: int, spoilt: bool = False) -> None:
        self.keep, self.spoilt = keep, spoilt

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Called by Lightning on the first rank."""
        write_checkpoint(checkpoint, Path(path), 1 if self.spoilt else self.keep)
        self.spoilt = False


class Checkpoints(Checkpoint):
    """Takes checkpoints from which a training goes on as if it had not been interrupted.

    At each epoch's end, every so many steps or minutes, after an online probe better than all before, and when a
    signal ends the training. Each is taken between two batches, with the random state of every rank: what is logged
    of the step before it is on disk, and nothing of the batch after it has happened.

    Args:
        folder: the run's.
        safety: how often.
        probe: its mean over the linear probes says which checkpoint is the best.
        settings: what may be changed when a training goes on, which is told then: budget, trainer.
        run: whose they are (`ssl_av.training.resume.identity`).

    Attributes:
        resumed_at: steps at which the training was continued.
        changed: settings that were others before the training was continued.
    """

    def __init__(
        self,
        folder: Path,
        safety: Safety,
        probe: OnlineProbe,
        settings: Mapping[str, Any] | None = None,
        run: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = last_checkpoint(folder)
        self.unit, self.number = safety.every
        self.probe = probe
        self.settings = json.loads(json.dumps(settings or {}, default=str))
        self.run = dict(run or {})
        self.best = -1.0
        self.resumed_at: list[int] = []
        self.changed: list[str] = []
        self.wandb: str | None = None
        self._log_every = 0
        self._random: list[dict[str, Any]] | None = None
        self._step = self._saved = -1
        self._since = time.monotonic()
        self._due = self._is_best = self._was_best = False

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Lightning's own counters, as they are between two batches."""
        between_batches(checkpoint)
        if trainer.ckpt_path and Path(trainer.ckpt_path) == self.path:
            self._saved = checkpoint["global_step"]

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A training may have been killed before the best checkpoint had its second name; one that is over too."""
        if self._was_best and trainer.ckpt_path and trainer.is_global_zero:
            _same_file(Path(trainer.ckpt_path), self.path.with_name("best.ckpt"))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Goes on after the batches that were seen, none of which is read again."""
        self._since, self._step = time.monotonic(), trainer.global_step
        self._log_every = max(self._log_every, trainer.log_every_n_steps)  # type: ignore[attr-defined]
        if not trainer.ckpt_path:
            begin_rank(trainer.global_rank, 0)
            return
        self.resumed_at.append(trainer.global_step)
        loop, data = trainer.fit_loop, cast(AVDataModule, trainer.datamodule)  # type: ignore[attr-defined]
        data.begin_at(trainer.current_epoch, loop.epoch_loop.batch_progress.current.ready)
        if self._random is not None:
            if len(self._random) == trainer.world_size:
                set_random_state(self._random[trainer.global_rank])
            else:
                if trainer.is_global_zero:
                    print(
                        f"ssl-av: warning: the checkpoint is of {len(self._random)} processes, now there are "
                        f"{trainer.world_size}: the batches are those of then, the random numbers are others",
                        file=sys.stderr,
                    )
                begin_rank(trainer.global_rank, trainer.global_step)
            self._random = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Says whether to save before the next batch: what is logged of this one is not on disk yet."""
        if trainer.global_step == self._step:
            return  # gradients are still being gathered: no training goes on from there
        self._step = trainer.global_step
        self._is_best |= self._better()
        due = self._is_best or self._enough(trainer)
        if trainer.world_size > 1:  # probes and the clock are the first rank's
            due = bool(trainer.strategy.broadcast(due))
        if due and not self._due:
            self._due, self._random = True, ranks.gather_objects(random_state())

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Saves what the batch before has left."""
        if self._due:
            self.save(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves."""
        self.save(trainer)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Saves when a signal ends the training, which it does between two batches; no other exception does."""
        if isinstance(exception, SIGTERMException):
            self.save(trainer)

    def save(self, trainer: pl.Trainer) -> None:
        """Writes the state of now as the newest checkpoint, unless that is what it holds.

        Raises:
            WeightNotFinite: if a weight is NaN or infinite; the file stays as it is.
        """
        if trainer.global_step != self._saved:
            if spoilt := cast(Method, trainer.lightning_module).spoilt():
                raise spoilt
            trainer.save_checkpoint(self.path)
            self._saved, self._since = trainer.global_step, time.monotonic()
        if self._is_best and trainer.is_global_zero:
            _same_file(self.path, self.path.with_name("best.ckpt"))
        self._due = self._is_best = False
        self._random = None

    def _better(self) -> bool:
        """Whether the online probes have just found more than ever before."""
        curves = [c for name, c in self.probe.curves.items() if name.startswith("probe_")]
        if not curves:
            return False
        score = sum(c[-1][1] for c in curves) / len(curves)
        better, self.best = score > self.best, max(score, self.best)
        return better

    def _enough(self, trainer: pl.Trainer) -> bool:
        """Whether so many steps or minutes have gone since the last one."""
        if self.unit == "steps":
            return trainer.global_step % int(self.number) == 0
        return time.monotonic() - self._since >= 60 * self.number

    def state_dict(self) -> dict[str, Any]:
        """Kept in the checkpoint: random states by rank, the best score, the W&B run, how it was continued."""
        random = self._random or ranks.gather_objects(random_state())
        kept = {"resumed_at": self.resumed_at, "settings": self.settings, "changed": self.changed}
        best = {"best": self.best, "is_best": self._is_best}
        logs = {"wandb": self.wandb, "log_every": self._log_every}
        return {"random": random, **best, **logs, "run": self.run, **kept}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores them, the random state when the training begins; says which settings have been changed."""
        self._random, self.best = state_dict["random"], state_dict["best"]
        self._was_best, self._log_every = state_dict.get("is_best", False), state_dict.get("log_every", 0)
        self.resumed_at = state_dict["resumed_at"]
        found = list(differences(state_dict.get("settings", self.settings), self.settings))
        self.changed = [*state_dict.get("changed", []), *found]
        if found and not ranks.own():
            print(f"ssl-av: warning: goes on with other settings: {'; '.join(found)}", file=sys.stderr)
