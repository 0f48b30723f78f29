"""Labels, clips and accuracies, for every kind that classifies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch

from ssl_av.evaluation.average_precision import class_precision
from ssl_av.evaluation.features import Features
from ssl_av.evaluation.kinds import NotApplicableError, Predicted, Results
from ssl_av.evaluation.rows import each


def labelled(features: Features) -> np.ndarray:
    """Which samples have a label, [N] bool."""
    return np.asarray(features.label >= 0 if features.label.ndim == 1 else features.label.any(axis=1))


def need(splits: Mapping[str, Features], classes: int) -> None:
    """Labels are there, in every split, and of at least two classes to learn from.

    Raises:
        NotApplicableError: if not.
    """
    if classes < 2:
        raise NotApplicableError("the data have no labels of at least two classes")
    for name, features in splits.items():
        if not labelled(features).any() and name != "val_as_train":
            raise NotApplicableError(f"no labelled sample in the {name} split")
    train = splits["train"]
    if train.label.ndim == 1 and len(np.unique(train.label[labelled(train)])) < 2:
        raise NotApplicableError("the training split holds one class only")


def sides(wanted: Iterable[str], features: Features) -> list[str]:
    """The modalities that a protocol measures and a method has, or the blocks of one.

    Raises:
        NotApplicableError: if there is none.
    """
    found = [m for m in features.pooled if m in wanted or m.startswith("block")]
    if not found:
        raise NotApplicableError(f"no {' or '.join(wanted)} backbone")
    return found


def examples(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each clip as an example of its own: [N, K, D] → [N K, D] with every label K times; [N, D] stays."""
    if x.ndim == 2:
        return x, y
    return x.reshape(-1, x.shape[-1]), np.repeat(y, x.shape[1], axis=0)


def averaged(x: np.ndarray) -> np.ndarray:
    """One vector a sample: the mean over its clips, where they were kept."""
    return x if x.ndim == 2 else each(lambda some: some.mean(axis=1, dtype=np.float32), x)


def accuracy(predicted: Predicted, classes: int, top5: bool = False) -> Results:
    """Top-1 (and top-5), or mAP over the classes that occur, where samples have several labels."""
    truth = torch.from_numpy(predicted.truth)
    if truth.ndim == 2:
        return {"map": float(np.nanmean(class_precision(predicted.scores, predicted.truth)))}
    scores = torch.from_numpy(predicted.scores)
    best = scores.argmax(dim=1)
    numbers = {"top1": float((best == truth).double().mean())}  # in single precision 0.6975 is another number
    if top5 and classes > 5:
        five = scores.topk(5, dim=1).indices
        numbers["top5"] = float((five == truth[:, None]).any(dim=1).double().mean())
    return numbers
