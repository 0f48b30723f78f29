"""What several ranks (processes of one training) exchange; on one rank nothing happens."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def count() -> int:
    """How many ranks train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


@torch.no_grad()
def gather(x: Tensor) -> list[Tensor]:
    """The tensor of every rank, in rank order, without gradient. All must have one shape."""
    if count() == 1:
        return [x.detach()]
    out = [torch.empty_like(x) for _ in range(count())]
    dist.all_gather(out, x.detach().contiguous())
    return out


def own_first(x: Tensor, dim: int) -> Tensor:
    """The rows of all ranks along ``dim``: this rank's, with their gradient, then the others' without."""
    if count() == 1:
        return x
    others = gather(x)
    del others[own()]
    return torch.cat([x, *others], dim=dim)


@torch.no_grad()
def mean(x: Tensor) -> Tensor:
    """The mean over the ranks."""
    return torch.stack(gather(x)).mean(dim=0)


def gather_objects(x: Any) -> list[Any]:
    """What every rank holds, in rank order."""
    if count() == 1:
        return [x]
    out: list[Any] = [None] * count()
    dist.all_gather_object(out, x)
    return out


def own() -> int:
    """The number of this rank."""
    return dist.get_rank() if count() > 1 else 0
