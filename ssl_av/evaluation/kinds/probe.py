"""Classifiers trained by gradient on frozen features of each modality: the linear probe and the shallow MLP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from ssl_av.errors import UserError
from ssl_av.evaluation.kinds import Outcome, Predicted, Splits, register_kind
from ssl_av.evaluation.kinds._labels import need, sides
from ssl_av.evaluation.kinds.linear_svm import normaliser
from ssl_av.evaluation.probes import Features, Probe, measure_probe, train_probe
from ssl_av.evaluation.protocols import Protocol
from ssl_av.evaluation.stacked import Stacked
from ssl_av.methods.settings import Optim


@dataclass(frozen=True)
class Trained(Probe):
    """What a protocol adds to `ssl_av.evaluation.probes.Probe`.

    Attributes:
        normalise: as of the linear SVM: ``standard``, ``l2`` or ``none``; not to be taken for ``norm``, a layer.
        refit: whether validation is trained on too. Nothing is chosen on it.
    """

    optim: Optim = Optim()
    normalise: Literal["standard", "l2", "none"] = "none"
    refit: bool = False


@dataclass(frozen=True)
class Linear(Trained):
    """What the kind ``probe`` fixes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hidden:
            raise UserError("settings.hidden: a linear probe has no hidden layers; give kind: mlp")


@dataclass(frozen=True)
class MLP(Trained):
    """What the kind ``mlp`` fixes."""

    hidden: tuple[int, ...] = (512,)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.hidden:
            raise UserError("settings.hidden: an mlp has a hidden layer at least; give kind: probe for none")


def _splits(settings: Trained) -> tuple[str, ...]:
    return ("train", "val_as_train", "test") if settings.refit else ("train", "val", "test")


@register_kind("mlp", MLP, _splits)
@register_kind("probe", Linear, _splits)
def probe(splits: Splits, protocol: Protocol, classes: int, seed: int) -> Outcome:
    """Top-1, or mAP where samples have several labels, by the mean over a sample's clips, and of single clips.

    Every number is given: nothing is chosen, on whatever split.

    Returns:
        ``{modality: {"top1", "clip_top1", "top1_val"}}``; the last one without ``refit``.
    """
    need(splits, classes)
    s: Trained = protocol.settings
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    outcome = Outcome({})
    for side in sides(protocol.modalities, splits["train"]):
        parts = [splits[name] for name in ("train", "val_as_train") if name in splits]
        scale = _scaling(parts[0].pooled[side], s.normalise)
        x: Features = Stacked([scale(f.pooled[side]) for f in parts])
        model = train_probe(x, np.concatenate([f.label for f in parts]), s, classes, seed=seed, device=device)
        found = {
            name: measure_probe(model, scale(splits[name].pooled[side]), splits[name].label, s)
            for name in ("val", "test")
            if name in splits
        }
        test = found["test"]
        metric = "map" if "map" in test.metrics else "top1"
        kept = {metric, f"clip_{metric}"}
        outcome.results[side] = {k: v for k, v in test.metrics.items() if k in kept}
        if "val" in found:
            outcome.results[side][f"{metric}_val"] = found["val"].metrics[metric]
        outcome.predicted[side] = Predicted(test.target, test.scores)
    return outcome


def _scaling(train: np.ndarray, how: str) -> Callable[[np.ndarray], np.ndarray]:
    """A function that normalises features [N, D] or [N, clips, D] as the training ones ask for."""
    if how == "none":
        return lambda x: x
    width = train.shape[-1]
    scale = normaliser(train.reshape(-1, width), how)
    return lambda x: scale(x.reshape(-1, width)).reshape(x.shape)
