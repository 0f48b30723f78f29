"""Whether frozen features tell sound that belongs to the picture from sound of another moment of the same sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ssl_av.errors import UserError
from ssl_av.evaluation.kinds import NotApplicableError, Outcome, Results, Splits, register_kind
from ssl_av.evaluation.protocols import Protocol
from ssl_av.evaluation.synchrony import every_pair, sync_accuracy


@dataclass(frozen=True)
class Sync:
    """What the synchrony protocol fixes.

    Attributes:
        parts: of the cross-validation over the test samples; no sample is trained on and tested.
        components: principal components of each modality whose products are learned from.
        cost: C of the logistic regression.
    """

    parts: int = 5
    components: int = 16
    cost: float = 0.1

    def __post_init__(self) -> None:
        if self.parts < 2 or self.components < 1 or self.cost <= 0:
            raise UserError(
                "settings.parts is at least 2, settings.components at least 1 and settings.cost above 0, got "
                f"{self.parts}, {self.components}, {self.cost}"
            )


def _check(p: Protocol) -> None:
    if p.merge != "keep" or (p.test.clips is not None and p.test.clips < 2):
        raise UserError("clips of one sample are told apart: merge must be keep, and test.clips at least 2")


@register_kind("sync", Sync, ("test",), needs=("pooled", "query", "key"), check=_check, both=True)
def sync(splits: Splits, protocol: Protocol, classes: int, seed: int) -> Outcome:
    """Accuracy at telling aligned pairs of clips from shifted ones (`ssl_av.evaluation.synchrony`); chance is 1/2.

    Returns:
        ``features``, of the backbones' features, and ``shared``, of the embeddings in the space that both modalities
        share, where there is one: ``top1``, ``sound_alone`` (the same without the picture, a control), ``chance``.
    """
    test, s = splits["test"], protocol.settings
    if not {"video", "audio"} <= set(test.pooled):
        raise NotApplicableError("pairs need a video and an audio backbone")
    if len(test) < 2 * s.parts:
        raise NotApplicableError(f"{len(test)} test samples are too few to divide into {s.parts}")
    sides = {"features": (test.pooled, test.pooled, "outer"), "shared": (test.query, test.key, "shared")}
    results: Results = {}
    for side, (video, audio, pairs) in sides.items():
        if "video" not in video or "audio" not in audio:
            continue
        found = every_pair(*(np.swapaxes(x, 0, 1) for x in (video["video"], audio["audio"])))
        numbers = sync_accuracy(
            *found, pairs=pairs, folds=s.parts, components=s.components, cost=s.cost, seed=seed
        )
        results[side] = {
            "top1": numbers["accuracy"],
            "sound_alone": numbers["audio_only"],
            "chance": numbers["chance"],
            "pairs": numbers["pairs"],
        }
    return Outcome(results)
