"""Augmentation of sound: on the waveform, then on the spectrogram, batched and random per sample."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_av import errors
from ssl_av.transforms.draws import Draw
from ssl_av.transforms.spectrograms import FrontEnd


@dataclass(frozen=True)
class AudioAugment:
    """What is done to an audio view, in this order (CrissCross's): volume, masks, crop.

    Attributes:
        volume: the waveform is multiplied by a factor uniform in 1 ± this.
        freq_masks: how many bands of the spectrogram to mask and the width in bins they stay below.
        time_masks: how many spans to mask and the length in frames they stay below.
        resize_crop: least and most height and length of a crop, as a share of the spectrogram's, that is
            resized to the whole (BYOL-A's random resize crop); None for none.
        canvas: the crop is taken from a zero canvas so many times as (high, long) as the spectrogram.
    """

    volume: float = 0.0
    freq_masks: tuple[int, int] = (0, 0)
    time_masks: tuple[int, int] = (0, 0)
    resize_crop: tuple[float, float] | None = None
    canvas: tuple[float, float] = (1.0, 1.5)

    def __post_init__(self) -> None:
        def wrong(what: str) -> errors.UserError:
            return errors.UserError(f"audio augmentation: {what}")

        if not 0 <= self.volume <= 1:
            raise wrong(f"volume {self.volume} must be from 0 to 1")
        if min(*self.freq_masks, *self.time_masks) < 0:
            raise wrong("freq_masks and time_masks are (how many, width), neither below 0")
        if self.resize_crop is not None and not 0 < self.resize_crop[0] <= self.resize_crop[1]:
            raise wrong(f"resize_crop {self.resize_crop} must be 0 < least <= most")
        if min(self.canvas) < 1:
            raise wrong(f"canvas {self.canvas} must be at least 1 each way")


AUDIO_AUGMENTS: dict[str, AudioAugment] = {
    "none": AudioAugment(),
    "avid": AudioAugment(volume=0.1),  # AVID, supplement: data pre-processing
    "stica": AudioAugment(volume=0.1),  # STiCA 6.1 names the jitter, its code the range
    "brave": AudioAugment(),  # BraVe A.2: none
    "crisscross": AudioAugment(  # CrissCross table S2
        volume=0.2, freq_masks=(2, 10), time_masks=(2, 20), resize_crop=(0.6, 1.5)
    ),
}


def audio_augment(name: str) -> AudioAugment:
    """A paper's augmentation by name.

    Raises:
        UserError: no such name.
    """
    if name not in AUDIO_AUGMENTS:
        raise errors.unknown("audio augmentation", name, AUDIO_AUGMENTS)
    return AUDIO_AUGMENTS[name]


def mask(spec: Tensor, dim: int, count: int, width: int, draw: Draw) -> Tensor:
    """Fills spans along one axis with the mean of the sample's spectrogram (SpecAugment).

    Args:
        spec: [B, 1, time, frequency].
        dim: the axis, 2 or 3.
        count: spans a sample.
        width: each span's length is uniform in 0 .. width - 1.
    """
    b, length = len(spec), spec.shape[dim]
    widths = draw.below(torch.full((b, count), min(width, length + 1)))
    start = draw.below(length - widths + 1)
    place = torch.arange(length)
    masked = ((place >= start[..., None]) & (place < (start + widths)[..., None])).any(dim=1)
    shape = [b, 1, 1, 1]
    shape[dim] = length
    mean = spec.mean(dim=(1, 2, 3), keepdim=True)
    return torch.where(masked.view(shape).to(spec.device), mean, spec)


def random_resize_crop(
    spec: Tensor, scale: tuple[float, float], canvas: tuple[float, float], draw: Draw
) -> Tensor:
    """BYOL-A's random resize crop, bicubic: shifts and stretches in time and frequency.

    Args:
        spec: [B, 1, time, frequency], normalised: the canvas around it is 0.
        scale: least and most size of the crop, as a share of the spectrogram's, along each axis.
        canvas: size of the canvas along (frequency, time), as a multiple of the spectrogram's.
    """
    b, _, frames, bins = spec.shape

    def places(length: int, room: int) -> Tensor:
        """[B, length] where along the axis the output reads, 0 being the first entry of `spec`."""
        size = (draw.uniform(b, low=scale[0], high=scale[1]) * length).floor().clamp(1, room)
        start = draw.below(room - size.long() + 1) - (room - length) // 2
        steps = torch.linspace(0, 1, length)
        return start[:, None] + steps * (size - 1)[:, None]

    def relative(place: Tensor, length: int) -> Tensor:
        return (place / max(1, length - 1) * 2 - 1).to(spec.device, spec.dtype)

    high = relative(places(bins, int(bins * canvas[0])), bins)
    long = relative(places(frames, int(frames * canvas[1])), frames)
    shape = (b, frames, bins)
    grid = torch.stack([high[:, None, :].expand(shape), long[:, :, None].expand(shape)], dim=-1)
    return F.grid_sample(spec, grid, mode="bicubic", padding_mode="zeros", align_corners=True)


class AudioTransform(nn.Module):
    """From waveforms to the spectrograms a network sees; augmented in training mode only.

    Args:
        front_end: a module from `spectrogram(name)`.
        augment: what to do, or the name of a paper's way.
    """

    def __init__(self, front_end: FrontEnd, augment: AudioAugment | str = "none") -> None:
        super().__init__()
        self.front_end = front_end
        self.augment = audio_augment(augment) if isinstance(augment, str) else augment

    @property
    def sample_rate(self) -> int:
        """What the waveforms must have been resampled to, Hz."""
        return self.front_end.sample_rate

    def extra_repr(self) -> str:
        """Shown when the module is printed."""
        return f"augment={self.augment}"

    @torch.no_grad()
    def forward(self, wave: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Augments a batch.

        Args:
            wave: floating point [B, samples] in [-1, 1].
            generator: where random numbers come from; the global CPU generator when None.

        Returns:
            float32 [B, 1, time, frequency].

        Raises:
            ValueError: `wave` has another shape or type, or is too short.
        """
        a = self.augment
        if not self.training:
            return self.front_end(wave)
        draw = Draw(generator)
        if a.volume:
            factor = draw.uniform(len(wave), 1, low=1 - a.volume, high=1 + a.volume)
            wave = wave * factor.to(wave)
        spec = self.front_end(wave)
        for dim, (count, width) in ((3, a.freq_masks), (2, a.time_masks)):
            if count and width:
                spec = mask(spec, dim, count, width, draw)
        if a.resize_crop is not None:
            spec = random_resize_crop(spec, a.resize_crop, a.canvas, draw)
        return spec
