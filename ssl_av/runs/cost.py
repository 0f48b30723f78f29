"""What a run would cost, found without data or weights: `ssl-av fit --dry-run`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import nn

from ssl_av.config import RunConfig
from ssl_av.methods.base import Method
from ssl_av.runs.run import new_method
from ssl_av.training.flops import meta_batch, one_step

#: float32 values that an optimiser keeps for each parameter.
STATE = {"adam": 2, "adamw": 2, "larc": 2, "sgd": 1, "lars": 1}


@dataclass(frozen=True)
class Cost:
    """What a run would cost.

    Attributes:
        parameters: of each network, and ``total``; a network that two uses share counts once in the total.
        buffers: bytes that are not learned: running statistics, the memory bank.
        samples: videos seen in the whole training; None where the clock alone tells.
        steps: of the optimiser; None where the clock alone tells.
        batch_size: videos a step, of all the batches whose gradients it gathers.
        flops: of one step: forward and backward of all networks on all of them.
        activations: bytes that autograd keeps of one batch's forward for the backward, in float32.
        largest: bytes of the largest of these tensors.
        state: bytes of the optimiser's state.
        mixed: whether activations are stored in 16 bits.
        views: shape of each view of a video, as the networks get it.
        minutes: of a budget of them.
    """

    parameters: dict[str, int]
    buffers: int
    samples: int | None
    steps: int | None
    batch_size: int
    flops: int
    activations: int
    largest: int
    state: int
    mixed: bool
    views: dict[str, tuple[int, ...]] = field(default_factory=dict)
    minutes: float | None = None

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
        assert self.steps is not None, "ask `by_the_clock` first"
        return self.flops * self.steps / (tflops * 1e12) / 3600

    def by_the_clock(self, seconds_a_step: float) -> Cost:
        """The same with the steps that its minutes have room for, if one takes so long; itself, if they are counted."""
        if self.steps is not None or self.minutes is None:
            return self
        steps = max(int(60 * self.minutes / seconds_a_step), 1)
        return replace(self, steps=steps, samples=steps * self.batch_size)


def measure(config: RunConfig, training_samples: int) -> Cost:
    """Runs one step of a run on the meta device (`ssl_av.training.flops` says what is counted).

    Args:
        config: the run.
        training_samples: videos in the training split.

    Raises:
        UserError: as building the method does.
    """
    with torch.device("meta"):
        method = new_method(config, training_samples, classes=2)  # how many there are is not known
    batch_size = min(config.loading.batch_size, training_samples)
    batch = meta_batch(method, batch_size)
    flops, kept = one_step(method.train(), batch)
    accumulated = int(config.trainer.get("accumulate_grad_batches") or 1)
    flops *= accumulated
    steps = config.budget.to_steps(training_samples, batch_size, flops, accumulated)
    precision = str(config.trainer.get("precision", "32-true"))
    parameters = _parameters(method)
    return Cost(
        parameters=parameters,
        buffers=sum(b.nbytes for b in method.buffers()),
        samples=steps and steps * batch_size * accumulated,
        steps=steps,
        batch_size=batch_size * accumulated,
        flops=flops,
        activations=sum(kept),
        largest=max(kept),
        state=4 * STATE.get(method.optim.name, 2) * parameters["total"],
        mixed="16" in precision,
        views={name: tuple(t.shape[1:]) for name, t in batch.items()},
        minutes=config.budget.minutes,
    )


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
