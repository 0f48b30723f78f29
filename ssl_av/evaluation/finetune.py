"""Fine-tuning: a video backbone with a new classifier trained end to end, or the classifier alone on other clips
each epoch."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from ssl_av.data.datamodule import AVDataModule
from ssl_av.data.loader import Loader
from ssl_av.data.manifest import Manifest
from ssl_av.data.views import VideoView
from ssl_av.errors import UserError
from ssl_av.evaluation.finetune_settings import FineTuning
from ssl_av.evaluation.finetuner import FineTuner
from ssl_av.evaluation.probes import Progress
from ssl_av.evaluation.scores import Measured
from ssl_av.methods.settings import Optim
from ssl_av.transforms import VideoAugment


@dataclass
class FineTuned:
    """What `finetune` gives back.

    Attributes:
        model: with the weights that were measured, in eval mode.
        results: by split and head: ``results["test"]["pooled"].metrics["top1"]``.
        steps: of the optimiser, those of ``head_epochs`` included.
        epoch: the epoch whose weights they are, from 1.
        skipped: path → reason of what could not be read.
    """

    model: FineTuner
    results: dict[str, dict[str, Measured]]
    steps: int
    epoch: int
    skipped: dict[str, str] = field(default_factory=dict)


def finetune(
    backbone: nn.Module,
    data: AVDataModule,
    settings: FineTuning,
    *,
    splits: Sequence[str] = ("test",),
    like: VideoAugment | None = None,
    seed: int = 0,
    device: torch.device | str | None = None,
    trainer: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> FineTuned:
    """Trains on the training split and measures others. The test split is never looked at before the end.

    Args:
        backbone: from clips [B, 3, T, H, W] to [B, D]; a copy of it is trained.
        data: samples and how they are read; the batch size and the size of the frames are the settings'.
        settings: of the protocol.
        splits: which ones to measure.
        like: the augmentation whose mean and deviation the backbone's inputs had; the settings' by default.
        seed: of weights, order, clips, augmentation and dropout.
        device: where to compute; the GPU where there is one.
        trainer: further arguments of Lightning's Trainer, such as ``precision``.
        progress: called with (done, total) steps of the training.

    Raises:
        UserError: if the training split has no labels, or a part of the settings does not fit.
    """
    classes = len(data.manifest.classes)
    if classes < 2:
        raise UserError(f"fine-tuning needs labels of at least 2 classes, the data have {classes}")
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    cuda = [where] if where.type == "cuda" else []
    s = settings
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(seed)
        model = FineTuner(copy.deepcopy(backbone), classes, s, like).to(where).train()
        val = sample_loader(data, s, "val") if s.keep == "val" else None
        phases: list[tuple[bool, float, Optim]] = [(s.frozen, s.epochs, s.optim)]
        if s.head_epochs:
            constant = replace(s.optim, schedule="constant", milestones=(), warmup=0.0)
            phases.insert(0, (True, s.head_epochs, constant))
        modules = [_training(data, s, seed + k) for k in range(len(phases))]
        lengths = [_length(module, s, epochs) for module, (_, epochs, _) in zip(modules, phases, strict=True)]
        total, before = sum(steps for _, steps in lengths), 0
        best = _Best(val, progress, total)
        for k, (frozen, _, optim) in enumerate(phases):
            model.frozen, model.optim, model.batch_size = frozen, optim, modules[k].batch_size
            model.epoch_steps, model.total_steps = lengths[k]
            best.before, best.choosing = before, k == len(phases) - 1
            options: dict[str, Any] = {
                "accelerator": "gpu" if cuda else where.type, "devices": [where.index or 0] if cuda else 1,
                "logger": False, "enable_checkpointing": False, "enable_progress_bar": False,
                "enable_model_summary": False,
            } | dict(trainer or {})  # fmt: skip
            callbacks = [best, *options.pop("callbacks", [])]
            lightning = pl.Trainer(max_steps=lengths[k][1], callbacks=callbacks, **options)
            lightning.fit(model.train(), datamodule=modules[k])
            before += lightning.global_step
        model.to(where).eval()
        epoch = best.restore(model, max(round(lengths[-1][1] / lengths[-1][0]), 1))
    loaders = {name: sample_loader(data, s, name) for name in splits}
    results = {name: model.measure(loader) for name, loader in loaders.items()}
    skipped = dict(best.skipped)
    for loader in loaders.values():
        skipped |= loader.bad
    return FineTuned(model, results, before, epoch, skipped)


@dataclass
class Choice:
    """What `choose` gives back.

    Attributes:
        settings: the best ones on validation.
        val: top-1 on validation of all settings, in their order; of several heads the mean.
        tuned: the training with the best ones.
    """

    settings: FineTuning
    val: list[float]
    tuned: FineTuned


def choose(
    backbone: nn.Module,
    data: AVDataModule,
    grid: Sequence[FineTuning],
    *,
    splits: Sequence[str] = ("test",),
    **more: Any,
) -> Choice:
    """Trains with each of some settings and takes what is best on ``val``; only that one is measured elsewhere.

    Args:
        backbone, data: as in `finetune`.
        grid: the settings, such as those of `ssl_av.evaluation.changes.settings_grid`; of equals the first wins.
        splits: which ones to measure besides.
        **more: further arguments of `finetune`.
    """
    if not grid:
        raise UserError("there are no settings to choose from")
    best: FineTuned | None = None
    val: list[float] = []
    for settings in grid:
        done = finetune(backbone, data, settings, splits=("val",), **more)
        val.append(_mean_top1(done.results["val"]))
        if best is None or val[-1] > max(val[:-1]):
            best = done
    assert best is not None
    for name in splits:
        if name not in best.results:
            loader = sample_loader(data, best.model.settings, name)
            best.results[name] = best.model.measure(loader)
            best.skipped |= loader.bad
    return Choice(best.model.settings, val, best)


def _mean_top1(measured: Mapping[str, Measured]) -> float:
    return float(np.mean([m.metrics["top1"] for m in measured.values()]))


def sample_loader(data: AVDataModule, settings: FineTuning, split: str) -> Loader:
    """Batches of a split's labelled samples with all clips that a test has, ``video_0`` …; few samples at a time."""
    s = settings
    few = max(s.batch_size // (s.clips * s.crops), 2)
    loading = replace(data.loading, batch_size=few, decode_size=s.decode_size or s.short)
    module = AVDataModule(_labelled(data.manifest), loading, data.seed)
    if not len(module.manifest.split(split)):
        raise UserError(f"the {split} split has no labelled sample")
    return cast(Loader, module.clips(split, VideoView(s.frames, s.fps, s.size), None, s.clips))


def _training(data: AVDataModule, s: FineTuning, seed: int) -> AVDataModule:
    loading = replace(data.loading, batch_size=s.batch_size, decode_size=s.decode_size or s.short)
    module = AVDataModule(_labelled(data.manifest), loading, seed)
    if s.refit:
        split = module.manifest.columns("split")["split"]
        module.train = module.manifest.take(np.flatnonzero(np.isin(split, ("train", "val"))))
    module.train_views = {"video": VideoView(s.frames, s.fps, s.size)}
    return module


def _length(module: AVDataModule, s: FineTuning, epochs: float) -> tuple[int, int]:
    """Steps of an epoch, and of all."""
    samples = s.epoch_samples or s.passes * len(module.train)
    epoch_steps = max(samples // module.batch_size, 1)
    return epoch_steps, max(round(epochs * epoch_steps), 1)


def _labelled(manifest: Manifest) -> Manifest:
    manifest = manifest.require(video=True)
    rows = np.flatnonzero(manifest.labels >= 0)
    if not len(rows):
        raise UserError("fine-tuning needs one label a sample; the data have none, or several a sample")
    return manifest.take(rows)


class _Best(pl.Callback):
    """Reports the steps; with a validation split keeps the weights of its best epoch, in the computer's memory."""

    def __init__(self, val: Loader | None, progress: Progress | None, total: int) -> None:
        self.val, self.progress, self.total = val, progress, total
        self.before, self.choosing = 0, False
        self.top, self.epoch, self.weights = -1.0, 0, dict[str, Tensor]()
        self.skipped: dict[str, str] = {}

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """After each step."""
        model, step = cast(FineTuner, pl_module), trainer.global_step
        self.skipped |= dict(batch["skipped"])
        if self.progress is not None:
            self.progress(self.before + step, self.total)
        if self.val is None or not self.choosing or not step or step % model.epoch_steps:
            return
        mean = _mean_top1(model.measure(self.val))
        if mean > self.top:
            self.top, self.epoch = mean, step // model.epoch_steps
            self.weights = {k: v.detach().cpu().clone() for k, v in model.state_dict().items()}

    def restore(self, model: FineTuner, last: int) -> int:
        """Loads the best weights, where there are some; the epoch whose weights the model then has."""
        if not self.weights:
            return last
        model.load_state_dict(self.weights)
        return self.epoch
