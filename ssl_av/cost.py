"""What a run would cost, found without data or weights: `ssl-av fit --dry-run`.

The method is built on torch's meta device, where a tensor has a shape and no memory, and one step is run there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ssl_av.config import RunConfig
from ssl_av.data.views import AudioView, FlowView, View
from ssl_av.methods.base import Method
from ssl_av.run import new_method

#: float32 values that an optimiser keeps for each parameter.
STATE = {"adam": 2, "adamw": 2, "larc": 2, "sgd": 1, "lars": 1}


@dataclass(frozen=True)
class Cost:
    """What a run would cost.

    Attributes:
        parameters: of each network, and ``total``; a network that two uses share counts once in the total.
        buffers: bytes that are not learned: running statistics, the memory bank.
        samples: videos seen in the whole training.
        steps: of the optimiser.
        batch_size: videos a step.
        flops: of one step: forward and backward of all networks on the whole batch.
        activations: bytes that autograd keeps of one step's forward for the backward, in float32.
        largest: bytes of the largest of these tensors.
        state: bytes of the optimiser's state.
        mixed: whether activations are stored in 16 bits.
    """

    parameters: dict[str, int]
    buffers: int
    samples: int
    steps: int
    batch_size: int
    flops: int
    activations: int
    largest: int
    state: int
    mixed: bool
    views: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def memory(self, devices: int = 1) -> float:
        """Estimated bytes of one GPU of ``devices`` that share the batch.

        Parameters and their gradients (4 bytes each), the optimiser's state, buffers, the tensors that autograd keeps
        (half as many bytes in mixed precision) and, for the backward's own, twice the largest of them.
        """
        fixed = 8 * self.parameters["total"] + self.state + self.buffers
        moving = (self.activations + 2 * self.largest) / devices
        return fixed + moving / (2 if self.mixed else 1)

    def hours(self, tflops: float) -> float:
        """GPU-hours of the training at a sustained speed of ``tflops`` 10¹² operations a second."""
        return self.flops * self.steps / (tflops * 1e12) / 3600


def measure(config: RunConfig, training_samples: int) -> Cost:
    """Runs one step of a run on the meta device.

    The step is the forward of all views and the backward from all embeddings. The loss on the embeddings is left out:
    losses draw and decide on values, which meta tensors do not have, and it is below a thousandth of the networks.

    Args:
        config: the run.
        training_samples: videos in the training split.

    Raises:
        UserError: as building the method does.
    """
    with torch.device("meta"):
        method = new_method(config, training_samples, classes=2)  # how many there are is not known
    batch_size = min(config.loading.batch_size, training_samples)
    steps = config.budget.to_steps(training_samples, batch_size)
    batch = {name: _input(method, name, view, batch_size) for name, view in method.views.items()}
    flops, kept = one_step(method.train(), batch)
    precision = str(config.trainer.get("precision", "32-true"))
    parameters = _parameters(method)
    return Cost(
        parameters=parameters,
        buffers=sum(b.nbytes for b in method.buffers()),
        samples=steps * batch_size,
        steps=steps,
        batch_size=batch_size,
        flops=flops,
        activations=sum(kept),
        largest=max(kept),
        state=4 * STATE.get(method.optim.name, 2) * parameters["total"],
        mixed="16" in precision,
        views={name: tuple(t.shape[1:]) for name, t in batch.items()},
    )


def one_step(method: Method, batch: dict[str, Tensor]) -> tuple[int, list[int]]:
    """FLOPs of the forward and the backward on transformed views, and the bytes of each tensor kept in between."""
    kept: dict[int, Tensor] = {}
    with FlopCounterMode(display=False) as counter:
        with _kept_for_backward(method, kept):
            embeddings = method(batch)
            total = torch.stack([e.float().sum() for e in embeddings.values()]).sum()
        total.backward()
    return counter.get_total_flops(), [t.untyped_storage().nbytes() for t in kept.values()]


def _input(method: Method, name: str, view: View, batch_size: int) -> Tensor:
    """A view as the networks get it, on the meta device."""
    if isinstance(view, AudioView):
        # The front end is real and quick: one silent sample tells the shape.
        transform: Any = method.transforms[name]
        with torch.no_grad():
            silent = torch.zeros(1, round(view.samples / transform.augment.reach))
            shape = transform.front_end(silent).shape[1:]
    else:
        shape = torch.Size((2 if isinstance(view, FlowView) else 3, view.frames, view.size, view.size))
    return torch.empty(batch_size, *shape, device="meta")


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


def _parameters(method: Method) -> dict[str, int]:
    """Parameters of each of the method's networks, two levels deep where it holds several."""
    out: dict[str, int] = {}
    for name, child in method.named_children():
        parts = child.named_children() if isinstance(child, nn.ModuleDict) else [("", child)]
        for part, module in parts:
            count = sum(p.numel() for p in module.parameters())
            if count:
                out[f"{name}.{part}".rstrip(".")] = count
    return out | {"total": sum(p.numel() for p in method.parameters())}
