"""Colour operations on batches of clips: [B, 3, T, H, W] RGB, one amount a clip ([B] or broadcastable).

Means are those of each frame, as torchvision's and TensorFlow's operations take them; amounts are the
same for all frames of a clip.
"""

from __future__ import annotations

import torch
from torch import Tensor

_LUMA = (0.2989, 0.587, 0.114)  # ITU-R BT.601, as torchvision and TensorFlow round it


def _each(amount: Tensor, video: Tensor) -> Tensor:
    """An amount a clip, shaped to multiply the clips, where they are."""
    return amount.to(video.device, video.dtype).view(-1, 1, 1, 1, 1)


def grey(video: Tensor) -> Tensor:
    """The luma of each pixel, [B, 1, T, H, W]."""
    red, green, blue = video.split(1, dim=1)
    return (red * _LUMA[0]).add_(green, alpha=_LUMA[1]).add_(blue, alpha=_LUMA[2])


def brightness(video: Tensor, factor: Tensor) -> Tensor:
    """Multiplies."""
    return video * _each(factor, video)


def contrast(video: Tensor, factor: Tensor) -> Tensor:
    """Moves pixels away from the mean luma of their frame."""
    luma = video.new_tensor(_LUMA).view(1, 3, 1, 1, 1)
    mean = (video.mean(dim=(3, 4), keepdim=True) * luma).sum(dim=1, keepdim=True)
    factor = _each(factor, video)
    return torch.addcmul((1 - factor) * mean, video, factor)


def saturation(video: Tensor, factor: Tensor) -> Tensor:
    """Moves pixels away from their own luma."""
    factor = _each(factor, video)
    return torch.addcmul(grey(video).mul_(1 - factor), video, factor)


def hue(video: Tensor, turn: Tensor) -> Tensor:
    """Turns the hue of HSV by `turn` of a full circle; saturation and value stay.

    In HSV a channel is value - chroma * f(hue), with f a clipped triangle wave that is shifted by a third
    of the circle from channel to channel, so no case distinction by sextant is needed.
    """
    red, green, blue = video.split(1, dim=1)
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    sixth = chroma.clamp(min=1e-12).reciprocal_().div_(6)  # a grey pixel's hue is multiplied by chroma 0
    # float masks and lerp (exact at 0 and 1) do torch.where's work in a tenth of its time on a CPU
    is_red = torch.eq(value, red, out=torch.empty_like(value))
    is_green = torch.eq(value, green, out=torch.empty_like(value))
    angle = torch.lerp((red - green).mul_(sixth).add_(2 / 3), (blue - red).mul_(sixth).add_(1 / 3), is_green)
    angle = torch.lerp(angle, (green - blue).mul_(sixth), is_red).add_(_each(turn, video))
    out, wave, whole = torch.empty_like(video), is_red, is_green  # their memory serves again
    for channel, phase in enumerate((3 / 6, 1 / 6, -1 / 6)):
        torch.add(angle, phase, out=wave)
        wave.sub_(torch.round(wave, out=whole)).abs_().mul_(-6).add_(2).clamp_(0, 1)
        torch.addcmul(value, wave, chroma, value=-1, out=out[:, channel : channel + 1])
    return out


def brightness_offset(video: Tensor, offset: Tensor) -> Tensor:
    """Adds (BraVe A.2)."""
    return video + _each(offset, video)


def saturation_hsv(video: Tensor, factor: Tensor) -> Tensor:
    """Multiplies the saturation of HSV, at most to 1; hue and value stay (BraVe's, that is TensorFlow's)."""
    value = video.amax(dim=1, keepdim=True)
    chroma = value - video.amin(dim=1, keepdim=True)
    # saturation = chroma / value, so the factor that takes it to 1 is value / chroma
    most = value.clamp(min=0).div_(chroma.clamp(min=1e-12))
    return torch.addcmul(value, video - value, torch.minimum(most, _each(factor, video)))


def contrast_channel(video: Tensor, factor: Tensor) -> Tensor:
    """Moves pixels away from their channel's mean in their frame (BraVe's, that is TensorFlow's)."""
    factor = _each(factor, video)
    return torch.addcmul(video.mean(dim=(3, 4), keepdim=True) * (1 - factor), video, factor)
