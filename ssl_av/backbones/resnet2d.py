"""Residual networks on spectrograms, from timm."""

from __future__ import annotations

from collections.abc import Sequence

from timm.models.resnet import BasicBlock, Bottleneck, ResNet

from ssl_av.backbones.base import Backbone, Pool
from ssl_av.backbones.registry import register_backbone


class AudioResNet(Backbone):
    """timm's ResNet with one input channel.

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
        channels = tuple(width * 2**k for k in range(4))
        self.net = ResNet(
            block,
            tuple(layers),
            num_classes=0,
            in_chans=1,
            stem_width=width,
            channels=channels,
            global_pool="",
        )
        self.num_features = self.net.num_features


@register_backbone
def resnet9_audio(width: int = 64, pool: Pool = "avg") -> AudioResNet:
    """ResNet with one basic block a stage (GDT, STiCA)."""
    return AudioResNet(BasicBlock, (1, 1, 1, 1), width, pool)


@register_backbone
def resnet18_audio(width: int = 64, pool: Pool = "avg") -> AudioResNet:
    """ResNet-18 (CrissCross table S6)."""
    return AudioResNet(BasicBlock, (2, 2, 2, 2), width, pool)


@register_backbone
def resnet50_audio(width: int = 64, pool: Pool = "avg") -> AudioResNet:
    """ResNet-50 (BraVe §4.1)."""
    return AudioResNet(Bottleneck, (3, 4, 6, 3), width, pool)
