"""Residual networks on spectrograms, of timm's blocks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from ssl_av.backbones.base import Backbone, Pool, check_count
from ssl_av.backbones.registry import register_backbone

if TYPE_CHECKING:
    from timm.models.resnet import BasicBlock, Bottleneck


class AudioResNet(Backbone):
    """timm's ResNet with one input channel, of any width.

    At width 64 it is timm's own network, parameter names included (behind ``net.``). timm's class fixes the
    stem at 64 channels, so the blocks are put together here. The last norm of a residual branch starts
    at one, as in torchvision and the papers' code, not at zero as in timm.

    Args:
        block: timm's residual block.
        layers: blocks in each of the four stages.
        width: channels of the stem and of the first stage.
        pool: ``avg`` or ``max``.
    """

    modality = "audio"
    stages = ("net.conv1", "net.bn1", "net.act1", "net.maxpool", "net.layer1", "net.layer2", "net.layer3",
              "net.layer4")  # fmt: skip

    def __init__(
        self, block: type[BasicBlock] | type[Bottleneck], layers: Sequence[int], width: int, pool: Pool
    ) -> None:
        super().__init__(pool)
        channels = check_count("width", width)
        parts: OrderedDict[str, nn.Module] = OrderedDict(
            conv1=nn.Conv2d(1, channels, 7, stride=2, padding=3, bias=False),
            bn1=nn.BatchNorm2d(channels),
            act1=nn.ReLU(),  # not in place: `forward_stages` returns the map before it as well
            maxpool=nn.MaxPool2d(3, stride=2, padding=1),
        )
        for k, depth in enumerate(layers):
            planes, stage = width * 2**k, nn.Sequential()
            for i in range(depth):
                stage.append(_block(block, channels, planes, stride=2 if k > 0 and i == 0 else 1))
                channels = planes * block.expansion
            parts[f"layer{k + 1}"] = stage
        self.net = nn.Sequential(parts)
        self.num_features = channels
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")


def _block(kind: type[BasicBlock] | type[Bottleneck], inputs: int, planes: int, stride: int) -> nn.Module:
    outputs, shortcut = planes * kind.expansion, None
    if stride != 1 or inputs != outputs:
        conv = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)
        shortcut = nn.Sequential(conv, nn.BatchNorm2d(outputs))
    return kind(inputs, planes, stride=stride, downsample=shortcut)


@register_backbone
def resnet9_audio(width: int = 64, pool: Pool = "avg") -> AudioResNet:
    """ResNet with one basic block a stage (GDT, STiCA)."""
    from timm.models.resnet import BasicBlock  # late: importing timm takes seconds

    return AudioResNet(BasicBlock, (1, 1, 1, 1), width, pool)


@register_backbone
def resnet18_audio(width: int = 64, pool: Pool = "avg") -> AudioResNet:
    """ResNet-18 (CrissCross table S6)."""
    from timm.models.resnet import BasicBlock

    return AudioResNet(BasicBlock, (2, 2, 2, 2), width, pool)


@register_backbone
def resnet50_audio(width: int = 64, pool: Pool = "avg") -> AudioResNet:
    """ResNet-50 (BraVe §4.1)."""
    from timm.models.resnet import Bottleneck

    return AudioResNet(Bottleneck, (3, 4, 6, 3), width, pool)
