"""Layer-wise adaptive rates."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from ssl_av.optim.chunks import chunks

Parameters = Iterable[Tensor] | Iterable[dict[str, Any]]


class LARS(Optimizer):
    """Layer-wise adaptive rates (You et al. 2017) with (Nesterov) momentum, in BYOL's and BraVe's form.

    For each tensor ``d = g + weight_decay·w``, scaled by ``trust·‖w‖ / ‖d‖`` where both norms are above zero
    and the group has ``adapt``; then momentum on the scaled direction, then the rate. You et al. themselves
    divide by ``‖g‖ + weight_decay·‖w‖``; without decay the two are the same.

    timm's ``Lars`` has You et al.'s denominator with 1e-8 added, and adapts a group only where it has a decay or
    always everywhere; it is equal to this one without decay (tested), and not otherwise.

    Args:
        params: tensors or groups; a group with ``adapt=False`` is plain SGD (biases and norms: BraVe §4.1).
        lr: learning rate.
        momentum: 0.9 in BraVe.
        weight_decay: added to the gradient before the scaling.
        trust: trust coefficient (0.001).
        nesterov: look ahead.
        adapt: scale by the norms.
        lr_in_momentum: the rate multiplies what is added to the momentum (You et al., algorithm 1; optax, with
            which BraVe was trained) rather than what is taken from the weights (torch's SGD, BYOL).
    """

    def __init__(
        self,
        params: Parameters,
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = 0.001,
        nesterov: bool = True,
        adapt: bool = True,
        lr_in_momentum: bool = False,
    ) -> None:
        if lr < 0 or weight_decay < 0 or trust <= 0 or not 0 <= momentum < 1:
            raise ValueError(
                f"LARS: lr {lr}, momentum {momentum}, weight_decay {weight_decay}, trust {trust}"
            )
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust,
                    "nesterov": nesterov, "adapt": adapt, "lr_in_momentum": lr_in_momentum}  # fmt: skip
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Completes groups of checkpoints from before there was the field."""
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("lr_in_momentum", False)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for params in chunks(group["params"]):
                self._update(params, group)
        return loss

    def _update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        """Updates tensors of one device and type together."""
        inside = group["lr_in_momentum"]
        grads = [p.grad for p in params if p.grad is not None]
        directions = list(torch._foreach_add(grads, params, alpha=group["weight_decay"]))
        if group["adapt"]:
            w = torch.stack(torch._foreach_norm(params))
            d = torch.stack(torch._foreach_norm(directions))
            ratio = torch.where((w > 0) & (d > 0), group["trust"] * w / d, torch.ones_like(w))
            torch._foreach_mul_(directions, ratio.unbind())
        if inside:
            torch._foreach_mul_(directions, group["lr"])
        velocities = [self._velocity(p) for p in params]
        torch._foreach_mul_(velocities, group["momentum"])
        torch._foreach_add_(velocities, directions)
        if group["nesterov"]:
            torch._foreach_add_(directions, velocities, alpha=group["momentum"])
        else:
            directions = velocities
        torch._foreach_add_(params, directions, alpha=-1.0 if inside else -group["lr"])

    def _velocity(self, p: Tensor) -> Tensor:
        state = self.state[p]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(p)
        velocity: Tensor = state["momentum"]
        return velocity
