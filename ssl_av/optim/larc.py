"""Layer-wise adaptive rate clipping."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam

from ssl_av.optim.chunks import chunks
from ssl_av.optim.lars import Parameters


class LARC(Adam):
    """Adam under layer-wise adaptive rate clipping (CrissCross G.1, after You et al. 2017).

    Each gradient ``g + weight_decay·w`` is scaled by ``min(trust·‖w‖ / (‖g‖ + weight_decay·‖w‖ + 1e-8) / lr, 1)``,
    then Adam takes its step without a decay of its own. A gradient of zeros stays as it is, without decay, and one
    on weights of zeros too: as in NVIDIA's apex, which CrissCross names and uses. (timm's ``Lars`` clips as well,
    but around SGD.)

    Args:
        params: tensors or groups.
        lr: learning rate.
        betas: of Adam.
        eps: of Adam.
        weight_decay: L2.
        trust: trust coefficient (0.001).
        clip: scale by at most 1; without it the ratio itself scales the gradient.
    """

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        trust: float = 0.001,
        clip: bool = True,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)
        # In the groups: attributes are lost when an optimiser is copied or pickled.
        self.defaults.update(trust=trust, clip=clip)
        for group in self.param_groups:
            group.setdefault("trust", trust)
            group.setdefault("clip", clip)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """One update."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        decays = []
        for group in self.param_groups:
            for params in chunks(group["params"]):
                _scale(params, group)
            decays.append(group["weight_decay"])
            group["weight_decay"] = 0.0  # it is inside the scaled gradient
        try:
            super().step()
        finally:
            for group, decay in zip(self.param_groups, decays, strict=True):
                group["weight_decay"] = decay
        return loss


def _scale(params: list[Tensor], group: dict[str, Any]) -> None:
    """Adds the decay to the gradients and scales them in place."""
    grads = [p.grad for p in params if p.grad is not None]
    decay, lr = group["weight_decay"], group["lr"]
    w, g = torch.stack(torch._foreach_norm(params)), torch.stack(torch._foreach_norm(grads))
    scale = group["trust"] * w / (g + decay * w + 1e-8)
    if group["clip"]:
        scale = (scale / lr).clamp(max=1.0) if lr > 0 else torch.ones_like(w)
    scale = torch.where(w > 0, scale, torch.ones_like(w))
    # Where the gradient is zero, zero times the decay that is added to it.
    scale = torch.where(g == 0, torch.zeros_like(w), scale)
    torch._foreach_add_(grads, params, alpha=decay)
    torch._foreach_mul_(grads, scale.unbind())
