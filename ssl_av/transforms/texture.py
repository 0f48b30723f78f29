"""Blur, cutout and random convolutions on batches of clips, [B, C, T, H, W], alike for all frames."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_av.transforms.draws import Draw


def blur_kernel_size(size: int) -> int:
    """A tenth of the side, made odd, at least 3 (SimCLR; BraVe A.2; CrissCross: 11 at 112)."""
    return max(3, size // 20 * 2 + 1)


def gaussian_blur(video: Tensor, sigma: Tensor, kernel: int) -> Tensor:
    """Gaussian blur with one standard deviation a clip, borders reflected.

    Args:
        sigma: [B], in pixels.
        kernel: odd width of the kernel in pixels, less than twice the side of the frame.
    """
    b, c, t, h, w = video.shape
    radius = kernel // 2
    steps = torch.arange(-radius, radius + 1, dtype=torch.float32)
    taps = torch.exp(-0.5 * (steps / sigma.float().cpu()[:, None]) ** 2)
    taps = (taps / taps.sum(1, keepdim=True)).to(video.device)
    taps = taps.repeat_interleave(c * t, dim=0)
    x = F.pad(video.reshape(b, c * t, h, w), (radius,) * 4, mode="reflect")
    x = x.view(1, b * c * t, h + 2 * radius, w + 2 * radius)
    x = F.conv2d(x, taps[:, None, None, :], groups=b * c * t)
    x = F.conv2d(x, taps[:, None, :, None], groups=b * c * t)
    return x.view(b, c, t, h, w)


def random_squares(n: int, side: int, largest: int, draw: Draw) -> Tensor:
    """One square a clip as a mask, bool [n, side, side] on the CPU (CrissCross D.1, after DeVries & Taylor).

    Its side is uniform in 1 .. `largest` pixels, its centre anywhere in the frame, so that it may hang over
    the border.
    """
    length = draw.below(torch.full((n,), largest)) + 1

    def span() -> Tensor:
        start = draw.below(torch.full((n,), side)) - length // 2
        place = torch.arange(side)
        return (place >= start[:, None]) & (place < (start + length)[:, None])

    return span()[:, :, None] & span()[:, None, :]


def cutout(video: Tensor, holes: Tensor) -> Tensor:
    """Paints over what the masks [B, H, W] cover with the mean colour of the clip's first frame."""
    mean = video[:, :, :1].mean(dim=(3, 4), keepdim=True)
    return torch.where(holes.to(video.device)[:, None, None], mean, video)


def random_kernels(n: int, draw: Draw, largest: int = 11, channels: int = 3) -> list[Tensor]:
    """Weights of one random convolution a clip, [channels, channels, k, k] on the CPU (BraVe A.2).

    The width k is odd, uniform in 1 .. `largest`; He-normal weights.
    """
    widths = 2 * draw.below(torch.full((n,), (largest + 1) // 2)) + 1
    return [
        draw.normal(channels, channels, k, k) * math.sqrt(2 / (channels * k * k)) for k in widths.tolist()
    ]


def convolve(video: Tensor, kernels: list[Tensor]) -> Tensor:
    """Filters each clip with its own 2D convolution across the colour channels (BraVe's random convolution).

    No bias, zero padding that keeps the size. The result is not limited to [0, 1].
    """
    out = torch.empty_like(video)
    for clip, kernel, into in zip(video, kernels, out, strict=True):
        frames = clip.transpose(0, 1).contiguous(memory_format=torch.channels_last)  # twice as fast on a CPU
        weight = kernel.to(video).contiguous(memory_format=torch.channels_last)
        into.copy_(F.conv2d(frames, weight, padding=kernel.shape[-1] // 2).transpose(0, 1))
    return out
