"""Tensors that are updated together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from torch import Tensor

CACHED = 2**18
"""Values that a CPU's cache holds from one operation to the next (measured: benchmarks/optim.py)."""


def chunks(params: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Parameters with a gradient, in lists for torch's ``_foreach`` operations: of one device and type.

    On a CPU a list is at most as long as the cache is large: there the operations save only calls, and over all
    tensors at once each would read everything from memory again.
    """
    alike: dict[tuple[object, object], list[list[Tensor]]] = {}
    sizes: dict[tuple[object, object], int] = {}
    for p in params:
        if p.grad is None:
            continue
        key = (p.device, p.dtype)
        lists = alike.setdefault(key, [])
        size = sizes.get(key, 0) + p.numel()
        if not lists or (p.device.type == "cpu" and size > CACHED):
            lists.append([])
            size = p.numel()
        lists[-1].append(p)
        sizes[key] = size
    for lists in alike.values():
        yield from lists
