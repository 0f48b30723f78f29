"""What a fine-tuning fixes."""

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
class Tuning:
    """How a classifier is trained on labelled clips, with the backbone or on a frozen one.

    Attributes:
        optim: optimiser and schedule; ``predictor_scale`` is the factor of the classifier's rate.
        epochs: length of the training.
        epoch_samples: clips an epoch; null is ``passes`` × the training split.
        passes: clips of each training sample in an epoch.
        head_epochs: epochs before that in which the classifier alone is trained, at a constant rate.
        batch_size: clips a step.
        norm: batch normalisation before the classifier: ``none``, ``fixed`` (no parameters) or ``learned``.
        dropout: before the classifier.
        blocks: of a frozen backbone: sizes of the maps of the last blocks, each with a classifier of its own (AVID).
        crop: ``resized`` or ``short``, see `ssl_av.evaluation.clips.ClipTransform`.
        scale_jitter: of ``crop: short``.
        test_size: side of a test crop in pixels; null is that of a training crop.
        average: over a tested sample's clips and crops, see `ssl_av.evaluation.scores.ClipScores`.
        keep: which weights are measured: the ``last`` ones, or those of the epoch that is best on ``val``.
        refit: whether the validation split is trained on too.
    """

    optim: Optim = Optim(lr=1e-4, weight_decay=0.0)
    epochs: float = 10
    epoch_samples: int | None = None
    passes: int = 1
    head_epochs: float = 0
    batch_size: int = 32
    norm: str = "none"
    dropout: float = 0.0
    blocks: tuple[int, ...] = ()
    crop: str = "resized"
    scale_jitter: tuple[float, float] = (1.0, 1.0)
    test_size: int | None = None
    average: str = "probability"
    keep: str = "last"
    refit: bool = False

    def __post_init__(self) -> None:
        for name in ("blocks", "scale_jitter"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        check_head(self.norm, self.dropout, self.epochs, self.batch_size)
        check_average(self.average)
        if self.keep not in KEEPS:
            raise unknown("keep", str(self.keep), KEEPS)
        if self.passes < 1:
            raise UserError(f"passes must be above 0, got {self.passes}")
        if self.epoch_samples is not None and self.epoch_samples < 1:
            raise UserError(f"epoch_samples must be above 0, got {self.epoch_samples}")
        if self.keep == "val" and self.epochs < 1:
            raise UserError(f"keep val chooses among whole epochs, there are {self.epochs}")
        if self.keep == "val" and self.refit:
            raise UserError(
                "keep val chooses by the validation split, which refit trains on: take one of them"
            )
        if self.blocks and self.head_epochs:
            raise UserError(
                "head_epochs come before the training of the backbone; blocks are probed on a frozen one"
            )


@dataclass(frozen=True)
class FineTuning(Tuning):
    """A whole fine-tuning: the training, what the backbone sees, and the clips of a test.

    Attributes:
        frames: frames a clip.
        fps: frames a second.
        size: side in pixels of a training crop.
        short: the short side that training and test crops are taken from.
        decode_size: frames are read at this size squared; null is ``short``.
        augment: of the training clips.
        frozen: the backbone is not trained, and stays in eval mode: a linear probe that sees other clips each epoch.
        pool: ``max`` or ``avg`` in place of the backbone's own pooling (CrissCross); null keeps it.
        clips: clips of a tested sample, evenly spaced.
        crops: crops of a tested clip.
    """

    frames: int = 8
    fps: float = 16.0
    size: int = 224
    short: int = 256
    decode_size: int | None = None
    augment: VideoAugment = VideoAugment()
    frozen: bool = False
    pool: str | None = None
    clips: int = 10
    crops: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_crops(
            self.crop, self.scale_jitter, self.augment, self.short, max(self.size, self.test_size or 0)
        )
        if self.pool not in (None, "max", "avg"):
            raise unknown("pool", str(self.pool), ("max", "avg"))
        for name in ("frames", "fps", "clips", "crops"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} must be above 0, got {getattr(self, name)}")
        if self.blocks and not self.frozen:
            raise UserError("blocks are probed with a frozen backbone: set frozen with them")
        if self.frozen and self.head_epochs:
            raise UserError("head_epochs come before the training of the backbone, which is frozen")
