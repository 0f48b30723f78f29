"""Residual video networks of torchvision's parts: R3D, R(2+1)D, the slow pathway of SlowFast."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssl_av.backbones.base import Pool
from ssl_av.backbones.registry import register_backbone

if TYPE_CHECKING:
    from ssl_av.backbones.video_resnet import VideoResNetBackbone

BASIC, DEEP = (2, 2, 2, 2), (3, 4, 6, 3)


@register_backbone
def r2plus1d_18_torchvision(width: int = 64, pool: Pool = "avg", in_channels: int = 3) -> VideoResNetBackbone:
    """torchvision's R(2+1)D-18 (31.3M, 31.5M with a classifier: GDT, STiCA, XDC)."""
    from torchvision.models.video.resnet import BasicBlock, Conv2Plus1D

    from ssl_av.backbones.video_resnet import VideoResNetBackbone, factored_stem

    return VideoResNetBackbone(BasicBlock, [Conv2Plus1D] * 4, BASIC, factored_stem, width, pool, in_channels)


@register_backbone
def r2plus1d_18_tran(width: int = 64, pool: Pool = "avg", in_channels: int = 3) -> VideoResNetBackbone:
    """R(2+1)D-18 as published by Tran et al. (BraVe table 6: 33.3M with 400 classes)."""
    from torchvision.models.video.resnet import BasicBlock

    from ssl_av.backbones.video_resnet import Factored, VideoResNetBackbone, factored_stem

    return VideoResNetBackbone(BasicBlock, [Factored] * 4, BASIC, factored_stem, width, pool, in_channels)


@register_backbone
def r2plus1d_50(width: int = 64, pool: Pool = "avg", in_channels: int = 3) -> VideoResNetBackbone:
    """R(2+1)D-50 of bottlenecks (ELo; BraVe table 6: 46.9M with 400 classes)."""
    from torchvision.models.video.resnet import Bottleneck

    from ssl_av.backbones.video_resnet import Factored, VideoResNetBackbone, factored_stem

    return VideoResNetBackbone(Bottleneck, [Factored] * 4, DEEP, factored_stem, width, pool, in_channels)


@register_backbone
def r3d_18(width: int = 64, pool: Pool = "avg", in_channels: int = 3) -> VideoResNetBackbone:
    """torchvision's R3D-18 (CrissCross table 6: 33.4M with 400 classes)."""
    from torchvision.models.video.resnet import BasicBlock, Conv3DSimple

    from ssl_av.backbones.video_resnet import VideoResNetBackbone, full_stem

    return VideoResNetBackbone(BasicBlock, [Conv3DSimple] * 4, BASIC, full_stem, width, pool, in_channels)


@register_backbone
def r3d_50(width: int = 64, pool: Pool = "avg", in_channels: int = 3) -> VideoResNetBackbone:
    """R3D-50, SlowFast's slow pathway (ρBYOL; BraVe table 6: 31.8M).

    No stride in time; kernels of three frames in res4 and res5 only, on the first convolution of each block.
    """
    from ssl_av.backbones.video_resnet import (
        Flat,
        FlatAfterTime,
        SlowBottleneck,
        VideoResNetBackbone,
        slow_stem,
    )

    convs = [Flat, Flat, FlatAfterTime, FlatAfterTime]
    return VideoResNetBackbone(SlowBottleneck, convs, DEEP, slow_stem, width, pool, in_channels)
