"""torchvision's video ResNets of any width and their variants; `resnet3d` registers them.

Apart, because importing torchvision takes seconds: whoever builds one of them waits, nobody else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn
from torchvision.models.video.resnet import Bottleneck, Conv2Plus1D, Conv3DNoTemporal, VideoResNet

from ssl_av.backbones.base import Backbone, Pool, check_count

Triple = tuple[int, int, int]


class VideoResNetBackbone(Backbone):
    """A `torchvision.models.video.resnet.VideoResNet` without its classifier.

    Parameter names are torchvision's behind ``net.``: ``net.stem.0.weight``, ``net.layer1.0.conv1.0.0.weight``.
    In a basic block ``conv1.0`` and ``conv2.0`` are the (factored) convolutions, ``conv1.1`` and ``conv2.1`` their
    norms; in a bottleneck ``conv2.0`` is the one between the two 1×1×1; ``downsample`` is the shortcut.

    Args:
        block: torchvision's residual block.
        convs: what makes the convolutions of each of the four stages.
        layers: blocks in each stage.
        stem: makes the stem from ``in_channels`` and ``width``.
        width: channels of the stem and planes of the first stage; doubled at each later one.
        pool: ``avg`` or ``max``.
        in_channels: 3 for RGB, 2 for optical flow.
    """

    modality = "video"
    stages = ("net.stem", "net.layer1", "net.layer2", "net.layer3", "net.layer4")

    def __init__(
        self,
        block: Any,
        convs: Sequence[Any],
        layers: Sequence[int],
        stem: Callable[[int, int], nn.Module],
        width: int,
        pool: Pool,
        in_channels: int,
    ) -> None:
        super().__init__(pool)
        self.in_channels = check_count("in_channels", in_channels)
        self.net = _AnyWidth(
            block, convs, layers, lambda: stem(in_channels, width), check_count("width", width)
        )
        self.num_features = self.net.inplanes
        self.net.fc = nn.Identity()


class _AnyWidth(VideoResNet):
    """torchvision's network, which has 64 channels in its first stage, with another number of them."""

    def __init__(
        self,
        block: Any,
        convs: Sequence[Any],
        layers: Sequence[int],
        stem: Callable[[], nn.Module],
        width: int,
    ) -> None:
        self.width = width
        super().__init__(block, convs, list(layers), stem)

    def _make_layer(
        self, block: Any, conv_builder: Any, planes: int, blocks: int, stride: int = 1
    ) -> nn.Sequential:
        if planes == 64:  # the first stage
            self.inplanes = self.width
        return super()._make_layer(block, conv_builder, planes // 64 * self.width, blocks, stride)


def factored_stem(in_channels: int, width: int) -> nn.Sequential:
    """1×7×7 to 45 of 64 parts of the channels, then 3×1×1; halves height and width."""
    middle = max(45 * width // 64, 1)
    return nn.Sequential(
        *_conv_norm_relu(in_channels, middle, (1, 7, 7), (1, 2, 2)),
        *_conv_norm_relu(middle, width, (3, 1, 1), (1, 1, 1)),
    )


def full_stem(in_channels: int, width: int) -> nn.Sequential:
    """3×7×7; halves height and width."""
    return nn.Sequential(*_conv_norm_relu(in_channels, width, (3, 7, 7), (1, 2, 2)))


def slow_stem(in_channels: int, width: int) -> nn.Sequential:
    """1×7×7 and a max-pool; quarters height and width (SlowFast's slow pathway)."""
    return nn.Sequential(
        *_conv_norm_relu(in_channels, width, (1, 7, 7), (1, 2, 2)),
        nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
    )


def _conv_norm_relu(inputs: int, outputs: int, kernel: Triple, stride: Triple) -> list[nn.Module]:
    t, h, w = (k // 2 for k in kernel)
    conv = nn.Conv3d(inputs, outputs, kernel, stride, (t, h, w), bias=False)
    return [conv, nn.BatchNorm3d(outputs), nn.ReLU(inplace=True)]


class Factored(Conv2Plus1D):
    """1×3×3 then 3×1×1 with as many parameters as the 3×3×3 convolution that it replaces (Tran et al. 2018).

    torchvision takes one number of middle planes for a whole block, from the block's input; here each
    convolution has its own, as the paper says.
    """

    def __init__(
        self, in_planes: int, out_planes: int, midplanes: int, stride: int = 1, padding: int = 1
    ) -> None:
        middle = 27 * in_planes * out_planes // (9 * in_planes + 3 * out_planes)
        super().__init__(in_planes, out_planes, middle, stride, padding)


class Flat(Conv3DNoTemporal):
    """A 1×3×3 convolution after a 1×1×1 one: res2 and res3 of the slow pathway."""

    entry: Triple = (1, 1, 1)


class FlatAfterTime(Flat):
    """A 1×3×3 convolution after a 3×1×1 one: res4 and res5 of the slow pathway."""

    entry: Triple = (3, 1, 1)


class SlowBottleneck(Bottleneck):
    """torchvision's bottleneck, its first convolution as long in time as `Flat` or `FlatAfterTime` say."""

    def __init__(
        self,
        inplanes: int,
        planes: int,
        conv_builder: type[Flat],
        stride: int = 1,
        downsample: nn.Module | None = None,
    ) -> None:
        super().__init__(inplanes, planes, conv_builder, stride, downsample)
        kernel = conv_builder.entry
        self.conv1[0] = nn.Conv3d(inplanes, planes, kernel, padding=(kernel[0] // 2, 0, 0), bias=False)
