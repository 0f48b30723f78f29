"""Augmentation of video: batched, on the device of the clips, random per clip, alike for all its frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ssl_av import errors
from ssl_av.transforms import colour, geometry, texture
from ssl_av.transforms.draws import Draw

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class VideoAugment:
    """What is done to a video view, in this order: crop, flip, colour, grey, blur, cutout, convolution.

    Attributes:
        crop_area: least and most share of the frame's area; None takes the largest centred square.
        crop_aspect: least and most width / height of the crop.
        flip: probability of mirroring left to right.
        jitter: brightness, contrast, saturation, hue. Factors are uniform in 1 ± the number, hue turns by
            up to ± the number of the circle. The operations come in random order, one order a batch
            (AVID shuffles per clip; the difference is a matter of speed).
        jitter_p: probability of any colour jitter.
        additive: BraVe's jitter: brightness is an offset, contrast per channel, saturation in HSV, in the
            order brightness, saturation, contrast, hue, clipped to [0, 1] only at the end.
        jitter_normalised: STiCA's code: jitter after normalisation, unclipped. Brightness then scales
            about the mean instead of black. Not with hue or `additive`.
        grey_p: probability of dropping the colours.
        blur_p: probability of a Gaussian blur; its kernel is a tenth of the side.
        blur_sigma: least and most standard deviation of the blur in pixels.
        cutout: largest side in pixels of one painted-over square; 0 for none.
        random_conv: filter with a random convolution (BraVe's broad view).
        mean: subtracted from the [0, 1] channels at the end.
        std: divided by at the end.
    """

    crop_area: tuple[float, float] | None = (0.08, 1.0)
    crop_aspect: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    jitter_p: float = 1.0
    additive: bool = False
    jitter_normalised: bool = False
    grey_p: float = 0.0
    blur_p: float = 0.0
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    cutout: int = 0
    random_conv: bool = False
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def __post_init__(self) -> None:
        def wrong(what: str) -> errors.UserError:
            return errors.UserError(f"video augmentation: {what}")

        if self.crop_area is not None and not 0 < self.crop_area[0] <= self.crop_area[1] <= 1:
            raise wrong(f"crop_area {self.crop_area} must be two shares, 0 < least <= most <= 1")
        if not 0 < self.crop_aspect[0] <= self.crop_aspect[1]:
            raise wrong(f"crop_aspect {self.crop_aspect} must be 0 < least <= most")
        if not 0 < self.blur_sigma[0] <= self.blur_sigma[1]:
            raise wrong(f"blur_sigma {self.blur_sigma} must be 0 < least <= most")
        if len(self.jitter) != 4 or min(self.jitter) < 0 or self.jitter[3] > 0.5:
            raise wrong(f"jitter {self.jitter} must be four amounts >= 0, the last (hue) at most 0.5")
        for name in ("flip", "jitter_p", "grey_p", "blur_p"):
            if not 0 <= getattr(self, name) <= 1:
                raise wrong(f"{name} {getattr(self, name)} must be a probability from 0 to 1")
        if self.cutout < 0 or min(self.std) <= 0:
            raise wrong("cutout must be at least 0 and each std above 0")
        if self.jitter_normalised and (self.jitter[3] or self.additive):
            raise wrong("jitter_normalised goes with neither hue nor additive, which need [0, 1] colours")


_BRAVE = VideoAugment(
    crop_area=(0.3, 1.0),
    crop_aspect=(0.5, 2.0),
    jitter=(32 / 255, 0.4, 0.4, 0.2),
    jitter_p=0.8,
    additive=True,
    grey_p=0.2,
    blur_p=1.0,
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
)

AUGMENTS: dict[str, VideoAugment] = {
    "none": VideoAugment(crop_area=None, flip=0.0),
    # AVID table 7
    "avid": VideoAugment(jitter=(0.4, 0.4, 0.4, 0.2)),
    # numbers of the official code; the blur is the paper's (SimCLR's), not the code's horizontal one
    "stica": VideoAugment(
        crop_area=(0.14, 1.0),
        jitter=(0.4, 0.4, 0.4, 0.0),
        jitter_p=0.8,
        jitter_normalised=True,
        grey_p=0.2,
        blur_p=0.5,
        mean=(0.45, 0.45, 0.45),
        std=(0.225, 0.225, 0.225),
    ),
    # BraVe A.2
    "brave": _BRAVE,
    "brave_broad": replace(_BRAVE, random_conv=True),
    # CrissCross table S1
    "crisscross": VideoAugment(jitter=(0.4, 0.4, 0.4, 0.2), grey_p=0.2, blur_p=0.5, cutout=20),
}


def video_augment(name: str, crop_area: tuple[float, float] | None = None) -> VideoAugment:
    """A paper's augmentation by name.

    Args:
        name: a name in `AUGMENTS`.
        crop_area: least and most share of the frame in place of the paper's; None keeps the paper's. An
            augmentation that does not crop at random still does not.

    Raises:
        UserError: no such name, or no such crop.
    """
    if name not in AUGMENTS:
        raise errors.unknown("video augmentation", name, AUGMENTS)
    augment = AUGMENTS[name]
    if crop_area is None or augment.crop_area is None:
        return augment
    return replace(augment, crop_area=crop_area)


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
        a = self.augment
        draw = Draw(generator)
        with torch.autocast(video.device.type, enabled=False):
            if not self.training or a.crop_area is None:
                boxes = geometry.square_boxes(aspect)
            else:
                boxes = geometry.random_boxes(aspect, a.crop_area, a.crop_aspect, draw)
            flip = draw.chance(len(video), a.flip) if self.training and a.flip else None
            x = geometry.crop_resize(video, boxes, self.size, flip).mul_(1 / 255)
            if not self.training:
                return self._normalise(x)
            if a.jitter_normalised:
                return self._texture(self._jitter(self._normalise(x), draw), draw)
            return self._normalise(self._texture(self._jitter(x, draw), draw))

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
            taken = [geometry.crop_resize(video, box, self.size).mul_(1 / 255) for box in boxes]
            return torch.stack([self._normalise(x) for x in taken], dim=1)

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

    def _normalise(self, x: Tensor) -> Tensor:
        mean, std = self.mean.to(x.device), self.std.to(x.device)
        return x.sub_(mean).div_(std)

    def _jitter(self, x: Tensor, draw: Draw) -> Tensor:
        """Colour jitter of the clips that are drawn for it."""
        a, n = self.augment, len(x)
        if not any(a.jitter) or not a.jitter_p:
            return x
        wanted = draw.chance(n, a.jitter_p)
        amounts = [draw.uniform(n, low=-most, high=most) for most in a.jitter]
        # a factor below 0 would make negatives (torchvision limits it likewise)
        factors = [(1 + amount).clamp(min=0) for amount in amounts[:3]]
        steps: list[tuple[Callable[[Tensor, Tensor], Tensor], Tensor]]
        if a.additive:
            steps = [
                (colour.brightness_offset, amounts[0]),
                (colour.saturation_hsv, factors[2]),
                (colour.contrast_channel, factors[1]),
                (colour.hue, amounts[3]),
            ]
        else:
            operations = (colour.brightness, colour.contrast, colour.saturation, colour.hue)
            by_name = list(zip(operations, (*factors, amounts[3]), strict=True))
            steps = [by_name[i] for i in draw.order(4) if a.jitter[i]]
        clip_each = not a.additive and not a.jitter_normalised

        def jitter(clips: Tensor, rows: Tensor) -> Tensor:
            for operation, amount in steps:
                clips = operation(clips, amount[rows])
                if clip_each and operation is not colour.hue:  # hue leaves [0, 1] as it is
                    clips.clamp_(0, 1)
            return clips.clamp_(0, 1) if a.additive else clips

        return _some(x, wanted, jitter)

    def _texture(self, x: Tensor, draw: Draw) -> Tensor:
        """Everything after colour jitter, on the clips that are drawn for it."""
        a, n = self.augment, len(x)
        if a.grey_p:
            x = _some(x, draw.chance(n, a.grey_p), lambda clips, _: colour.grey(clips).expand_as(clips))
        if a.blur_p:
            wanted = draw.chance(n, a.blur_p)
            sigma = draw.uniform(n, low=a.blur_sigma[0], high=a.blur_sigma[1])
            kernel = texture.blur_kernel_size(self.size)
            x = _some(x, wanted, lambda clips, rows: texture.gaussian_blur(clips, sigma[rows], kernel))
        if a.cutout:
            x = texture.cutout(x, a.cutout, draw)
        if a.random_conv:
            x = texture.random_convolution(x, draw)
        return x


def _some(x: Tensor, wanted: Tensor, change: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Changes the wanted clips only; `change` gets them and their row numbers (on the CPU)."""
    rows = wanted.nonzero().flatten()
    if len(rows) == 0:
        return x
    if len(rows) == len(x):
        return change(x, rows).contiguous()
    there = rows.to(x.device)
    return x.index_copy_(0, there, change(x.index_select(0, there), rows))
