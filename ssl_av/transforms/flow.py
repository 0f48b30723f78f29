"""Optical flow on the device: from stored grey levels to displacements in pixels, cropped and mirrored."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ssl_av import errors
from ssl_av.data.flow import ZERO
from ssl_av.transforms import geometry
from ssl_av.transforms.draws import Draw


@dataclass(frozen=True)
class FlowAugment:
    """What is random about a clip of optical flow.

    Attributes:
        crop: side of a square crop anywhere in the frame, as a share of the frame's short side; always the same, for
            scale jitter does not help (BraVe A.2). None is the largest centred square.
        flip: probability of mirroring left to right; a mirrored motion to the right is one to the left.
    """

    crop: float | None = 112 / 128
    flip: float = 0.5

    def __post_init__(self) -> None:
        if self.crop is not None and not 0 < self.crop <= 1:
            raise errors.UserError(f"flow augmentation: crop {self.crop} must be above 0 and at most 1")
        if not 0 <= self.flip <= 1:
            raise errors.UserError(f"flow augmentation: flip {self.flip} must be a probability from 0 to 1")


FLOW_AUGMENTS: dict[str, FlowAugment] = {
    "none": FlowAugment(crop=None, flip=0.0),
    # BraVe A.2: short side 128, a crop of 112 × 112 anywhere
    "brave": FlowAugment(),
}


def flow_augment(name: str) -> FlowAugment:
    """A paper's augmentation of optical flow by name.

    Raises:
        UserError: no such name.
    """
    if name not in FLOW_AUGMENTS:
        raise errors.unknown("flow augmentation", name, FLOW_AUGMENTS)
    return FLOW_AUGMENTS[name]


class FlowTransform(nn.Module):
    """From stored uint8 flow to the displacements that a network sees, in pixels of its own input.

    In training mode clips are augmented; in eval mode the largest centred square is taken.

    Args:
        size: side of the output in pixels.
        augment: what to do, or the name of a paper's way.
    """

    def __init__(self, size: int, augment: FlowAugment | str = "none") -> None:
        super().__init__()
        self.size = size
        self.augment = flow_augment(augment) if isinstance(augment, str) else augment

    def extra_repr(self) -> str:
        """Shown when the module is printed."""
        return f"size={self.size}, augment={self.augment}"

    @torch.no_grad()
    def forward(
        self, flow: Tensor, aspect: Tensor, step: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Decodes and augments a batch.

        Args:
            flow: uint8 [B, 2, T, S, S'], to the right and downwards, squashed to that size; 128 is no motion.
            aspect: [B], true width / height of the frames.
            step: [B], the motion of one grey level as a share of the frame's short side.
            generator: where random numbers come from; the global CPU generator when None.

        Returns:
            float32 [B, 2, T, size, size], in pixels of this output (in each 1/25 s, as `ssl_av.data.flow` stores it).

        Raises:
            ValueError: `flow` is not uint8 or not of that shape.
        """
        if flow.dtype != torch.uint8 or flow.ndim != 5 or flow.shape[1] != 2:
            raise ValueError(f"flow must be uint8 [B, 2, T, H, W], got {flow.dtype} {list(flow.shape)}")
        n, draw = len(flow), Draw(generator)
        boxes = geometry.square_boxes(aspect.detach().float().cpu())
        share, flip = 1.0, None
        if self.training:
            if self.augment.crop is not None:
                share = self.augment.crop
                size = boxes[:, 2:] * share
                boxes = torch.cat([draw.uniform(n, 2) * (1 - size), size], dim=1)
            if self.augment.flip:
                flip = draw.chance(n, self.augment.flip)
        with torch.autocast(flow.device.type, enabled=False):
            x = geometry.crop_resize(flow, boxes, self.size, flip).sub_(ZERO)
            # One grey level in pixels of the output, whose side is `share` of the short side.
            scale = (step.detach().float().cpu() * (self.size / share))[:, None].repeat(1, 2)
            if flip is not None:
                scale[flip, 0] *= -1
            return x.mul_(scale.view(n, 2, 1, 1, 1).to(x.device))
