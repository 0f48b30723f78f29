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


def cutout(video: Tensor, largest: int, draw: Draw) -> Tensor:
    """Paints over one square a clip with the mean colour of the clip's first frame (CrissCross D.1).

    The side is uniform in 1 .. `largest` pixels, the centre anywhere in the frame, so that a square may
    hang over the border.
    """
    b, _, _, h, w = video.shape
    side = draw.below(torch.full((b,), largest)) + 1

    def span(length: int) -> Tensor:
        start = draw.below(torch.full((b,), length)) - side // 2
        place = torch.arange(length)
        return (place >= start[:, None]) & (place < (start + side)[:, None])

    inside = (span(h)[:, :, None] & span(w)[:, None, :]).to(video.device)
    mean = video[:, :, :1].mean(dim=(3, 4), keepdim=True)
    return torch.where(inside[:, None, None], mean, video)


def random_convolution(video: Tensor, draw: Draw, largest: int = 11) -> Tensor:
    """Filters each clip with its own random 2D convolution across the colour channels (BraVe A.2).

    The width is odd, uniform in 1 .. `largest`; He-normal weights, no bias, zero padding that keeps the
    size. The result is not limited to [0, 1].
    """
    b, c, t, h, w = video.shape
    widths = 2 * draw.below(torch.full((b,), (largest + 1) // 2)) + 1
    out = torch.empty_like(video)
    for width in widths.unique().tolist():
        rows = (widths == width).nonzero().flatten()
        n = len(rows)
        weight = draw.normal(n * c, c, width, width) * math.sqrt(2 / (c * width * width))
        rows = rows.to(video.device)
        frames = video[rows].permute(2, 0, 1, 3, 4).reshape(t, n * c, h, w)
        frames = F.conv2d(frames, weight.to(video), padding=width // 2, groups=n)
        out[rows] = frames.view(t, n, c, h, w).permute(1, 2, 0, 3, 4)
    return out
