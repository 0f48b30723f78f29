"""ResNet-50 version 2 (He et al. 2016, pre-activation), on spectrograms and, with TSM's shift, on video: BraVe's."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_av.backbones.base import Backbone, Pool, check_count
from ssl_av.backbones.registry import register_backbone
from ssl_av.errors import UserError


def shift_in_time(x: Tensor, frames: int, share: float = 0.125) -> Tensor:
    """TSM's offline shift, in the channel order of BraVe's code, which differs from Lin et al.'s.

    The first ``share`` of the output's channels are the **last** channels of the next frame, the last ``share`` of
    them the **first** channels of the frame before; the rest stay. Beyond the first and last frame there is zero.

    Args:
        x: [B · frames, C, H, W], frames of one clip together.
        frames: T; with 1 both shifted parts are zero.
        share: of the channels, each way.
    """
    n = int(x.shape[1] * share)
    if n == 0:
        return x
    clips = x.unflatten(0, (-1, frames))
    later = F.pad(clips[:, 1:, -n:], (0, 0, 0, 0, 0, 0, 0, 1))
    earlier = F.pad(clips[:, :-1, :n], (0, 0, 0, 0, 0, 0, 1, 0))
    return torch.cat([later, clips[:, :, n:-n], earlier], dim=2).flatten(0, 1)


class PreActBottleneck(nn.Module):
    """norm-ReLU-[shift]-1×1, norm-ReLU-3×3 (strided), norm-ReLU-1×1, plus the input or its projection.

    The shift is on the residual branch alone: a projecting shortcut sees the frames as they are.

    Args:
        inputs: channels.
        outputs: channels; a quarter of them in the middle.
        stride: of the 3×3 convolution and of the shortcut.
        project: the shortcut is a 1×1 convolution (the first block of each stage).
        shift: share of the channels shifted each way; 0 for none.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, project: bool, shift: float) -> None:
        super().__init__()
        self.shift = shift
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), _conv(inputs, outputs // 4, 1)
        self.norm2, self.conv2 = nn.BatchNorm2d(outputs // 4), _conv(outputs // 4, outputs // 4, 3, stride)
        self.norm3, self.conv3 = nn.BatchNorm2d(outputs // 4), _conv(outputs // 4, outputs, 1)
        self.shortcut = _conv(inputs, outputs, 1, stride) if project else None

    def forward(self, x: Tensor, frames: int) -> Tensor:
        y = self.norm1(x).relu()
        shortcut = x if self.shortcut is None else self.shortcut(y)
        y = self.conv1(shift_in_time(y, frames, self.shift))
        y = self.conv2(self.norm2(y).relu())
        return self.conv3(self.norm3(y).relu()) + shortcut


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Module:
    """TensorFlow's "SAME" padding, which adds more behind than before where the stride is 2; its random start."""
    from timm.layers import create_conv2d  # late: importing timm takes seconds

    conv: nn.Conv2d = create_conv2d(inputs, outputs, kernel, stride=stride, padding="same", bias=False)
    deviation = (inputs * kernel**2) ** -0.5
    nn.init.trunc_normal_(conv.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
    return conv


class Frames(nn.Sequential):
    """Modules for images in a row, on the frames of video [B, C, T, H, W] or on images [B, C, H, W].

    The output's time axis is a view of what the next `Frames` folds into the batch again: nothing is copied
    between them.
    """

    def forward(self, x: Tensor) -> Tensor:
        video, frames = x.ndim == 5, x.shape[2]
        if video:
            x = x.transpose(1, 2).flatten(0, 1)
        for module in self:
            x = module(x, frames) if isinstance(module, PreActBottleneck) else module(x)
        return x.unflatten(0, (-1, frames)).transpose(1, 2) if video else x


class PreActResNet50(Backbone):
    """Blocks 3-4-6-3 after a stem without norm or ReLU, and a last norm and ReLU, as in BraVe's code.

    Names of the parameters: ``stem.conv``, ``layer{1..4}.{i}.{norm1..3,conv1..3,shortcut}``, ``norm.norm``; the
    code's ``tsm_resnet_unit_{k}/block_{i}`` is ``layer{k+1}.{i}``, its ``conv_{j}`` is ``conv{j+1}``.

    Args:
        width: channels of the stem; 4, 8, 16 and 32 times as many after the four stages.
        pool: ``avg`` or ``max``.
        in_channels: of the input.
        shift: share of the channels shifted each way in time; 0 for none.
    """

    stages = ("stem", "layer1", "layer2", "layer3", "layer4", "norm")

    def __init__(self, width: int, pool: Pool, in_channels: int, shift: float = 0.0) -> None:
        super().__init__(pool)
        from timm.layers import create_pool2d

        self.in_channels, channels = check_count("in_channels", in_channels), check_count("width", width)
        if isinstance(shift, bool) or not isinstance(shift, (int, float)) or not 0 <= shift <= 0.5:
            raise UserError(f"shift must be a share of the channels from 0 to 0.5, got {shift!r}")
        stem = OrderedDict(
            conv=_conv(in_channels, width, 7, 2), pool=create_pool2d("max", 3, 2, padding="same")
        )
        self.stem = Frames(stem)
        for k, depth in enumerate((3, 4, 6, 3)):
            stage, outputs = Frames(), 4 * width * 2**k
            for i in range(depth):
                stage.append(
                    PreActBottleneck(channels, outputs, 2 if k and i == 0 else 1, i == 0, float(shift))
                )
                channels = outputs
            self.add_module(f"layer{k + 1}", stage)
        self.norm = Frames(OrderedDict(norm=nn.BatchNorm2d(channels), relu=nn.ReLU(inplace=True)))
        self.num_features = channels


class TSMResNet50(PreActResNet50):
    """On clips of any number of frames, 1 included (an image model, BraVe appendix D)."""

    modality = "video"


class AudioResNet50V2(PreActResNet50):
    """On spectrograms."""

    modality = "audio"


@register_backbone
def tsm_resnet50(
    width: int = 64, pool: Pool = "avg", in_channels: int = 3, shift: float = 0.125
) -> TSMResNet50:
    """TSM-ResNet-50 of BraVe's code, pre-activation (BraVe table 6: 23.5M)."""
    return TSMResNet50(width, pool, in_channels, shift)


@register_backbone
def tsm_resnet50x2(
    width: int = 128, pool: Pool = "avg", in_channels: int = 3, shift: float = 0.125
) -> TSMResNet50:
    """TSM-ResNet-50 with twice the channels (BraVe table 6: TSM-50x2, 93.9M)."""
    return TSMResNet50(width, pool, in_channels, shift)


@register_backbone
def resnet50v2_audio(width: int = 64, pool: Pool = "avg") -> AudioResNet50V2:
    """ResNet-50 version 2 of BraVe's code, pre-activation."""
    return AudioResNet50V2(width, pool, in_channels=1)
