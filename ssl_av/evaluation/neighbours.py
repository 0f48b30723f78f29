"""Exact nearest neighbours by cosine, in bounded memory: kNN classification and retrieval.

What is retrieved is a matter of the features given: the clips' average (CrissCross E.3) or the average of max-pooled
maps (STiCA, GDT). Ties: of two samples that are equally near, the one that comes first in the gallery is nearer.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_av.errors import UserError
from ssl_av.evaluation.precision import full_precision

QUERIES = 1024
GALLERY = 32_768
"""Rows compared at once: 128 MiB of similarities."""


@torch.no_grad()
def nearest(
    query: Tensor,
    gallery: Tensor,
    k: int,
    *,
    skip_self: bool = False,
    device: str | torch.device | None = None,
    chunk: tuple[int, int] = (QUERIES, GALLERY),
) -> tuple[Tensor, Tensor]:
    """The k nearest of the gallery by cosine, nearest first; exact.

    Args:
        query: [Q, D].
        gallery: [G, D].
        k: neighbours; at most as many as there are.
        skip_self: query i is row i of the gallery, and not its own neighbour.
        device: where the products run; that of the query by default. The features may lie elsewhere: they are
            moved chunk by chunk.
        chunk: rows of the query and of the gallery that are compared at once; bounds the memory, and changes
            nothing else beyond the last bit of a cosine.

    Returns:
        Cosines and gallery rows, [Q, k] each, on the query's device.

    Raises:
        UserError: if k is below one, nothing is left to find, or a feature is not finite.
    """
    available = len(gallery) - skip_self
    if k < 1 or available < 1:
        raise UserError(f"neighbours: k = {k} of {available} samples; at least one of each is needed")
    if skip_self and len(query) != len(gallery):
        raise UserError(f"neighbours: skip_self needs one set, got {len(query)} and {len(gallery)} samples")
    for name, x in (("query", query), ("gallery", gallery)):
        _check(name, x, chunk[1])
    k = min(k, available)
    device = query.device if device is None else torch.device(device)
    cosines, rows = [], []
    with full_precision():
        for begin in range(0, len(query), chunk[0]):
            some = F.normalize(query[begin : begin + chunk[0]].to(device).float(), dim=1)
            value = some.new_empty(len(some), 0)
            index = torch.empty(len(some), 0, dtype=torch.long, device=device)
            for at in range(0, len(gallery), chunk[1]):
                others = F.normalize(gallery[at : at + chunk[1]].to(device).float(), dim=1)
                alike = some @ others.T
                if skip_self:
                    own = torch.arange(begin, begin + len(some), device=device) - at
                    inside = ((own >= 0) & (own < len(others))).nonzero()[:, 0]
                    alike[inside, own[inside]] = -torch.inf
                here, where = _top(alike, min(k, len(others)))
                # The earlier chunks' rows come first, so that a stable sort keeps the order of ties.
                value, order = torch.cat([value, here], dim=1).sort(dim=1, descending=True, stable=True)
                index = torch.cat([index, where + at], dim=1).gather(1, order)[:, :k]
                value = value[:, :k]
            cosines.append(value.to(query.device))
            rows.append(index.to(query.device))
    if not cosines:
        return query.new_empty(0, k, dtype=torch.float32), torch.empty(0, k, dtype=torch.long)
    return torch.cat(cosines), torch.cat(rows)


def votes(cosine: Tensor, index: Tensor, labels: Tensor, classes: int, temperature: float) -> Tensor:
    """[Q, classes] sums of exp(cosine / temperature) over the neighbours of each class (Wu et al. 2018).

    Args:
        cosine: [Q, k], nearest first.
        index: [Q, k] rows of the gallery.
        labels: [G] classes of the gallery.
        classes: number of classes.
        temperature: of the votes.
    """
    # The largest vote is scaled to 1: exp cannot overflow and no rank changes.
    weight = torch.exp((cosine - cosine[:, :1]) / temperature)
    return weight.new_zeros(len(cosine), classes).scatter_add_(1, labels[index], weight)


def knn_scores(
    query: Tensor,
    gallery: Tensor,
    labels: Tensor,
    classes: int,
    k: int = 20,
    temperature: float = 0.07,
    *,
    device: str | torch.device | None = None,
    chunk: tuple[int, int] = (QUERIES, GALLERY),
) -> Tensor:
    """Class scores [Q, classes] of a weighted k-nearest-neighbour classifier (Wu et al. 2018).

    Args:
        query: [Q, D].
        gallery: [G, D] features with known ``labels`` [G].
        labels: [G] from 0 to ``classes`` − 1.
        classes: number of classes.
        k: neighbours, at most G are used.
        temperature: of the votes.
        device: where the products run.
        chunk: as in `nearest`.
    """
    if temperature <= 0:
        raise UserError(f"neighbours: the temperature must be positive, got {temperature}")
    if len(labels) != len(gallery) or int(labels.min()) < 0 or int(labels.max()) >= classes:
        raise UserError(
            f"neighbours: {len(gallery)} gallery samples need as many labels from 0 to {classes - 1}; leave out "
            "samples without a label"
        )
    cosine, index = nearest(query, gallery, k, device=device, chunk=chunk)
    return votes(cosine, index, labels.to(cosine.device), classes, temperature)


def hits(
    query: Tensor,
    gallery: Tensor,
    query_id: Tensor,
    gallery_id: Tensor,
    ks: Sequence[int] = (1, 5, 20),
    *,
    skip_self: bool = False,
    device: str | torch.device | None = None,
    chunk: tuple[int, int] = (QUERIES, GALLERY),
) -> dict[int, Tensor]:
    """For each k, whether a match of a query is among its k nearest, [Q] bool: the mean of it is R@k.

    A match has the same id: a class (class match), or the sample's own number (instance match, as across
    modalities).

    Args:
        query: [Q, D].
        gallery: [G, D].
        query_id: [Q] classes or sample numbers.
        gallery_id: [G].
        ks: where to cut; a k above G is cut to G.
        skip_self: as in `nearest`.
        device: where the products run.
        chunk: as in `nearest`.
    """
    if not len(ks) or min(ks) < 1:
        raise UserError(f"retrieval: R@k needs positive k, got {list(ks)}")
    if len(query_id) != len(query) or len(gallery_id) != len(gallery):
        raise UserError(
            f"retrieval: {len(query)} queries with {len(query_id)} ids, a gallery of {len(gallery)} with "
            f"{len(gallery_id)}; one id a sample is needed"
        )
    _, index = nearest(query, gallery, max(ks), skip_self=skip_self, device=device, chunk=chunk)
    match = gallery_id.to(index.device)[index] == query_id.to(index.device)[:, None]
    found = match.cumsum(dim=1) > 0
    return {k: found[:, min(k, found.shape[1]) - 1] for k in ks}


def _top(alike: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """topk with its ties in order: by value, then by column."""
    value, index = alike.topk(k, dim=1)
    # topk may keep any of the columns that tie for the last place: such rows are sorted in full.
    tied = ((alike >= value[:, -1:]).sum(dim=1) > k).nonzero()[:, 0]
    if len(tied):
        full = alike[tied].sort(dim=1, descending=True, stable=True)
        value[tied], index[tied] = full.values[:, :k], full.indices[:, :k]
    index, order = index.sort(dim=1)
    value, order = value.gather(1, order).sort(dim=1, descending=True, stable=True)
    return value, index.gather(1, order)


def _check(name: str, x: Tensor, rows: int) -> None:
    for at in range(0, len(x), rows):
        bad = (~x[at : at + rows].isfinite().all(dim=1)).nonzero()[:, 0]
        if len(bad):
            raise UserError(
                f"neighbours: {name} sample {at + int(bad[0])} of {len(x)} has features that are not a number or "
                "infinite; leave such samples out, or see why the backbone gives them"
            )
