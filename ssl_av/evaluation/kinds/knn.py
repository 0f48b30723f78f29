"""Weighted k-nearest-neighbour classification."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ssl_av.errors import UserError
from ssl_av.evaluation.kinds import NotApplicableError, Outcome, Predicted, Splits, register_kind
from ssl_av.evaluation.kinds._labels import accuracy, averaged, labelled, need, sides
from ssl_av.evaluation.neighbours import knn_scores
from ssl_av.evaluation.protocols import Protocol
from ssl_av.evaluation.rows import selected


@dataclass(frozen=True)
class KNN:
    """What the kNN protocols fix.

    Attributes:
        k: neighbours.
        temperature: of their votes, exp(cosine / temperature).
    """

    k: int = 20
    temperature: float = 0.07

    def __post_init__(self) -> None:
        if self.k < 1 or self.temperature <= 0:
            raise UserError(
                f"settings.k and settings.temperature must be above 0, got {self.k}, {self.temperature}"
            )


@register_kind("knn", KNN, ("train", "test"))
def knn(splits: Splits, protocol: Protocol, classes: int, seed: int) -> Outcome:
    """Top-1 and top-5 on test by the neighbours in the training split (Wu et al. 2018)."""
    need(splits, classes)
    train, test = splits["train"], splits["test"]
    if test.label.ndim != 1:
        raise NotApplicableError("samples have several labels; neighbours vote for one class")
    t, q = labelled(train), labelled(test)
    labels = torch.from_numpy(train.label[t])
    outcome = Outcome({})
    for side in sides(protocol.modalities, train):
        queries, gallery = (
            torch.from_numpy(averaged(selected(f.pooled[side], keep))) for f, keep in ((test, q), (train, t))
        )
        s = protocol.settings
        scores = knn_scores(queries, gallery, labels, classes, s.k, s.temperature)
        outcome.predicted[side] = Predicted(test.label[q], scores.numpy())
        outcome.results[side] = accuracy(outcome.predicted[side], classes, top5=True)
    return outcome
