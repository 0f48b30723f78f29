"""Retrieval within a modality by class, and across modalities by sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ssl_av.errors import UserError
from ssl_av.evaluation.kinds import NotApplicableError, Outcome, Results, Splits, register_kind
from ssl_av.evaluation.kinds._labels import averaged, labelled, need, sides
from ssl_av.evaluation.neighbours import hits
from ssl_av.evaluation.protocols import Protocol
from ssl_av.evaluation.rows import selected


@dataclass(frozen=True)
class Retrieval:
    """What the retrieval protocols fix.

    Attributes:
        ranks: the k of R@k.
    """

    ranks: tuple[int, ...] = (1, 5, 20)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ranks", tuple(self.ranks))
        if not self.ranks or min(self.ranks) < 1:
            raise UserError(f"settings.ranks are whole numbers above 0, got {list(self.ranks)}")


@register_kind("retrieval", Retrieval, ("train", "test"))
def retrieval(splits: Splits, protocol: Protocol, classes: int, seed: int) -> Outcome:
    """R@k of test queries in the training split: a neighbour of the same class is a match.

    Cosine between the clips' averaged features (CrissCross E.3).
    """
    need(splits, classes)
    gallery, query = splits["train"], splits["test"]
    if query.label.ndim != 1:
        raise NotApplicableError("samples have several labels; a match is one class")
    g, q = labelled(gallery), labelled(query)
    outcome = Outcome({})
    for side in sides(protocol.modalities, query):
        outcome.results[side] = _recall(
            selected(query.pooled[side], q),
            selected(gallery.pooled[side], g),
            query.label[q],
            gallery.label[g],
            protocol,
            outcome,
            side,
        )
    return outcome


@register_kind("av-retrieval", Retrieval, ("test",), needs=("query", "key"), both=True)
def av_retrieval(splits: Splits, protocol: Protocol, classes: int, seed: int) -> Outcome:
    """R@k across modalities inside the test split: the match is the same sample's other modality.

    Cosine in the space that the method's two modalities share. ``chance_r1`` is 1 / number of samples.
    """
    test = splits["test"]
    if not {"video", "audio"} <= set(test.query):
        raise NotApplicableError("the method has no space that picture and sound share")
    own = np.arange(len(test))
    outcome = Outcome({})
    for query, key in (("audio", "video"), ("video", "audio")):
        side = f"{query}_to_{key}"
        found = _recall(test.query[query], test.key[key], own, own, protocol, outcome, side)
        chance = {f"chance_{name}": min(int(name[1:]) / len(test), 1.0) for name in found}
        outcome.results[side] = found | chance
    return outcome


def _recall(
    query: NDArray[np.float32],
    gallery: NDArray[np.float32],
    query_id: NDArray[np.int64],
    gallery_id: NDArray[np.int64],
    protocol: Protocol,
    outcome: Outcome,
    side: str,
) -> Results:
    """R@k by cosine, in bounded memory; which queries the first of the ranks answers goes to ``outcome``."""
    x, y = (torch.from_numpy(averaged(z)) for z in (query, gallery))
    found = hits(x, y, torch.from_numpy(query_id), torch.from_numpy(gallery_id), protocol.settings.ranks)
    first = min(protocol.settings.ranks)
    outcome.hits[side] = f"r{first}", found[first].numpy()
    return {f"r{k}": float(found[k].double().mean()) for k in protocol.settings.ranks}
