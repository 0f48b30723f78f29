"""Ridge classifier on frozen features of each modality, and on both side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ssl_av.errors import UserError
from ssl_av.evaluation.kinds import Outcome, Predicted, Splits, register_kind
from ssl_av.evaluation.kinds._labels import accuracy, examples, labelled, need, sides
from ssl_av.evaluation.kinds.linear_svm import decisions, normaliser
from ssl_av.evaluation.protocols import Protocol


@dataclass(frozen=True)
class Ridge:
    """What the ridge protocols fix.

    Attributes:
        alphas: strengths of the penalty; the one with the least squared error on samples left out one by one, of
            training and validation, is used.
        normalise: ``standard``, by mean and deviation of these samples; ``l2``, each vector to length 1; ``none``.
        fusion: whether sound and picture are also measured side by side, where there are both.
    """

    alphas: tuple[float, ...] = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)
    normalise: Literal["standard", "l2", "none"] = "standard"
    fusion: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "alphas", tuple(float(a) for a in self.alphas))
        if not self.alphas or min(self.alphas) <= 0:
            raise UserError(f"settings.alphas are penalties above 0, got {list(self.alphas)}")


@register_kind("ridge", Ridge, ("train", "val_as_train", "test"))
def ridge(splits: Splits, protocol: Protocol, classes: int, seed: int) -> Outcome:
    """Top-1, or mAP where samples have several labels, of scikit-learn's `RidgeClassifierCV` on each modality.

    Training and validation are one set here: leaving out one sample at a time takes the place of a validation split.

    Returns:
        ``{modality: {"top1", "alpha"}}``.
    """
    need(splits, classes)
    outcome = Outcome({})
    found = sides(protocol.modalities, splits["train"])
    for side in found + (["audio+video"] if protocol.settings.fusion and len(found) == 2 else []):
        _measure(splits, side, protocol.settings, classes, outcome)
    return outcome


def _measure(splits: Splits, side: str, settings: Ridge, classes: int, outcome: Outcome) -> None:
    from sklearn.linear_model import RidgeClassifierCV

    kept = {name: labelled(f) for name, f in splits.items()}
    x = {
        name: np.concatenate([f.pooled[m][kept[name]] for m in side.split("+")], axis=-1)
        for name, f in splits.items()
    }
    y = {name: f.label[kept[name]] for name, f in splits.items()}
    parts = ("train", "val_as_train") if len(y["val_as_train"]) else ("train",)
    pairs = [examples(x[part], y[part]) for part in parts]
    rows, labels = (np.concatenate(p) for p in zip(*pairs, strict=True))
    scale = normaliser(rows, settings.normalise)
    # In double precision: the squared features of thousands of samples are summed. Several labels as numbers: of True
    # and False scikit-learn makes +1 and +1 in place of +1 and −1.
    model = RidgeClassifierCV(alphas=settings.alphas).fit(
        scale(rows).astype(np.float64), labels.astype(np.int64)
    )
    predicted = Predicted(y["test"], decisions(model, scale, x["test"], classes))
    outcome.predicted[side] = predicted
    outcome.results[side] = {**accuracy(predicted, classes), "alpha": float(model.alpha_)}
