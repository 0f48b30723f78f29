"""The network that is fine-tuned: a video backbone and its classifiers, in training and in testing."""

from __future__ import annotations

from typing import Any, cast

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_av.backbones import Backbone
from ssl_av.data.loader import Batch, Loader
from ssl_av.errors import UserError
from ssl_av.evaluation.clips import ClipTransform
from ssl_av.evaluation.finetune_settings import FineTuning
from ssl_av.evaluation.pooling import BlockFeatures
from ssl_av.evaluation.probes import Progress
from ssl_av.evaluation.scores import ClipScores, Measured
from ssl_av.heads import Classifier
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
                raise UserError(
                    f"pool {s.pool}: {type(backbone).__name__} has no pooling that can be changed"
                )
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
        first = next(self.backbone.parameters(), None)
        device = None if first is None else first.device
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
        """Scores of all clips and crops of the samples, by head; the state of the random generators stays.

        Args:
            loader: from `ssl_av.evaluation.finetune.sample_loader`.
            progress: called with (done, total) batches.

        Raises:
            UserError: if not one sample could be read.
        """
        scores = {name: ClipScores(self.classes, average=self.settings.average) for name in self.heads}
        was_training, seen = self.training, 0
        self.eval()
        with torch.random.fork_rng(devices=[]):  # a loader draws a seed when it begins
            for done, batch in enumerate(loader, start=1):
                seen += len(batch["index"])
                if len(batch["index"]):
                    for name, found in self._score(batch).items():
                        scores[name].add(found, batch["label"], batch["index"])
                if progress is not None:
                    progress(done, len(loader))
        self.train(was_training)
        if not seen:
            raise UserError("a split that is to be measured has no labelled sample that can be read")
        return {name: s.compute() for name, s in scores.items()}

    def _score(self, batch: Batch) -> dict[str, Tensor]:
        """Scores by head [B, clips · crops, classes]; one clip of each sample at a time is on the device."""
        s, size = self.settings, len(batch["index"])
        found: dict[str, list[Tensor]] = {name: [] for name in self.heads}
        for k in range(s.clips):
            x = self.clips.tested(batch[f"video_{k}"].to(self.device), batch[f"video_{k}.aspect"])
            for name, y in self(x.flatten(0, 1)).items():
                found[name].append(y.view(size, s.crops, -1))
        return {name: torch.cat(parts, dim=1) for name, parts in found.items()}
