"""The operations of one training step of a method, counted without data or weights.

The method is built on torch's meta device, where a tensor has a shape and no memory, and one step is run there under
torch's own counter. Counted are the multiplications and additions of convolutions and matrix products (two operations
each) of the forward of all views and of the backward from all embeddings. Not counted are the transforms, which make
the views, and the loss on the embeddings: losses draw and decide on values, which meta tensors do not have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from ssl_av.data.views import AudioView, FlowView, View
from ssl_av.methods.base import Method


def step_flops(make: Callable[[], Method], batch_size: int) -> int | None:
    """Operations of the forward and the backward of one batch.

    Args:
        make: builds the method; called under the meta device.
        batch_size: samples a batch.

    Returns:
        The number; None for a method whose forward decides on values, which meta tensors do not have.
    """
    with torch.device("meta"):
        method = make().train()
    try:
        return one_step(method, meta_batch(method, batch_size))[0]
    except (NotImplementedError, RuntimeError) as e:
        if "meta" not in str(e):
            raise
        return None


def one_step(method: Method, batch: dict[str, Tensor]) -> tuple[int, list[int]]:
    """FLOPs of the forward and the backward on transformed views, and the bytes of each tensor kept in between."""
    kept: dict[int, Tensor] = {}
    with FlopCounterMode(display=False) as counter:
        with _NormsByShape(), _kept_for_backward(method, kept):
            embeddings = method(batch)
            total = torch.stack([e.float().sum() for e in embeddings.values()]).sum()
        total.backward()
    return counter.get_total_flops(), [t.untyped_storage().nbytes() for t in kept.values()]


def meta_batch(method: Method, batch_size: int) -> dict[str, Tensor]:
    """The views of a batch as the networks get them, on the meta device."""
    return {name: _input(method, name, view, batch_size) for name, view in method.views.items()}


def _input(method: Method, name: str, view: View, batch_size: int) -> Tensor:
    if isinstance(view, AudioView):
        # The front end is real and quick: one silent sample tells the shape.
        transform: Any = method.transforms[name]
        with torch.no_grad():
            silent = torch.zeros(1, round(view.samples / transform.augment.reach))
            shape = transform.front_end(silent).shape[1:]
    else:
        shape = torch.Size((2 if isinstance(view, FlowView) else 3, view.frames, view.size, view.size))
    return torch.empty(batch_size, *shape, device="meta")


class _NormsByShape(TorchFunctionMode):
    """Batch normalisation on the meta device, which torch takes apart into dozens of operations in Python.

    None of them is counted, and they would take most of the time that the counting does.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.batch_norm and kwargs["training"]:
            x: Tensor = args[0]
            if x.is_meta and x.numel() > x.shape[1]:  # a batch of one value a channel is for torch to refuse
                return _Norm.apply(x, kwargs["weight"], kwargs["bias"])
        return func(*args, **kwargs)


class _Norm(torch.autograd.Function):
    """Shapes and what is kept for the backward: the input, the weight, and two statistics of each channel."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight, x.new_empty(x.shape[1]), x.new_empty(x.shape[1]))
        ctx.bias = bias is not None
        return torch.empty_like(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, _ = ctx.saved_tensors
        of_channel = torch.empty_like(mean)
        return torch.empty_like(x), None if weight is None else of_channel, of_channel if ctx.bias else None


@contextmanager
def _kept_for_backward(method: nn.Module, kept: dict[int, Tensor]) -> Iterator[None]:
    """Collects, by storage, what autograd keeps; parameters and buffers are counted elsewhere."""
    owned = {t.untyped_storage()._cdata for t in [*method.parameters(), *method.buffers()]}

    def pack(t: Tensor) -> Tensor:
        storage = t.untyped_storage()._cdata
        if storage not in owned:
            kept[storage] = t  # holds the storage, so that its address is not used again
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        yield
