"""What a fine-tuning protocol fixes."""

from __future__ import annotations

from dataclasses import dataclass

from ssl_av.errors import UserError, unknown
from ssl_av.evaluation.clips import check_crops
from ssl_av.evaluation.probes import check_head
from ssl_av.evaluation.scores import check_average
from ssl_av.methods.settings import Optim
from ssl_av.transforms import VideoAugment

KEEPS = ("last", "val")


@dataclass(frozen=True)
class FineTuning:
    """A backbone with a classifier trained on labelled clips, end to end or frozen; tested on several clips a sample.

    Attributes:
        frames: frames a clip.
        fps: frames a second.
        size: side in pixels of a training crop.
        test_size: side of a test crop; null is ``size``.
        short: the short side that both are crops of; frames are read at this size squared.
        crop: ``resized`` or ``short``, see `ssl_av.evaluation.clips.ClipTransform`.
        scale_jitter: of ``crop: short``.
        augment: of the training clips.
        optim: optimiser and schedule; ``predictor_scale`` is the factor of the classifier's rate.
        epochs: length of the training.
        epoch_samples: clips an epoch; null is ``passes`` × the training split.
        passes: clips of each training sample in an epoch.
        head_epochs: epochs before that in which the classifier alone is trained, at a constant rate.
        batch_size: clips a step.
        norm: batch normalisation before the classifier: ``none``, ``fixed`` (no parameters) or ``learned``.
        dropout: before the classifier.
        frozen: the backbone is not trained, and stays in eval mode: a linear probe that sees other clips each epoch.
        blocks: with ``frozen``: sizes of the maps of the last blocks, each with a classifier of its own (AVID).
        pool: ``max`` or ``avg`` in place of the backbone's own pooling (CrissCross); null keeps it.
        clips: clips of a tested sample, evenly spaced.
        crops: crops of a tested clip.
        average: over both, see `ssl_av.evaluation.scores.ClipScores`.
        keep: which weights are measured: the ``last`` ones, or those of the epoch that is best on ``val``.
    """

    frames: int = 8
    fps: float = 16.0
    size: int = 224
    test_size: int | None = None
    short: int = 256
    crop: str = "resized"
    scale_jitter: tuple[float, float] = (1.0, 1.0)
    augment: VideoAugment = VideoAugment()
    optim: Optim = Optim(lr=1e-4, weight_decay=0.0)
    epochs: float = 10
    epoch_samples: int | None = None
    passes: int = 1
    head_epochs: float = 0
    batch_size: int = 32
    norm: str = "none"
    dropout: float = 0.0
    frozen: bool = False
    blocks: tuple[int, ...] = ()
    pool: str | None = None
    clips: int = 10
    crops: int = 1
    average: str = "probability"
    keep: str = "last"

    def __post_init__(self) -> None:
        for name in ("blocks", "scale_jitter"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        check_head(self.norm, self.dropout, self.epochs, self.batch_size)
        check_average(self.average)
        check_crops(
            self.crop, self.scale_jitter, self.augment, self.short, max(self.size, self.test_size or 0)
        )
        if self.keep not in KEEPS:
            raise unknown("keep", str(self.keep), KEEPS)
        if self.pool not in (None, "max", "avg"):
            raise unknown("pool", str(self.pool), ("max", "avg"))
        for name in ("frames", "fps", "passes", "clips", "crops"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} must be above 0, got {getattr(self, name)}")
        if self.epoch_samples is not None and self.epoch_samples < 1:
            raise UserError(f"epoch_samples must be above 0, got {self.epoch_samples}")
        if self.keep == "val" and self.epochs < 1:
            raise UserError(f"keep val chooses among whole epochs, there are {self.epochs}")
        if self.blocks and not self.frozen:
            raise UserError("blocks are probed with a frozen backbone: set frozen with them")
        if self.frozen and self.head_epochs:
            raise UserError("head_epochs come before the training of the backbone, which is frozen")
