"""What AVID's memory of the training samples is good for: its rows as features, and whom it relates (AVID, CMA)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch

from ssl_av.errors import UserError
from ssl_av.evaluation.diagnostics import pair_chance, related_precision
from ssl_av.evaluation.features import Features
from ssl_av.evaluation.kinds import NotApplicableError, Outcome, Splits, average, register_kind
from ssl_av.evaluation.kinds._labels import labelled, need
from ssl_av.evaluation.kinds.linear_svm import LinearSVM, sweep
from ssl_av.evaluation.protocols import Protocol
from ssl_av.memory import Expansion

HELD = 8
"""One in so many samples of a draw's training part is held back to choose C."""


@dataclass(frozen=True)
class Memory(LinearSVM):
    """What the memory protocol fixes beside the classifier's numbers.

    Attributes:
        share: of the rows that are learned from; the others are tested.
        draws: random divisions, whose results are averaged.
    """

    share: float = 0.7
    draws: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.share < 1 or self.draws < 1:
            raise UserError(
                f"settings.share lies between 0 and 1 and settings.draws is at least 1, got {self.share}, {self.draws}"
            )


@dataclass(frozen=True)
class Related:
    """What the precision of a memory's positives fixes.

    Attributes:
        ranks: the K of precision@K.
        kinds: ways to relate samples: ``agreement`` (CMA eq. 6), ``video``, ``audio``, ``either``.
    """

    ranks: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    kinds: tuple[Expansion, ...] = get_args(Expansion)

    def __post_init__(self) -> None:
        for name in ("ranks", "kinds"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not self.ranks or min(self.ranks) < 1:
            raise UserError(f"settings.ranks are whole numbers above 0, got {list(self.ranks)}")
        if not self.kinds or not set(self.kinds) <= set(get_args(Expansion)):
            raise UserError(f"settings.kinds are of {', '.join(get_args(Expansion))}, got {list(self.kinds)}")


@register_kind("memory", Memory, ("train",), needs=("memory",))
def memory(splits: Splits, protocol: Protocol, classes: int, seed: int) -> Outcome:
    """A linear SVM on the memory's rows: of the picture, of the sound, and of both side by side (AVID table 6).

    The training samples are divided at random, several times; the results are means over the draws, with their
    deviation under ``std``, and each draw's own under ``folds``. C is chosen inside of a draw's training part.
    """
    train = _remembered(splits, classes)
    rows = {
        **train.memory,
        "audio+video": np.concatenate([train.memory["audio"], train.memory["video"]], axis=1),
    }
    s = protocol.settings
    drawn = []
    for k in range(s.draws):
        order = np.random.default_rng([seed, k]).permutation(np.flatnonzero(labelled(train)))
        cut = round(s.share * len(order))
        held = max(cut // HELD, 1)
        parts = {"train": order[held:cut], "val": order[:held], "test": order[cut:]}
        if s.refit:
            parts["val_as_train"] = parts["val"]
        if not all(map(len, parts.values())):
            raise NotApplicableError(f"{len(order)} labelled rows are too few to divide")
        data = {
            name: Features(train.label[part], {side: x[part] for side, x in rows.items()})
            for name, part in parts.items()
        }
        need(data, classes)
        outcome = Outcome({})
        for side in rows:
            sweep(data, side, s, classes, seed, outcome)
        drawn.append(outcome)
    return Outcome(average(drawn, protocol))


@register_kind("cma-precision", Related, ("train",), needs=("memory",))
def precision(splits: Splits, protocol: Protocol, classes: int, seed: int) -> Outcome:
    """Of the K samples that the memory relates to each, the share that have its class (AVID figure 4c).

    Returns:
        ``{"agreement": {"p1": …, "chance": …}, "video": …}``; a K that the data are too few for is left out.
    """
    train = _remembered(splits, classes)
    if train.label.ndim != 1:
        raise NotApplicableError("samples have several labels; a positive is right by one class")
    s = protocol.settings
    video, audio = (torch.from_numpy(train.memory[m]) for m in ("video", "audio"))
    labels = torch.from_numpy(train.label)
    found = related_precision(video, audio, labels, s.ranks, s.kinds)
    if not found:
        raise NotApplicableError(f"{len(train)} rows are too few to relate")
    chance = pair_chance(labels)
    return Outcome({kind: {**numbers, "chance": chance} for kind, numbers in found.items()})


def _remembered(splits: Splits, classes: int) -> Features:
    train = splits["train"]
    if not train.memory:
        raise NotApplicableError("the method has no memory of these training samples")
    need(splits, classes)
    return train
