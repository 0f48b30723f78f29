"""AVID's own R(2+1)D video networks; Tran et al.'s are in `resnet3d`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from ssl_av.backbones.base import Backbone, Pool, check_count, check_counts
from ssl_av.backbones.registry import register_backbone
from ssl_av.errors import UserError

Triple = tuple[int, int, int]
STEM: Triple = (3, 7, 7)


class Block(nn.Module):
    """Two factored 3×3×3 convolutions with a residual (AVID table 9 and 10).

    Each is (1, 3, 3) then (3, 1, 1) with as many planes in the middle as at the end. The sum has one batch
    norm; where the shape changes, the residual is a 1×1×1 convolution without one.
    """

    def __init__(self, inputs: int, outputs: int, stride: Triple) -> None:
        super().__init__()
        t, h, w = stride
        self.convs = nn.Sequential(
            nn.Conv3d(inputs, outputs, (1, 3, 3), (1, h, w), (0, 1, 1), bias=False),
            nn.BatchNorm3d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv3d(outputs, outputs, (3, 1, 1), (t, 1, 1), (1, 0, 0), bias=False),
            nn.BatchNorm3d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv3d(outputs, outputs, (1, 3, 3), 1, (0, 1, 1), bias=False),
            nn.BatchNorm3d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv3d(outputs, outputs, (3, 1, 1), 1, (1, 0, 0), bias=False),
        )
        changes = inputs != outputs or stride != (1, 1, 1)
        self.residual = nn.Conv3d(inputs, outputs, 1, stride, bias=False) if changes else nn.Identity()
        self.norm = nn.BatchNorm3d(outputs)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.norm(self.convs(x) + self.residual(x)))


class R2Plus1D(Backbone):
    """AVID's R(2+1)D: a full 3×7×7 stem, then four stages of factored blocks.

    Args:
        blocks: blocks in each of the four stages.
        width: channels of the first stage; doubled at each later one.
        pool: ``max`` (AVID) or ``avg`` (CrissCross).
        time_strides: stride in time of each stage; the papers' is (1, 2, 2, 2).
        in_channels: 3 for RGB, 2 for optical flow.
        stem_pool: max-pool after the stem (AVID table 10 and its code); AVID table 9 has none.
        stem: kernel of the first convolution, odd. The papers' is (3, 7, 7); on small frames (3, 3, 3) costs a third
            of the whole network less.
    """

    modality = "video"

    def __init__(
        self,
        blocks: Sequence[int],
        width: int,
        pool: Pool,
        time_strides: Sequence[int],
        in_channels: int = 3,
        stem_pool: bool = True,
        stem: Sequence[int] = STEM,
    ) -> None:
        super().__init__(pool)
        self.in_channels = check_count("in_channels", in_channels)
        width = check_count("width", width)
        blocks, time_strides = (
            check_counts("blocks", blocks, 4),
            check_counts("time_strides", time_strides, 4),
        )
        kernel = cast(Triple, check_counts("stem", stem, 3))
        if not all(k % 2 for k in kernel):
            raise UserError(f"stem must be 3 odd numbers, got {stem!r}")
        padding = cast(Triple, tuple(k // 2 for k in kernel))
        self.conv1 = nn.Sequential(
            nn.Conv3d(self.in_channels, width, kernel, (1, 2, 2), padding, bias=False),
            nn.BatchNorm3d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)) if stem_pool else nn.Identity(),
        )
        channels = width
        for k, (count, time) in enumerate(zip(blocks, time_strides, strict=True)):
            outputs, space = width * 2**k, 1 if k == 0 else 2
            layers = [Block(channels, outputs, (time, space, space))]
            layers += [Block(outputs, outputs, (1, 1, 1)) for _ in range(count - 1)]
            self.add_module(f"conv{k + 2}x", nn.Sequential(*layers))
            channels = outputs
        self.num_features = channels
        self.stages = ("conv1", *(f"conv{k + 2}x" for k in range(len(blocks))))


@register_backbone
def r2plus1d_10(
    width: int = 64,
    pool: Pool = "max",
    time_strides: Sequence[int] = (1, 2, 2, 2),
    in_channels: int = 3,
    stem_pool: bool = True,
    stem: Sequence[int] = STEM,
) -> R2Plus1D:
    """AVID's R(2+1)D with one block a stage (its analysis network, table 9)."""
    return R2Plus1D((1, 1, 1, 1), width, pool, time_strides, in_channels, stem_pool, stem)


@register_backbone
def r2plus1d_18(
    width: int = 64,
    pool: Pool = "max",
    time_strides: Sequence[int] = (1, 2, 2, 2),
    in_channels: int = 3,
    stem_pool: bool = True,
    stem: Sequence[int] = STEM,
) -> R2Plus1D:
    """AVID's R(2+1)D with two blocks a stage (AVID table 10, CrissCross table S5)."""
    return R2Plus1D((2, 2, 2, 2), width, pool, time_strides, in_channels, stem_pool, stem)


@register_backbone
def r2plus1d_34(
    width: int = 64,
    pool: Pool = "max",
    time_strides: Sequence[int] = (1, 2, 2, 2),
    blocks: Sequence[int] = (3, 4, 6, 3),
    in_channels: int = 3,
    stem_pool: bool = True,
    stem: Sequence[int] = STEM,
) -> R2Plus1D:
    """AVID's R(2+1)D with the 3-4-6-3 blocks of ResNet-34."""
    return R2Plus1D(blocks, width, pool, time_strides, in_channels, stem_pool, stem)
