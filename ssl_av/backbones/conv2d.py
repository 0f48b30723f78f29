"""AVID's plain convolutional audio network."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ssl_av.backbones.base import Backbone, Pool, check_count, check_counts
from ssl_av.backbones.registry import register_backbone


def _conv(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Conv2DAudio(Backbone):
    """Nine convolutions without residuals (AVID tables 9 and 10): a 7×7 stem and four pairs of 3×3.

    Args:
        width: channels of the stem; 1, 2, 4 and 8 times as many in the four blocks.
        pool: ``max`` (AVID) or ``avg``.
        strides: of the four blocks; (2, 2, 2, 1) in table 10, (1, 2, 2, 1) in table 9 (half the bands).
    """

    modality = "audio"
    stages = ("conv1", "block1", "block2", "block3", "block4")

    def __init__(self, width: int, pool: Pool, strides: Sequence[int]) -> None:
        super().__init__(pool)
        channels = check_count("width", width)
        self.conv1 = _conv(1, width, 7, 2)
        for k, stride in enumerate(check_counts("strides", strides, 4)):
            outputs = width * 2**k
            block = nn.Sequential(_conv(channels, outputs, 3, stride), _conv(outputs, outputs, 3, 1))
            self.add_module(f"block{k + 1}", block)
            channels = outputs
        self.num_features = channels


@register_backbone
def conv9_audio(width: int = 64, pool: Pool = "max", strides: Sequence[int] = (2, 2, 2, 1)) -> Conv2DAudio:
    """AVID's nine-convolution audio network (table 10; table 9 with strides 1, 2, 2, 1)."""
    return Conv2DAudio(width, pool, strides)
