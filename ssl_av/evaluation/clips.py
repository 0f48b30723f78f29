"""Clips as the papers' action recognition protocols crop them, in training and in testing."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from ssl_av.errors import UserError, unknown
from ssl_av.transforms import VideoAugment, VideoTransform
from ssl_av.transforms.draws import Draw
from ssl_av.transforms.geometry import crop_resize, square_boxes

CROPS = ("resized", "short")


class ClipTransform(nn.Module):
    """From decoded uint8 clips to what the network sees: one random crop in training, stated ones in testing.

    The papers first resize the short side of a frame, say to 256, and cut out 224: a square of 7/8 of the short side.
    Here the square is cut from the frame as it was read, with the same result but for the interpolation.

    Args:
        size: side in pixels of what the network sees in training.
        short: the short side that ``size`` and ``test_size`` are crops of.
        crop: ``resized`` crops at random in place, size and shape, as ``augment`` says, ``short`` a square of
            ``size`` / ``short`` of the short side at random in place.
        scale_jitter: for ``short``: width and height of the frame are each scaled by a factor from this range before.
        augment: the rest of the augmentation; with ``short`` only its flip.
        test_size: side of what the network sees in testing; ``size`` by default.
        crops: squares of a tested clip, evenly along the longer side; 1 is the centre.
        like: the augmentation whose mean and deviation the network's inputs have; ``augment`` by default.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        size: int,
        short: int,
        augment: VideoAugment,
        *,
        crop: str = "resized",
        scale_jitter: tuple[float, float] = (1.0, 1.0),
        test_size: int | None = None,
        crops: int = 1,
        like: VideoAugment | None = None,
    ) -> None:
        super().__init__()
        self.size, self.short, self.crop, self.scale_jitter = size, short, crop, scale_jitter
        self.test_size, self.crops = test_size or size, crops
        check_crops(crop, scale_jitter, augment, short, max(size, self.test_size))
        self.flip = augment.flip
        norm = like or augment
        # A network that was trained without normalisation is not fine-tuned with another paper's.
        self.resized = VideoTransform(size, replace(augment, mean=norm.mean, std=norm.std))
        for name in ("mean", "std"):
            value = torch.tensor(getattr(norm, name)).view(1, 3, 1, 1, 1)
            self.register_buffer(name, value, persistent=False)

    @torch.no_grad()
    def augmented(self, video: Tensor, aspect: Tensor) -> Tensor:
        """A random crop of each clip.

        Args:
            video: uint8 [B, 3, T, S, S'], frames squashed to that size when they were read.
            aspect: [B], width / height of the frames before.

        Returns:
            float32 [B, 3, T, size, size].
        """
        if self.crop == "resized":
            out: Tensor = self.resized.train()(video, aspect)
            return out
        draw, n = Draw(), len(video)
        low, high = self.scale_jitter
        across, down = draw.uniform(n, low=low, high=high), draw.uniform(n, low=low, high=high)
        extent = square_boxes(aspect.float().cpu() * across / down)[:, 2:] * (self.size / self.short)
        corner = draw.uniform(n, 2) * (1 - extent)
        flip = draw.chance(n, self.flip) if self.flip else None
        return self._take(video, torch.cat([corner, extent], dim=1), self.size, flip)

    @torch.no_grad()
    def tested(self, video: Tensor, aspect: Tensor) -> Tensor:
        """The crops of each clip; nothing is random.

        Args:
            video, aspect: as in `augmented`.

        Returns:
            float32 [B, crops, 3, T, test_size, test_size].
        """
        wide = aspect.float().cpu()
        extent = square_boxes(wide)[:, 2:] * (self.test_size / self.short)
        taken = []
        for k in range(self.crops):
            place = 0.5 if self.crops == 1 else k / (self.crops - 1)
            along = (wide >= 1)[:, None] == torch.tensor([[True, False]])
            corner = torch.where(along, place, 0.5) * (1 - extent)
            taken.append(self._take(video, torch.cat([corner, extent], dim=1), self.test_size))
        return torch.stack(taken, dim=1)

    def _take(self, video: Tensor, boxes: Tensor, size: int, flip: Tensor | None = None) -> Tensor:
        with torch.autocast(video.device.type, enabled=False):
            x = crop_resize(video, boxes, size, flip).mul_(1 / 255)
            return x.sub_(self.mean.to(x.device)).div_(self.std.to(x.device))


def check_crops(
    crop: str, scale_jitter: tuple[float, float], augment: VideoAugment, short: int, largest: int
) -> None:
    """Raises a `UserError` for crops that cannot be taken."""
    if crop not in CROPS:
        raise unknown("crop", str(crop), CROPS)
    if not 0 < scale_jitter[0] <= scale_jitter[1]:
        raise UserError(f"scale_jitter {list(scale_jitter)} must be two factors, 0 < least <= most")
    if largest > short:
        raise UserError(f"a crop of {largest} pixels does not fit into a short side of {short}")
    a = augment
    if crop == "short" and (any(a.jitter) or a.grey_p or a.blur_p or a.cutout or a.random_conv):
        raise UserError("crop short goes with no augmentation but the flip; take crop resized")
    if crop == "resized" and tuple(scale_jitter) != (1.0, 1.0):
        raise UserError("scale_jitter is for crop short")
