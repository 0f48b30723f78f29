"""What every backbone offers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import torch
from torch import Tensor, nn

from ssl_av.errors import UserError, unknown

Pool = Literal["max", "avg"]
N = TypeVar("N", bound=nn.Module)


class Backbone(nn.Module):
    """A network from a view to features, without a head (timm's conventions).

    Attributes:
        modality: ``video`` for inputs [B, 3, T, H, W], ``audio`` for inputs [B, 1, time, frequency].
        in_channels: of the input, where it is neither 3 (video) nor 1 (audio): 2 for optical flow.
        num_features: C, size of the pooled features.
        stages: names of the blocks in order; sub-modules, for probing each of them.
        inputs: what it was trained with, fields of `ssl_av.methods.settings.Inputs`; set by `ssl_av.load_backbone`.
        source: the file or the run's folder that it was read from; set likewise.
        smallest: the least extents that a view may have, [T, H, W] or [time, frequency].
    """

    modality: ClassVar[str]
    in_channels: int | None = None
    smallest: tuple[int, ...] | None = None
    num_features: int
    stages: tuple[str, ...]
    inputs: dict[str, Any] | None = None
    source: Path | None = None

    def __init__(self, pooling: str) -> None:
        super().__init__()
        if pooling not in ("max", "avg"):
            raise unknown("pool", str(pooling), ("max", "avg"))
        self.pooling = pooling

    def check(self, x: Tensor) -> None:
        """Raises a ValueError for a view that the network cannot take."""
        check_layout(x, self.modality, self.in_channels, self.smallest)

    def forward_features(self, x: Tensor) -> Tensor:
        """The last map, unpooled: [B, C, T', H', W'] for video, [B, C, time', frequency'] for audio."""
        self.check(x)
        for name in self.stages:
            x = self.get_submodule(name)(x)
        return x

    def forward_stages(self, x: Tensor) -> dict[str, Tensor]:
        """The map after each of `stages`, by name, in order; the last is that of `forward_features`.

        For probes of each block, as AVID's (table 1: ``conv2x`` … ``conv5x``). All maps are kept: where one is
        enough, a forward hook on that stage needs less memory.
        """
        self.check(x)
        maps = {}
        for name in self.stages:
            x = maps[name] = self.get_submodule(name)(x)
        return maps

    def pool(self, features: Tensor) -> Tensor:
        """Maximum or mean over time and space, [B, C, …] → [B, C]."""
        flat = features.flatten(2)
        return flat.amax(dim=2) if self.pooling == "max" else flat.mean(dim=2)

    def forward(self, x: Tensor) -> Tensor:
        """Pooled features, [B, num_features]."""
        return self.pool(self.forward_features(x))


def channels_last(net: N) -> N:
    """Lays the weights of 3D convolutions with the channels last, which speeds them up; others stay as they are.

    ``Module.to(memory_format=torch.channels_last_3d)`` refuses networks that have 2D convolutions too (TSM's).
    """
    for p in net.parameters():
        if p.ndim == 5:
            p.data = p.data.contiguous(memory_format=torch.channels_last_3d)
    return net


def check_layout(
    x: Tensor, modality: str, in_channels: int | None = None, smallest: tuple[int, ...] | None = None
) -> None:
    """Raises a ValueError that says what was given and what is wanted."""
    channels = in_channels or {"video": 3, "audio": 1}[modality]
    shape, ndim = {"video": ("T, H, W", 5), "audio": ("time, frequency", 4)}[modality]
    text = f"[B, {channels}, {shape}]"
    if x.ndim != ndim or x.shape[1] != channels:
        raise ValueError(f"{modality} backbones take {text}, got {list(x.shape)}")
    if not torch.is_floating_point(x):
        raise ValueError(
            f"{modality} backbones take floating point input, got {x.dtype}: transform the view first"
        )
    # Unless the network says otherwise: as wide as the kernel of its stem.
    smallest = smallest or {"video": (1, 7, 7), "audio": (7, 7)}[modality]
    if any(n < least for n, least in zip(x.shape[2:], smallest, strict=True)):
        raise ValueError(
            f"{modality} backbones take {text} of at least {list(smallest)}, got {list(x.shape)}"
        )


def check_counts(name: str, values: object, length: int) -> tuple[int, ...]:
    """``length`` whole numbers above zero.

    Raises:
        UserError: for anything else.
    """
    if not isinstance(values, (tuple, list)) or len(values) != length:
        raise UserError(f"{name} must be {length} numbers, got {values!r}")
    return tuple(check_count(name, v) for v in values)


def check_count(name: str, value: object) -> int:
    """A whole number above zero.

    Raises:
        UserError: for anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UserError(f"{name} must be a whole number above 0, got {value!r}")
    return value
