"""Classifiers that are trained by gradient on frozen features: linear probes and the shallow MLP.

The backbone is not here: features come as arrays, which may be mapped from a file. The papers' numbers are
protocols (`ssl_av.evaluation.kinds.probe`). For frozen backbones that see other clips in each epoch see
`ssl_av.evaluation.finetune`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_av.errors import UserError, unknown
from ssl_av.evaluation.scores import ClipScores, Measured, check_average
from ssl_av.evaluation.stacked import Stacked
from ssl_av.heads import Classifier
from ssl_av.methods.settings import Optim
from ssl_av.optim import create_optimizer

#: (done, total) epochs or steps
Progress = Callable[[int, int], None]
#: [N, D] or [N, clips, D]
Features = np.ndarray | Stacked
#: features, and labels [N] (below 0: none) or [N, classes] of 0 and 1 (none of them: no label)
Split = tuple[Features, np.ndarray]

NORMS = ("none", "fixed", "learned")
DRAWS = ("all", "one", "turn")
CHUNK = 4096
"""Clips that are scored at once."""


@dataclass(frozen=True)
class Probe:
    """What a probe fixes.

    Where samples may have several labels it learns by binary cross-entropy, and mean average precision is measured.

    Attributes:
        optim: optimiser and schedule; its lengths may be stated in epochs.
        epochs: passes over the training features.
        batch_size: clips a step.
        norm: batch normalisation of the features: ``none``, ``fixed`` (no parameters) or ``learned``.
        hidden: widths of hidden layers; none is a linear probe.
        dropout: before the last layer.
        draw: which clips of a sample an epoch has: ``all``; ``one`` at random; or in ``turn`` the first in the first
            epoch, the second in the second, and so on: with as many random clips as epochs no clip is seen twice.
        average: over the clips of a tested sample, see `ssl_av.evaluation.scores.ClipScores`.
    """

    optim: Optim = Optim(lr=1e-3, weight_decay=0.0)
    epochs: float = 100
    batch_size: int = 512
    norm: str = "none"
    hidden: tuple[int, ...] = ()
    dropout: float = 0.0
    draw: str = "all"
    average: str = "probability"

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))
        check_head(self.norm, self.dropout, self.epochs, self.batch_size)
        check_average(self.average)
        if self.draw not in DRAWS:
            raise unknown("draw", str(self.draw), DRAWS)
        if any(width < 1 for width in self.hidden):
            raise UserError(f"hidden widths must be above 0, got {list(self.hidden)}")


def check_head(norm: str, dropout: float, epochs: float, batch_size: int) -> None:
    """Raises a `UserError` for what no classifier can be trained with."""
    if norm not in NORMS:
        raise unknown("norm", str(norm), NORMS)
    if not 0 <= dropout < 1:
        raise UserError(f"dropout must be at least 0 and below 1, got {dropout}")
    if not epochs > 0:
        raise UserError(f"epochs must be above 0, got {epochs}")
    if batch_size < 2:
        raise UserError(f"batch_size must be at least 2 (batch normalisation), got {batch_size}")


def probe(
    splits: Mapping[str, Split],
    settings: Probe,
    classes: int | None = None,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> dict[str, Measured]:
    """Trains on ``train`` and measures every other split; nothing is chosen on any of them.

    Args:
        splits: features and labels by name; the splits may have different numbers of clips.
        settings: of the probe.
        classes: number of classes, where the labels do not say (as columns).
        seed: of weights, order, drawn clips and dropout.
        device: where to compute.
        progress: called with (done, total) epochs.

    Raises:
        UserError: if there is no ``train``, or its features or labels cannot be used.
    """
    if "train" not in splits:
        raise UserError(f"a probe needs a split named train, got {', '.join(splits) or 'none'}")
    model = train_probe(*splits["train"], settings, classes, seed=seed, device=device, progress=progress)
    others = {name: split for name, split in splits.items() if name != "train"}
    return {name: measure_probe(model, *split, settings) for name, split in others.items()}


def train_probe(
    x: Features,
    y: np.ndarray,
    settings: Probe,
    classes: int | None = None,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Classifier:
    """A classifier trained on features, in eval mode; arguments as in `probe`.

    One batch is in memory at a time. Each epoch has an order of its own; the clips at its end that do not
    fill a batch are left out of it.
    Samples without a label take no part.
    """
    rows, several = _check(x, y), y.ndim == 2
    count = y.shape[1] if several else classes or int(y.max()) + 1
    if not several and int(y.max()) >= count:
        raise UserError(f"a label is {int(y.max())}, but there are {count} classes (0 to {count - 1})")
    if len(rows) < 2:
        raise UserError(f"a probe needs at least 2 labelled training samples, got {len(rows)}")
    clips = x.shape[1] if x.ndim == 3 and settings.draw == "all" else 1
    batch = min(settings.batch_size, len(rows) * clips)
    epoch_steps = len(rows) * clips // batch
    total = max(round(settings.epochs * epoch_steps), 1)
    rng = np.random.default_rng(seed)
    cuda = [torch.device(device)] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(seed)
        model = Classifier(
            x.shape[-1],
            count,
            norm=settings.norm != "none",
            affine=settings.norm == "learned",
            hidden=settings.hidden,
            dropout=settings.dropout,
        ).to(device)
        built = create_optimizer(settings.optim, model, (), total, epoch_steps, batch)
        optimizer, scheduler = built["optimizer"], built["lr_scheduler"]["scheduler"]
        order = np.empty(0, dtype=np.int64)
        for step in range(total):
            if step % epoch_steps == 0:
                order = rng.permutation(len(rows) * clips)
            at = step % epoch_steps * batch
            items = order[at : at + batch]
            chosen = rows[items // clips]
            if x.ndim == 2:
                values = x[chosen]
            elif settings.draw == "one":
                values = x[chosen, rng.integers(x.shape[1], size=len(chosen))]
            elif settings.draw == "turn":
                values = x[chosen, step // epoch_steps % x.shape[1]]
            else:
                values = x[chosen, items % clips]
            loss = _loss(model(_tensor(values, device)), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            if (step + 1) % epoch_steps == 0 or step + 1 == total:
                if not torch.isfinite(loss):
                    raise UserError(
                        f"the loss of the probe is {loss.item()} after {step + 1} steps: its features are not "
                        f"finite, or the rate {settings.optim.lr} is too high"
                    )
                if progress is not None:
                    progress(math.ceil((step + 1) / epoch_steps), math.ceil(total / epoch_steps))
    return model.eval()


@torch.inference_mode()
def measure_probe(model: Classifier, x: Features, y: np.ndarray, settings: Probe) -> Measured:
    """What a trained classifier makes of a split: every clip scored, then averaged over each sample's clips.

    Args:
        model: from `train_probe`.
        x: [N, D] or [N, clips, D].
        y: as in `train_probe`.
        settings: what the model was trained with.
    """
    rows = _check(x, y)
    if not len(rows):
        raise UserError("a split that is to be measured has no labelled sample")
    weight = next(model.parameters())
    last = model[-1]
    assert isinstance(last, nn.Linear)
    scores = ClipScores(last.out_features, y.ndim == 2, settings.average)
    clips = x.shape[1] if x.ndim == 3 else 1
    size = max(CHUNK // clips, 1)
    for at in range(0, len(rows), size):
        some = rows[at : at + size]
        values = _tensor(x[some], weight.device).view(len(some) * clips, -1)
        target = torch.from_numpy(y[some].astype(np.int64))
        scores.add(model(values).view(len(some), clips, -1), target, torch.from_numpy(some))
    return scores.compute()


def _check(x: Features, y: np.ndarray) -> np.ndarray:
    """The rows that have a label.

    Raises:
        UserError: if the arrays do not fit each other.
    """
    if x.ndim not in (2, 3) or len(x) != len(y):
        raise UserError(
            f"features must be [N, D] or [N, clips, D] with a label a row, got {list(x.shape)} and {list(y.shape)}"
        )
    if y.ndim not in (1, 2):
        raise UserError(f"labels must be [N], or [N, classes] of 0 and 1, got {list(y.shape)}")
    return np.flatnonzero(y >= 0 if y.ndim == 1 else y.any(axis=1))


def _tensor(x: np.ndarray, device: torch.device | str) -> Tensor:
    return torch.from_numpy(np.array(x, dtype=np.float32)).to(device)


def _loss(scores: Tensor, y: np.ndarray) -> Tensor:
    if y.ndim == 2:
        return F.binary_cross_entropy_with_logits(scores, _tensor(y, scores.device))
    return F.cross_entropy(scores, torch.from_numpy(y.astype(np.int64)).to(scores.device))
