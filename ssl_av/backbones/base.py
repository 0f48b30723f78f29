"""What every backbone offers."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from ssl_av.errors import UserError

Pool = Literal["max", "avg"]


class Backbone(nn.Module):
    """A network from a view to features, without a head (timm's conventions).

    Attributes:
        modality: ``video`` for inputs [B, 3, T, H, W], ``audio`` for inputs [B, 1, time, frequency].
        num_features: C, size of the pooled features.
        stages: names of the blocks in order; sub-modules, for probing each of them.
    """

    modality: ClassVar[str]
    num_features: int
    stages: tuple[str, ...]

    def __init__(self, pooling: str) -> None:
        super().__init__()
        if pooling not in ("max", "avg"):
            raise UserError(f"pool must be 'max' or 'avg', got '{pooling}'")
        self.pooling = pooling

    def forward_features(self, x: Tensor) -> Tensor:
        """The last map, unpooled: [B, C, T', H', W'] for video, [B, C, time', frequency'] for audio."""
        check_layout(x, self.modality)
        for name in self.stages:
            x = self.get_submodule(name)(x)
        return x

    def pool(self, features: Tensor) -> Tensor:
        """Maximum or mean over time and space, [B, C, …] → [B, C]."""
        flat = features.flatten(2)
        return flat.amax(dim=2) if self.pooling == "max" else flat.mean(dim=2)

    def forward(self, x: Tensor) -> Tensor:
        """Pooled features, [B, num_features]."""
        return self.pool(self.forward_features(x))


def check_layout(x: Tensor, modality: str) -> None:
    """Raises a ValueError that says what was given and what is wanted."""
    wanted = {"video": ("[B, 3, T, H, W]", 5, 3), "audio": ("[B, 1, time, frequency]", 4, 1)}
    text, ndim, channels = wanted[modality]
    if x.ndim != ndim or x.shape[1] != channels:
        raise ValueError(f"{modality} backbones take {text}, got {list(x.shape)}")
    if not torch.is_floating_point(x):
        raise ValueError(
            f"{modality} backbones take floating point input, got {x.dtype}: transform the view first"
        )
