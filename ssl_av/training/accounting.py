"""What a training spends and leaves out: its clock, its account and its peak memory."""

from __future__ import annotations

import resource
import sys
import time
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.profilers import Profiler

from ssl_av import ranks
from ssl_av.methods.base import Method
from ssl_av.training.deadline import total_steps
from ssl_av.training.energy import Energy


class Clock(Profiler):
    """Adds up the seconds of waiting for data, augmenting and training steps, through Lightning's profiler hooks.

    What a method does before its step (CMA: finding positives) is training too. Probes, logging and checkpoints lie
    between the steps and are not counted.

    Args:
        energy: counters of the machine, which are read around the same times.

    Attributes:
        seconds: by action.
        joules: None where the machine cannot tell.
        counted: whose joules they are.
    """

    WAIT, AUGMENT, PREPARE, STEP = (
        "[_TrainingEpochLoop].train_dataloader_next",
        "batch_to_device",
        "on_train_batch_start",
        "run_training_batch",
    )

    def __init__(self, energy: Energy | None = None) -> None:
        super().__init__()
        self.seconds = dict.fromkeys((self.WAIT, self.AUGMENT, self.PREPARE, self.STEP), 0.0)
        self._energy = energy if energy and energy.parts else None
        self.counted = self._energy.parts if self._energy else ()
        self.joules = 0.0 if self._energy or (energy and not energy.asked) else None
        self._since: dict[str, float] = {}
        self._joules_since = 0.0

    def start(self, action_name: str) -> None:
        """Called by Lightning before an action."""
        name = self._name(action_name)
        if name in self.seconds:
            if self._energy and name == self.WAIT:  # with which each step begins
                self._joules_since = self._energy()
            self._since[name] = time.perf_counter()

    def stop(self, action_name: str) -> None:
        """Called by Lightning after an action."""
        name = self._name(action_name)
        if name in self._since:
            self.seconds[name] += time.perf_counter() - self._since.pop(name)
            if self._energy and self.joules is not None and name == self.STEP:
                self.joules += self._energy() - self._joules_since

    @staticmethod
    def _name(action: str) -> str:
        """Without the class of the strategy or the method, of which there are many."""
        return action.rpartition(".")[2] if action.startswith(("[Strategy]", "[LightningModule]")) else action

    @property
    def total(self) -> float:
        """Seconds of training: waiting, augmenting and steps, without probes and checkpoints."""
        return sum(self.seconds.values())

    @property
    def wait(self) -> float:
        """Seconds of waiting for data."""
        return self.seconds[self.WAIT]


class Accounting(pl.Callback):
    """What a run spends and leaves out. Of several ranks each counts its own until `settle`.

    Attributes:
        clock: seconds of waiting, augmenting and training.
        samples: source videos seen.
        clips: views seen.
        stages: (steps, samples) of each stage, of a method that has several.
        skipped: path → reason of samples that could not be read.
        losses: (step, loss).
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.samples = self.clips = 0
        self.stages: dict[str, tuple[int, int]] = {}
        self._stage = ("", 0)
        self.skipped: dict[str, str] = {}
        self.losses: list[tuple[float, float]] = []

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Notes in which stage the step is made."""
        step, end = trainer.global_step, 0
        for name, steps in cast(Method, pl_module).stages(total_steps(trainer)) or ():
            end += steps
            self._stage = name, step
            if step < end:
                break

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts the step."""
        self.skipped |= dict(batch["skipped"])
        size = len(batch["index"])
        self.samples += size
        stage, begin = self._stage
        if stage:
            steps, samples = self.stages.get(stage, (0, 0))
            self.stages[stage] = steps + trainer.global_step - begin, samples + size
        self.clips += size * len(cast(Method, pl_module).views)
        if outputs and "loss" in outputs:
            self.losses.append((trainer.global_step, float(ranks.mean(outputs["loss"]))))
        share = self.clock.wait / max(self.clock.total, 1e-9)
        pl_module.log("data_wait", share, prog_bar=True, on_step=True, on_epoch=False)

    def staged(self) -> list[dict[str, Any]] | None:
        """The stages for the record; None of a method that has one only."""
        return [{"name": n, "steps": s, "samples": k} for n, (s, k) in self.stages.items()] or None

    def state_dict(self) -> dict[str, Any]:
        """Kept in the checkpoint, so that a resumed run accounts for all of it."""
        return {"losses": self.losses, "seconds": self.clock.seconds, **self._together()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the account of an interrupted run; the first of several ranks has it."""
        state = dict(state_dict)
        for name, value in state.pop("seconds").items():
            self.clock.seconds[name] += value
        before, now = state.pop("joules", None), self.clock.joules
        self.clock.joules = None if before is None or now is None else before + now
        for key, value in state.items():
            setattr(self, key, value)
        if ranks.own():
            self.samples = self.clips = 0
            self.stages = {name: (steps, 0) for name, (steps, _) in self.stages.items()}
            self.skipped, self.clock.joules = {}, now

    def settle(self) -> None:
        """The account of all ranks takes the place of this one's."""
        together = self._together()
        self.clock.joules = together.pop("joules")
        for key, value in together.items():
            setattr(self, key, value)

    def _together(self) -> dict[str, Any]:
        """What all ranks have read and used."""
        own = self.samples, self.clips, self.stages, self.skipped, self.clock.joules
        samples, clips, stages, skipped, joules = zip(*ranks.gather_objects(own), strict=True)
        return {
            "samples": sum(samples),
            "clips": sum(clips),
            "stages": {
                name: (steps, sum(part[name][1] for part in stages)) for name, (steps, _) in stages[0].items()
            },
            "skipped": {path: why for part in skipped for path, why in part.items()},
            "joules": None if None in joules else sum(joules),
        }


def peak_memory_mb() -> float:
    """Peak memory of this process so far: of the GPU where one is used, else resident memory, in MiB."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
