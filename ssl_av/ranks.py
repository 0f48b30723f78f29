"""What several ranks (processes of one training) exchange; on one rank nothing happens.

Every rank must call the same functions in the same order. Batches of ranks may differ in length: a file that cannot be
read is missing in one of them only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


def count() -> int:
    """How many ranks train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def own() -> int:
    """The number of this rank."""
    return dist.get_rank() if count() > 1 else 0


def share(size: int) -> range:
    """This rank's part of ``size`` rows that the ranks work through together."""
    return range(size * own() // count(), size * (own() + 1) // count())


def sizes(n: int) -> list[int]:
    """What every rank gives, in rank order."""
    if count() == 1:
        return [n]
    out = [torch.empty(1, dtype=torch.int64, device=_device()) for _ in range(count())]
    dist.all_gather(out, torch.tensor([n], device=_device()))
    return torch.cat(out).tolist()


@torch.no_grad()
def gather(x: Tensor) -> list[Tensor]:
    """The tensor of every rank, in rank order, without gradient. They may differ in their number of rows."""
    x = x.detach()
    if count() == 1:
        return [x]
    rows = sizes(len(x))
    padded = torch.cat([x, x.new_zeros(max(rows) - len(x), *x.shape[1:])])
    out = [torch.empty_like(padded) for _ in rows]
    dist.all_gather(out, padded)
    return [part[:n] for part, n in zip(out, rows, strict=True)]


class _Gather(torch.autograd.Function):
    """`gather`, through which gradients go back: to each rank the sum of those that all ranks have for its rows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, ...]:
        parts = gather(x)
        ctx.rows = [len(part) for part in parts]
        return tuple(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = torch.cat(gradients).contiguous()
        dist.all_reduce(total)
        return total.split(ctx.rows)[own()]


def own_first(x: Tensor, dim: int) -> Tensor:
    """The rows of all ranks along ``dim``: this rank's, then the others'.

    All of them carry their gradient. It is that of the sum of the losses of all ranks; DDP, which takes the mean of
    the ranks' gradients, makes of it that of the mean of their losses.
    """
    if count() == 1:
        return x
    if x.dtype in (torch.float16, torch.bfloat16):  # as losses are: gradients of all ranks are added up
        x = x.float()
    parts = list(_Gather.apply(x.movedim(dim, 0))) if x.requires_grad else gather(x.movedim(dim, 0))
    mine = parts.pop(own())
    return torch.cat([mine, *parts]).movedim(0, dim)


@torch.no_grad()
def mean(x: Tensor, scale: float = 1.0) -> Tensor:
    """The mean of ``x · scale`` over the ranks, where the scales have the mean 1 (`weight`)."""
    if count() == 1:
        return x.detach()
    total = (x.detach() * scale).to(_device())
    dist.all_reduce(total)
    return (total / count()).to(x.device)


def means(values: dict[str, Tensor], scale: float = 1.0) -> dict[str, Tensor]:
    """`mean` of several numbers at once."""
    if count() == 1:
        return {name: value.detach() for name, value in values.items()}
    found = mean(torch.stack([value.detach().float() for value in values.values()]), scale)
    return dict(zip(values, found.unbind(), strict=True))


def weight(rows: Sequence[int]) -> float:
    """What scales this rank's mean so that the mean over the ranks is that over all their ``rows`` (`sizes`)."""
    return rows[own()] * len(rows) / sum(rows)


def any_of(said: bool) -> bool:
    """Whether one rank says so."""
    return any(sizes(int(said)))


def gather_objects(x: T) -> list[T]:
    """What every rank holds, in rank order."""
    if count() == 1:
        return [x]
    out: list[Any] = [None] * count()
    dist.all_gather_object(out, x)
    return out


def send(x: Tensor) -> None:
    """Overwrites ``x`` by that of the first rank."""
    if count() > 1:
        dist.broadcast(x, src=0)


def _device() -> torch.device:
    """Where the ranks' small numbers must lie."""
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")
