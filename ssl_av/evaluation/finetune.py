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
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_av.backbones import Backbone
from ssl_av.data.datamodule import AVDataModule
from ssl_av.data.loader import Batch, Loader
from ssl_av.data.manifest import Manifest
from ssl_av.data.views import VideoView
from ssl_av.errors import UserError
from ssl_av.evaluation.clips import ClipTransform
from ssl_av.evaluation.finetune_settings import FineTuning
from ssl_av.evaluation.probes import BlockFeatures, Progress
from ssl_av.evaluation.scores import ClipScores, Measured
from ssl_av.heads import Classifier
from ssl_av.methods.settings import Optim
from ssl_av.optim import create_optimizer
from ssl_av.transforms import VideoAugment


class FineTuner(pl.LightningModule):
    """A backbone and its classifiers: one on the pooled features, or one on each block.

    Args:
        backbone: from clips [B, 3, T, H, W] to [B, D]; it is trained, not a copy of it.
        classes: number of classes.
        settings: of the protocol.
        like: the augmentation whose mean and deviation the backbone's inputs had; the settings' by default.

    Attributes:
        heads: by name, ``pooled`` or ``block1`` ….
    """

    def __init__(
        self, backbone: nn.Module, classes: int, settings: FineTuning, like: VideoAugment | None = None
    ) -> None:
        super().__init__()
        s = self.settings = settings
        if s.pool is not None:
            if not hasattr(backbone, "pooling"):
                raise UserError(f"pool {s.pool}: {type(backbone).__name__} has no pooling that can be changed")
            backbone.pooling = s.pool  # type: ignore[assignment]
        self.classes, self.optim = classes, s.optim
        self.backbone = BlockFeatures(cast(Backbone, backbone), s.blocks) if s.blocks else backbone
        self.clips = ClipTransform(
            s.size, s.short, s.augment, crop=s.crop, scale_jitter=s.scale_jitter, test_size=s.test_size,
            crops=s.crops, like=like,
        )  # fmt: skip
        self.frozen = s.frozen
        self.epoch_steps, self.total_steps, self.batch_size = 1, 1, s.batch_size
        self.heads = nn.ModuleDict(
            {
                name: Classifier(
                    width, classes, norm=s.norm != "none", affine=s.norm == "learned", dropout=s.dropout
                )
                for name, width in self._widths().items()
            }
        )

    def _widths(self) -> dict[str, int]:
        s = self.settings
        was_training = self.backbone.training
        self.backbone.eval()
        device = next(self.backbone.parameters()).device
        with torch.no_grad():
            found = self.features(torch.zeros(1, 3, s.frames, s.size, s.size, device=device))
        self.backbone.train(was_training)
        for x in found.values():
            if x.ndim != 2:
                raise UserError(
                    f"a backbone must give [B, D] for a batch of clips, {type(self.backbone).__name__} gives "
                    f"{list(x.shape)}"
                )
        return {name: x.shape[1] for name, x in found.items()}

    def features(self, x: Tensor) -> dict[str, Tensor]:
        """Features by head; without a gradient where the backbone is frozen."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            found = self.backbone(x)
        return found if isinstance(found, dict) else {"pooled": found}

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Scores by head, [B, classes] of clips as the network sees them."""
        return {name: self.heads[name](f) for name, f in self.features(x).items()}

    def train(self, mode: bool = True) -> FineTuner:
        """Training mode, of a frozen backbone never."""
        super().train(mode)
        self.backbone.train(mode and not self.frozen)
        return self

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor | None:
        """The sum over the heads of their cross-entropies, which share no weight where there are several."""
        if len(batch["index"]) < 2:
            return None
        scores = self(self.clips.augmented(batch["video"], batch["video.aspect"]))
        losses = [F.cross_entropy(x.float(), batch["label"]) for x in scores.values()]
        loss = torch.stack(losses).sum()
        if not torch.isfinite(loss):
            raise UserError(
                f"the loss of the fine-tuning is {loss.item()} at step {self.global_step}; a lower optim.lr than "
                f"{self.optim.lr} may help"
            )
        return loss

    def configure_optimizers(self) -> Any:
        """Of what is not frozen; the classifiers are what `Optim` calls predictor."""
        self.backbone.requires_grad_(not self.frozen)
        return create_optimizer(
            self.optim, self, [self.heads], self.total_steps, self.epoch_steps, self.batch_size
        )

    @torch.inference_mode()
    def measure(self, loader: Loader, progress: Progress | None = None) -> dict[str, Measured]:
        """Scores of all clips and crops of the samples, by head.

        Args:
            loader: from `sample_loader`.
            progress: called with (done, total) batches.

        Raises:
            UserError: if not one sample could be read.
        """
        s = self.settings
        was_training = self.training
        self.eval()
        scores = {name: ClipScores(self.classes, average=s.average) for name in self.heads}
        seen = 0
        for done, batch in enumerate(loader, start=1):
            size = len(batch["index"])
            seen += size
            found: dict[str, list[Tensor]] = {name: [] for name in self.heads}
            for k in range(s.clips if size else 0):
                x = self.clips.tested(batch[f"video_{k}"].to(self.device), batch[f"video_{k}.aspect"])
                for name, y in self(x.flatten(0, 1)).items():
                    found[name].append(y.view(size, s.crops, -1))
            for name, parts in found.items():
                if parts:
                    scores[name].add(torch.cat(parts, dim=1), batch["label"], batch["index"])
            if progress is not None:
                progress(done, len(loader))
        self.train(was_training)
        if not seen:
            raise UserError("a split that is to be measured has no labelled sample that can be read")
        return {name: s.compute() for name, s in scores.items()}


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
        raise UserError("fine-tuning needs labels of at least 2 classes, the data have " + (str(classes) or "none"))
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
                "accelerator": "gpu" if cuda else where.type, "devices": 1, "logger": False,
                "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False,
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


def sample_loader(data: AVDataModule, settings: FineTuning, split: str) -> Loader:
    """Batches of a split's labelled samples with all clips that a test has, ``video_0`` …; few samples at a time."""
    s = settings
    few = max(s.batch_size // (s.clips * s.crops), 2)
    module = AVDataModule(
        _labelled(data.manifest), replace(data.loading, batch_size=few, decode_size=s.short), data.seed
    )
    if not len(module.manifest.split(split)):
        raise UserError(f"the {split} split has no labelled sample")
    return cast(Loader, module.clips(split, VideoView(s.frames, s.fps, s.size), None, s.clips))


def _training(data: AVDataModule, s: FineTuning, seed: int) -> AVDataModule:
    loading = replace(data.loading, batch_size=s.batch_size, decode_size=s.short)
    module = AVDataModule(_labelled(data.manifest), loading, seed)
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
        if self.val is not None and self.choosing and step and step % model.epoch_steps == 0:
            found = [m.metrics["top1"] for m in model.measure(self.val).values()]
            if (mean := float(np.mean(found))) > self.top:
                self.top, self.epoch = mean, step // model.epoch_steps
                self.weights = {k: v.detach().cpu().clone() for k, v in model.state_dict().items()}

    def restore(self, model: FineTuner, last: int) -> int:
        """Loads the best weights, where there are some; the epoch whose weights the model then has."""
        if not self.weights:
            return last
        model.load_state_dict(self.weights)
        return self.epoch
