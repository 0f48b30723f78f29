"""Parameter groups: what the papers treat differently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from ssl_av.methods.settings import Optim


def parameter_groups(
    module: nn.Module, predictors: Sequence[nn.Module], settings: Optim, lr: float | None = None
) -> list[dict[str, Any]]:
    """Splits parameters by what the papers treat differently: the predictor, and biases with normalisation.

    Groups carry ``name``, and ``constant`` where no schedule applies.

    Args:
        module: whose parameters are trained.
        predictors: parts of it with the predictor's rate.
        settings: of the optimiser.
        lr: the rate to use in place of the settings'.
    """
    lr = settings.lr if lr is None else lr
    predictor = {id(p) for head in predictors for p in head.parameters()}
    kinds = parameter_kinds(module)
    excluded = () if settings.decay_all else settings.exclude
    split: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for p in module.parameters():
        if p.requires_grad:
            split.setdefault((id(p) in predictor, kinds[id(p)] in excluded), []).append(p)
    groups = []
    for (is_predictor, plain), params in sorted(split.items(), key=lambda item: item[0]):
        groups.append(
            {
                "name": ("predictor" if is_predictor else "base")
                + ("/" + "+".join(excluded) if plain else ""),
                "params": params,
                "lr": lr * (settings.predictor_scale if is_predictor else 1.0),
                "weight_decay": 0.0 if plain else settings.weight_decay,
                "constant": is_predictor and settings.predictor_constant,
                **({"adapt": not plain} if settings.name == "lars" else {}),
            }
        )
    return groups


def parameter_kinds(module: nn.Module) -> dict[int, str]:
    """``bias``, ``norm`` or ``weight`` for the id of each parameter.

    Only normalisation has one-dimensional parameters besides biases; what shares a module with them, its shift,
    is of the same kind.
    """
    kinds: dict[int, str] = {}
    for part in module.modules():
        own = dict(part.named_parameters(recurse=False))
        scales = any(p.ndim <= 1 and not name.endswith("bias") for name, p in own.items())
        for p in own.values():
            kinds.setdefault(id(p), ("norm" if scales else "bias") if p.ndim <= 1 else "weight")
    return kinds
