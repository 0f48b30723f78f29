"""Augmentation of video: batched, on the device of the clips, random per clip, alike for all its frames."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ssl_av.transforms import colour, geometry, texture
from ssl_av.transforms.draws import Draw
from ssl_av.transforms.video_augments import VideoAugment, video_augment

_CACHED = 320_000
"""Values that are changed at once on a CPU where clips are large: more fall out of its cache between two operations,
with fewer the calls take longer than the work (measured from 40,000 to 640,000)."""

_LARGE = 100_000
"""Values of a clip from which on clips are changed one by one on a CPU, not in groups."""


class VideoTransform(nn.Module):
    """From decoded uint8 clips to the normalised float clips a network sees.

    In training mode clips are augmented; in eval mode the largest centred square is resized.

    Args:
        size: side of the output in pixels.
        augment: what to do, or the name of a paper's way.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, size: int, augment: VideoAugment | str = "none") -> None:
        super().__init__()
        self.size = size
        self.augment = video_augment(augment) if isinstance(augment, str) else augment
        for name in ("mean", "std"):
            value = torch.tensor(getattr(self.augment, name)).view(1, 3, 1, 1, 1)
            self.register_buffer(name, value, persistent=False)

    def extra_repr(self) -> str:
        """Shown when the module is printed."""
        return f"size={self.size}, augment={self.augment}"

    @torch.no_grad()
    def forward(
        self, video: Tensor, aspect: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Augments a batch.

        Args:
            video: uint8 [B, 3, T, S, S'], frames squashed to that size when they were read.
            aspect: [B], true width / height of the frames before; that of the tensor when None.
            generator: where random numbers come from; the global CPU generator when None.

        Returns:
            float32 [B, 3, T, size, size].

        Raises:
            ValueError: `video` is not uint8 or not of that shape, or `aspect` not of its.
        """
        aspect = self._aspect(video, aspect)
        with torch.autocast(video.device.type, enabled=False):
            if not self.training:
                return self._normalise(self._crop(video, geometry.square_boxes(aspect)))
            if self.augment.consistent:
                return self._augment(video, aspect, Draw(generator))
            b, c, t, h, w = video.shape  # each frame a clip of its own
            frames = video.transpose(1, 2).reshape(b * t, c, 1, h, w)
            out = self._augment(frames, aspect.repeat_interleave(t), Draw(generator))
            return out.view(b, t, c, self.size, self.size).transpose(1, 2).contiguous()

    @torch.no_grad()
    def crops(self, video: Tensor, aspect: Tensor | None = None, count: int = 3) -> Tensor:
        """Several squares of each clip, evenly along the longer side, not augmented (for testing).

        Args:
            video, aspect: as in `forward`.
            count: how many; 1 is the centre.

        Returns:
            float32 [B, count, 3, T, size, size].
        """
        aspect = self._aspect(video, aspect)
        places = [0.5] if count == 1 else [i / (count - 1) for i in range(count)]
        boxes = [geometry.square_boxes(aspect, place) for place in places]
        with torch.autocast(video.device.type, enabled=False):
            return torch.stack([self._normalise(self._crop(video, box)) for box in boxes], dim=1)

    def _aspect(self, video: Tensor, aspect: Tensor | None) -> Tensor:
        if video.dtype != torch.uint8:
            raise ValueError(f"video must be uint8 as decoded (0 to 255), got {video.dtype}")
        if video.ndim != 5 or video.shape[1] != 3:
            raise ValueError(f"video must be [B, 3, T, H, W], got {list(video.shape)}")
        b, _, _, h, w = video.shape
        if aspect is None:
            return torch.full((b,), w / h)
        if aspect.shape != (b,):
            raise ValueError(f"aspect must be [{b}], one width / height a clip, got {list(aspect.shape)}")
        return aspect.detach().float().cpu()

    def _crop(self, video: Tensor, boxes: Tensor, flip: Tensor | None = None) -> Tensor:
        return geometry.crop_resize(video, boxes, self.size, flip).mul_(1 / 255)

    def _normalise(self, x: Tensor) -> Tensor:
        mean, std = self.mean.to(x.device), self.std.to(x.device)
        at_once = max(1, _CACHED // x[:1].numel()) if x.device.type == "cpu" else len(x)
        for clips in x.split(at_once):
            clips.sub_(mean).div_(std)
        return x

    def _augment(self, video: Tensor, aspect: Tensor, draw: Draw) -> Tensor:
        a = self.augment
        if a.crop_area is None:
            boxes = geometry.square_boxes(aspect)
        else:
            boxes = geometry.random_boxes(aspect, a.crop_area, a.crop_aspect, draw)
        x = self._crop(video, boxes, draw.chance(len(video), a.flip) if a.flip else None)
        if a.jitter_normalised:
            return self._texture(self._jitter(self._normalise(x), draw), draw)
        return self._normalise(self._texture(self._jitter(x, draw), draw))

    def _jitter(self, x: Tensor, draw: Draw) -> Tensor:
        """Colour jitter of the clips that are drawn for it."""
        a, n = self.augment, len(x)
        if not any(a.jitter) or not a.jitter_p:
            return x
        wanted = draw.chance(n, a.jitter_p)
        amounts = [draw.uniform(n, low=-most, high=most) for most in a.jitter]
        # a factor below 0 would make negatives (torchvision limits it likewise)
        factors = [(1 + amount).clamp(min=0) for amount in amounts[:3]]
        operations: list[tuple[Callable[[Tensor, Tensor], Tensor], Tensor]]
        if a.additive:
            operations = [
                (colour.brightness_offset, amounts[0]),
                (colour.saturation_hsv, factors[2]),
                (colour.contrast_channel, factors[1]),
                (colour.hue, amounts[3]),
            ]
            order = torch.arange(4).expand(n, 4)
        else:
            kinds = (colour.brightness, colour.contrast, colour.saturation, colour.hue)
            every = zip(kinds, (*factors, amounts[3]), a.jitter, strict=True)
            operations = [(operation, amount) for operation, amount, most in every if most]
            order = draw.orders(n, len(operations))
        clip_each = not a.additive and not a.jitter_normalised
        if a.jitter_normalised:  # without hue and clipping the operations can be swapped: one order will do
            order = torch.arange(len(operations)).expand(n, -1)

        if x.device.type == "cpu" and x[:1].numel() >= _LARGE:
            at_once = max(1, _CACHED // x[:1, :, :1].numel())
            for row in wanted.nonzero().flatten().tolist():
                steps = [(operations[k][0], operations[k][1][row]) for k in order[row].tolist()]
                for frames in x[row : row + 1].split(at_once, dim=2):
                    done = frames
                    for operation, amount in steps:
                        done = operation(done, amount)
                        if clip_each:
                            done.clamp_(0, 1)
                    frames.copy_(done.clamp_(0, 1) if a.additive else done)
            return x

        def jitter(clips: Tensor, rows: Tensor) -> Tensor:
            for turn in order[rows].T:
                for k, (operation, amount) in enumerate(operations):
                    clips = _some(clips, turn == k, operation, amount[rows])
                if clip_each:
                    clips.clamp_(0, 1)
            return clips.clamp_(0, 1) if a.additive else clips

        return _some(x, wanted, jitter, torch.arange(n))

    def _texture(self, x: Tensor, draw: Draw) -> Tensor:
        """Everything after colour jitter, on the clips that are drawn for it."""
        a, n = self.augment, len(x)
        if a.grey_p:
            x = _some(x, draw.chance(n, a.grey_p), lambda some, _: colour.grey(some).expand_as(some))
        if a.blur_p:
            wanted = draw.chance(n, a.blur_p)
            sigma = draw.uniform(n, low=a.blur_sigma[0], high=a.blur_sigma[1])
            width = texture.blur_kernel_size(self.size)
            x = _some(x, wanted, lambda some, of: texture.gaussian_blur(some, of, width), sigma)
        if a.cutout:
            x = texture.cutout(x, texture.random_squares(n, self.size, a.cutout, draw))
        if a.random_conv:
            x = texture.convolve(x, texture.random_kernels(n, draw))
        return x


def _some(
    x: Tensor, wanted: Tensor, change: Callable[[Tensor, Tensor], Tensor], amount: Tensor | None = None
) -> Tensor:
    """Changes the wanted clips only; `change` gets them and their amounts."""
    rows = wanted.nonzero().flatten()
    amounts = rows if amount is None else amount[rows]
    if len(rows) == 0:
        return x
    if len(rows) == len(x):
        return change(x, amounts).contiguous()
    there = rows.to(x.device)
    return x.index_copy_(0, there, change(x.index_select(0, there), amounts))
