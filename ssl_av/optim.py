"""Optimisers of the papers that torch does not have, parameter groups, and schedules by the step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from ssl_av.errors import UserError, unknown

if TYPE_CHECKING:
    from ssl_av.methods.settings import Optim

Parameters = Iterable[Tensor] | Iterable[dict[str, Any]]


class LARS(Optimizer):
    """Layer-wise adaptive rates (You et al. 2017) with (Nesterov) momentum, in BYOL's and BraVe's form.

    For each tensor ``d = g + weight_decay·w``, scaled by ``trust·‖w‖ / ‖d‖`` where both norms are above zero
    and the group has ``adapt``; then momentum on the scaled direction, then the rate. You et al. themselves
    divide by ``‖g‖ + weight_decay·‖w‖``; without decay the two are the same.

    Args:
        params: tensors or groups; a group with ``adapt=False`` is plain SGD (biases and norms: BraVe §4.1).
        lr: learning rate.
        momentum: 0.9 in BraVe.
        weight_decay: added to the gradient before the scaling.
        trust: trust coefficient (0.001).
        nesterov: look ahead.
        adapt: scale by the norms.
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
    ) -> None:
        if lr < 0 or weight_decay < 0 or trust <= 0 or not 0 <= momentum < 1:
            raise ValueError(
                f"LARS: lr {lr}, momentum {momentum}, weight_decay {weight_decay}, trust {trust}"
            )
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust,
                    "nesterov": nesterov, "adapt": adapt}  # fmt: skip
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                d = p.grad.add(p, alpha=group["weight_decay"])
                if group["adapt"]:
                    d = d.mul(_ratio(p.norm(), d.norm(), group["trust"]))
                state = self.state[p]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(p)
                m = state["momentum"].mul_(group["momentum"]).add_(d)
                p.add_(d.add(m, alpha=group["momentum"]) if group["nesterov"] else m, alpha=-group["lr"])
        return loss


class LARC(Adam):
    """Adam under layer-wise adaptive rate clipping (CrissCross G.1, after You et al. 2017).

    Each gradient ``g + weight_decay·w`` is scaled by ``min(trust·‖w‖ / (‖g‖ + weight_decay·‖w‖) / lr, 1)``,
    then Adam takes its step without a decay of its own.

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
            decay = group["weight_decay"]
            decays.append(decay)
            group["weight_decay"] = 0.0  # it is inside the scaled gradient
            for p in group["params"]:
                if p.grad is None:
                    continue
                w, g = p.norm(), p.grad.norm()
                ratio = torch.where(
                    (w > 0) & (g > 0),
                    group["trust"] * w / (g + decay * w + 1e-8),
                    torch.full_like(w, torch.inf),
                )
                if group["clip"]:
                    scale = (ratio / group["lr"]).clamp(max=1.0) if group["lr"] > 0 else torch.ones_like(w)
                else:
                    scale = torch.where(ratio.isinf(), torch.ones_like(w), ratio)
                p.grad.add_(p, alpha=decay).mul_(scale)
        try:
            super().step()
        finally:
            for group, decay in zip(self.param_groups, decays, strict=True):
                group["weight_decay"] = decay
        return loss


def _ratio(weight: Tensor, direction: Tensor, trust: float) -> Tensor:
    """trust·‖w‖/‖d‖; 1 where either norm is zero."""
    return torch.where((weight > 0) & (direction > 0), trust * weight / direction, torch.ones_like(weight))


def parameter_groups(
    module: nn.Module, predictors: Sequence[nn.Module], settings: Optim
) -> list[dict[str, Any]]:
    """Splits parameters by what the papers treat differently: the predictor, and biases with normalisation.

    Groups carry ``name``, and ``constant`` where no schedule applies.
    """
    predictor = {id(p) for head in predictors for p in head.parameters()}
    split: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for p in module.parameters():
        if p.requires_grad:
            plain = p.ndim <= 1 and not settings.decay_all  # biases, and the scales of normalisation
            split.setdefault((id(p) in predictor, plain), []).append(p)
    groups = []
    for (is_predictor, plain), params in sorted(split.items(), key=lambda item: item[0]):
        groups.append(
            {
                "name": ("predictor" if is_predictor else "base") + ("/bias+norm" if plain else ""),
                "params": params,
                "lr": settings.lr * (settings.predictor_scale if is_predictor else 1.0),
                "weight_decay": 0.0 if plain else settings.weight_decay,
                "constant": is_predictor and settings.predictor_constant,
                **({"adapt": not plain} if settings.name == "lars" else {}),
            }
        )
    return groups


def schedule(kind: str, step: int, total: int, warmup: float, end: float) -> float:
    """Factor on the learning rate at a step.

    Args:
        kind: ``cosine`` or ``constant``.
        step: 0 … total - 1.
        total: steps of the training.
        warmup: share of them in which the factor rises linearly from 1/n to 1.
        end: factor that the cosine reaches at ``total``.
    """
    rising = round(warmup * total)
    if step < rising:
        return (step + 1) / (rising + 1)
    if kind == "constant":
        return 1.0
    progress = min((step - rising) / max(total - rising, 1), 1.0)
    return end + (1 - end) * 0.5 * (1 + math.cos(math.pi * progress))


def create_optimizer(
    settings: Optim, module: nn.Module, predictors: Sequence[nn.Module], total_steps: int
) -> dict[str, Any]:
    """Optimiser and per-step schedule in Lightning's form.

    Raises:
        UserError: for an unknown optimiser or schedule.
    """
    builders: dict[str, Callable[..., Optimizer]] = {
        "adam": Adam,
        "adamw": AdamW,
        "sgd": lambda groups: SGD(groups, momentum=0.9),
        "lars": lambda groups: LARS(groups, lr=settings.lr),
        "larc": LARC,
    }
    if settings.name not in builders:
        raise unknown("optimizer", settings.name, builders)
    if settings.schedule not in ("cosine", "constant"):
        raise unknown("schedule", settings.schedule, ("cosine", "constant"))
    if settings.lr <= 0:
        raise UserError(f"optim.lr must be above 0, got {settings.lr}")
    groups = parameter_groups(module, predictors, settings)
    optimizer = builders[settings.name](groups)

    def factor(constant: bool) -> Callable[[int], float]:
        if constant:
            return lambda step: 1.0
        return lambda step: schedule(settings.schedule, step, total_steps, settings.warmup, settings.end)

    scheduler = LambdaLR(optimizer, [factor(g["constant"]) for g in groups])
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
