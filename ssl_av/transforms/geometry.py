"""Crops of video: where they lie in the true picture, and taking them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_av.transforms.draws import Draw

_SMALL = 96  # pixels; measured, see `_by_matrices`
_TRIES = 10  # as torchvision's RandomResizedCrop before it falls back to a centred crop


def random_boxes(aspect: Tensor, area: tuple[float, float], ratio: tuple[float, float], draw: Draw) -> Tensor:
    """Random-resized-crop boxes in the true geometry of each frame.

    The share of the frame's area is uniform in `area`, the box's width / height log-uniform in `ratio`
    (torchvision's law). A box that does not fit is drawn again, at last it is the largest centred one.

    Args:
        aspect: [B], width / height of the frame as filmed, on the CPU.

    Returns:
        [B, 4] x, y, width, height as fractions of the frame's width and height.
    """
    n = len(aspect)
    wide = aspect[:, None].float()  # the frame is `aspect` wide and 1 high
    target = draw.uniform(n, _TRIES, low=area[0], high=area[1]) * wide
    shape = draw.uniform(n, _TRIES, low=math.log(ratio[0]), high=math.log(ratio[1])).exp()
    widths, heights = (target * shape).sqrt() / wide, (target / shape).sqrt()
    fits = (widths <= 1) & (heights <= 1)
    first = fits.int().argmax(1, keepdim=True)  # argmax is the first True
    size = torch.cat([widths.gather(1, first), heights.gather(1, first)], dim=1)
    corner = draw.uniform(n, 2) * (1 - size)

    nearest = wide.clamp(*ratio)
    full = torch.cat([nearest / wide, wide / nearest], dim=1).clamp(max=1)
    fitted = fits.any(1, keepdim=True)
    size = torch.where(fitted, size, full)
    corner = torch.where(fitted, corner, (1 - full) / 2)
    return torch.cat([corner, size], dim=1)


def square_boxes(aspect: Tensor, position: float = 0.5) -> Tensor:
    """The largest square of each frame, [B, 4] as in `random_boxes`.

    Args:
        aspect: [B], width / height of the frame as filmed.
        position: where along the longer side: 0 left or top, 0.5 centre, 1 right or bottom.
    """
    wide = aspect.float()
    size = torch.stack([1 / wide, wide], dim=1).clamp(max=1)
    return torch.cat([(1 - size) * position, size], dim=1)


def crop_resize(video: Tensor, boxes: Tensor, size: int, flip: Tensor | None = None) -> Tensor:
    """Takes one box a clip, the same from all its frames, and resizes it to a square, bilinearly.

    Where a box is much larger than `size` it is sampled on a finer grid and averaged, so that it does not
    alias.

    Args:
        video: [B, C, T, H, W], any number type.
        boxes: [B, 4] x, y, width, height as fractions, on the CPU.
        flip: [B] bool, which clips to mirror left to right, on the CPU.

    Returns:
        float32 [B, C, T, size, size] in the units of `video`.
    """
    h, w = video.shape[3:]
    _, _, width, height = boxes.float().unbind(1)
    finer = (torch.maximum(width * w, height * h) / size).round().clamp(min=1).long()
    small = video.device.type == "cpu" and max(h, w) <= _SMALL
    return (_by_matrices if small else _by_grid)(video, boxes.float(), size, flip, finer)


def _by_grid(video: Tensor, boxes: Tensor, size: int, flip: Tensor | None, finer: Tensor) -> Tensor:
    """`grid_sample` with time folded into the channels."""
    b, c, t, h, w = video.shape
    x, y, width, height = boxes.unbind(1)
    zero = torch.zeros(b)
    across = width if flip is None else torch.where(flip, -width, width)
    rows = [across, zero, 2 * x + width - 1, zero, height, 2 * y + height - 1]
    theta = torch.stack(rows, dim=1).view(b, 2, 3).to(video.device)
    frames = video.reshape(b, c * t, h, w)

    def sample(some: Tensor, of: Tensor, k: int) -> Tensor:
        shape = [len(of), 1, size * k, size * k]
        flat = of.device.type == "cpu"  # where a product of so small matrices is slow
        grid = _grid(of, size * k) if flat else F.affine_grid(of, shape, align_corners=False)
        out = F.grid_sample(some.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
        return F.avg_pool2d(out, k) if k > 1 else out

    kinds = finer.unique().tolist()
    if len(kinds) == 1:
        return sample(frames, theta, kinds[0]).view(b, c, t, size, size)
    out = torch.empty(b, c * t, size, size, device=video.device)
    for k in kinds:
        which = (finer == k).nonzero().flatten().to(video.device)
        out.index_copy_(0, which, sample(frames.index_select(0, which), theta.index_select(0, which), k))
    return out.view(b, c, t, size, size)


def _grid(theta: Tensor, size: int) -> Tensor:
    """As `affine_grid`, to the bit, of maps that do not turn: [B, 2, 3] to [B, size, size, 2]."""
    places = torch.linspace(-1, 1, size) * (size - 1) / size
    x, y = (theta[:, i, i, None] * places + theta[:, i, 2, None] for i in (0, 1))
    return torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), dim=-1)


def _by_matrices(video: Tensor, boxes: Tensor, size: int, flip: Tensor | None, finer: Tensor) -> Tensor:
    """The same as a product of each frame with a matrix for its rows and one for its columns.

    On a CPU this is 1.5 to 3 times as fast for small frames, above all where a finer grid would be needed.
    """
    b, c, t, h, w = video.shape
    x, y, width, height = boxes.unbind(1)
    across, down = torch.empty(b, size, w), torch.empty(b, size, h)
    for k in finer.unique().tolist():
        which = finer == k
        across[which] = _weights(x[which], width[which], size, w, k)
        down[which] = _weights(y[which], height[which], size, h, k)
    if flip is not None:
        across[flip] = across[flip].flip(1)
    out = torch.empty(b, c * t, size, size)
    for clip, columns, rows, into in zip(video.reshape(b, c * t, h, w), across, down, out, strict=True):
        torch.matmul(rows.expand(c * t, size, h), clip.float() @ columns.T, out=into)
    return out.view(b, c, t, size, size)


def _weights(start: Tensor, length: Tensor, size: int, pixels: int, finer: int) -> Tensor:
    """[B, size, pixels]: what each pixel of one axis gives to each place of the output."""
    steps = (torch.arange(size * finer) + 0.5) / (size * finer)
    place = (start[:, None] + length[:, None] * steps) * pixels - 0.5
    apart = place.clamp(0, pixels - 1)[..., None] - torch.arange(pixels)
    return (1 - apart.abs()).clamp(min=0).unflatten(1, (size, finer)).mean(2)
