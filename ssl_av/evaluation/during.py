"""Protocols while a method trains: every so many epochs, on a few samples, and never on test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl

from ssl_av.data.datamodule import AVDataModule
from ssl_av.data.manifest import Manifest
from ssl_av.errors import UserError
from ssl_av.evaluation.engine import measure
from ssl_av.evaluation.kinds import KINDS
from ssl_av.evaluation.protocols import load_protocol
from ssl_av.evaluation.towers import Towers
from ssl_av.methods.base import Method
from ssl_av.training.rng import undisturbed

HELD = 5
"""One in so many of the training samples takes the place of the validation split, where numbers are chosen."""


class During(pl.Callback):
    """What `ssl-av eval` measures, by the same code, on a rehearsal of it: the validation split is tested.

    Time and memory are bounded by ``limit``. The first rank measures; the others wait for it at their next step. The
    training goes on as if nothing had been measured.

    Args:
        protocols: names, files; of the kinds that measure features.
        every: epochs from one measurement to the next.
        limit: samples of the training and of the validation split, evenly spread.
        seed: of the classifiers.

    Attributes:
        found: of each measurement ``step``, ``epoch``, and ``results`` by protocol and side.

    Raises:
        UserError: for a protocol that does not exist, trains the network, or reads a method's memory.
    """

    def __init__(self, protocols: Sequence[str], every: int = 1, limit: int = 256, seed: int = 0) -> None:
        self.protocols = [load_protocol(name).with_clips(1) for name in protocols]
        for p in self.protocols:
            needs = KINDS[p.kind].needs
            why = (
                "trains the network"
                if KINDS[p.kind].trains
                else "reads a memory"
                if "memory" in needs
                else ""
            )
            if why:
                raise UserError(f"evaluation.during: {p.name} {why}; take a protocol on features, e.g. knn")
        self.every, self.limit, self.seed = every, limit, seed
        self.found: list[dict[str, Any]] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measures what a signal at the end of an epoch has left out, before the next one begins."""
        loop, epoch = trainer.fit_loop.epoch_loop, trainer.current_epoch
        between = epoch > 0 and loop.batch_progress.current.ready == 0
        if between and all(e["step"] != trainer.global_step for e in self.found):
            self._measure_after(epoch, trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measures after each ``every`` epochs."""
        self._measure_after(trainer.current_epoch + 1, trainer, pl_module)

    def _measure_after(self, epochs: int, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.protocols and epochs % self.every == 0 and trainer.is_global_zero:
            with undisturbed():
                self.measure(epochs, trainer, pl_module)

    def measure(self, epochs: int, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measures now, after so many epochs; logs ``val/PROTOCOL_SIDE_METRIC`` …"""
        data: AVDataModule = trainer.datamodule  # type: ignore[attr-defined]
        manifest = rehearsal(data.manifest, self.limit)
        modes = [(m, m.training) for m in pl_module.modules()]
        try:
            small = AVDataModule(manifest, data.loading, data.seed)
            measured = measure(Towers(cast(Method, pl_module)), [small], self.protocols, self.seed)
        finally:
            for module, mode in modes:
                module.training = mode
        results = {name: _numbers(sides) for name, sides in measured.results.items()}
        entry = {"step": trainer.global_step, "epoch": epochs, "results": results}
        # A training that was interrupted makes an epoch's end twice.
        self.found = [e for e in self.found if e["step"] != entry["step"]] + [entry]
        logged = {
            f"val/{name}_{side}_{metric}": value
            for name, sides in results.items()
            for side, numbers in (sides.items() if "skipped" not in sides else ())
            for metric, value in numbers.items()
        }
        # At once, not by Lightning after the epoch: a checkpoint that follows would have the measurement behind it, and
        # a training that is killed between the two would go on without its row.
        step = trainer.fit_loop.epoch_loop._batches_that_stepped - 1
        for logger in trainer.loggers if logged else ():
            logger.log_metrics({"epoch": epochs - 1, **logged}, step)
            logger.save()

    def state_dict(self) -> dict[str, Any]:
        """Kept in the checkpoint, so that a resumed run has all of it."""
        return {"found": self.found}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what an interrupted run had found."""
        self.found = state_dict["found"]


def rehearsal(manifest: Manifest, limit: int) -> Manifest:
    """Some samples without the test split: validation is tested, and a part of training stands for validation.

    Args:
        manifest: with a training and a validation split.
        limit: samples of each, evenly spread.
    """
    split = manifest.columns("split")["split"]
    train, val = (_spread(np.flatnonzero(split == name), limit) for name in ("train", "val"))
    names = ["val" if k % HELD == HELD - 1 else "train" for k in range(len(train))] + ["test"] * len(val)
    return manifest.take(np.concatenate([train, val])).divided(names)


def _spread(rows: np.ndarray, limit: int) -> np.ndarray:
    if len(rows) <= limit:
        return rows
    return rows[np.linspace(0, len(rows) - 1, limit).round().astype(int)]


def _numbers(sides: dict[str, Any]) -> dict[str, Any]:
    """What can be drawn as a curve: accuracies and recalls."""
    if "skipped" in sides:
        return {"skipped": sides["skipped"]}
    return {
        side: {
            k: float(v)
            for k, v in found.items()
            if k in ("top1", "map") or (k[:1] == "r" and k[1:].isdigit())
        }
        for side, found in sides.items()
    }
