"""Augmentation of sound: on the waveform, then on the spectrogram, batched and random per sample."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_av import errors
from ssl_av.transforms.draws import Draw
from ssl_av.transforms.spectrograms import FrontEnd


@dataclass(frozen=True)
class AudioAugment:
    """What is done to an audio view, in this order (CrissCross's): volume, rescaling, warp, masks, crop.

    Attributes:
        volume: the waveform is multiplied by a factor uniform in 1 ± this.
        rescale: least and most length of the sound that is squeezed or stretched into the spectrogram's, as a
            multiple of what the network sees; None for none. The view must be `reach` times as long.
        warp: a frame of the spectrogram is moved in time by less than or just so many frames, and the others
            with it (SpecAugment's time warp).
        freq_masks: how many bands of the spectrogram to mask and the width in bins they stay below.
        time_masks: how many spans to mask and the length in frames they stay below.
        resize_crop: least and most height and length of a crop, as a share of the spectrogram's, that is
            resized to the whole (BYOL-A's random resize crop); None for none.
        canvas: the crop is taken from a zero canvas so many times as (high, long) as the spectrogram.
    """

    volume: float = 0.0
    rescale: tuple[float, float] | None = None
    warp: int = 0
    freq_masks: tuple[int, int] = (0, 0)
    time_masks: tuple[int, int] = (0, 0)
    resize_crop: tuple[float, float] | None = None
    canvas: tuple[float, float] = (1.0, 1.5)

    def __post_init__(self) -> None:
        def wrong(what: str) -> errors.UserError:
            return errors.UserError(f"audio augmentation: {what}")

        if not 0 <= self.volume <= 1:
            raise wrong(f"volume {self.volume} must be from 0 to 1")
        if self.rescale is not None and not 0 < self.rescale[0] <= self.rescale[1]:
            raise wrong(f"rescale {self.rescale} must be 0 < least <= most")
        if self.warp < 0:
            raise wrong(f"warp {self.warp} must not be negative")
        if min(*self.freq_masks, *self.time_masks) < 0:
            raise wrong("freq_masks and time_masks are (how many, width), neither below 0")
        if self.resize_crop is not None and not 0 < self.resize_crop[0] <= self.resize_crop[1]:
            raise wrong(f"resize_crop {self.resize_crop} must be 0 < least <= most")
        if min(self.canvas) < 1:
            raise wrong(f"canvas {self.canvas} must be at least 1 each way")

    @property
    def reach(self) -> float:
        """How many times the sound that the network sees must be read."""
        return 1.0 if self.rescale is None else self.rescale[1]


_CRISSCROSS = AudioAugment(volume=0.2, freq_masks=(2, 10), time_masks=(2, 20), resize_crop=(0.6, 1.5))

AUDIO_AUGMENTS: dict[str, AudioAugment] = {
    "none": AudioAugment(),
    "avid": AudioAugment(volume=0.1),  # AVID, supplement: audio pre-processing; so does its code
    # the same paragraph: 1.4 to 2.8 s of sound rescaled to the frames of 2 s (the code does not)
    "avid_paper": AudioAugment(volume=0.1, rescale=(0.7, 1.4)),
    "stica": AudioAugment(volume=0.1),  # STiCA 6.1 names the jitter, its code the range
    "stica_simclr": AudioAugment(volume=0.1),
    "brave": AudioAugment(),  # BraVe A.2: none
    "brave_broad": AudioAugment(),
    "crisscross": _CRISSCROSS,  # CrissCross table S2
    # the rows of its table 5
    "crisscross_vj": AudioAugment(volume=0.2),
    "crisscross_vj_m": replace(_CRISSCROSS, resize_crop=None),
    "crisscross_vj_m_tw": replace(_CRISSCROSS, resize_crop=None, warp=20),
    # rows of table 5 that vary the picture
    "crisscross_gs": _CRISSCROSS,
    "crisscross_gs_c": _CRISSCROSS,
    "crisscross_gs_gb": _CRISSCROSS,
    "crisscross_per_frame": _CRISSCROSS,
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


def _read(spec: Tensor, times: Tensor, bins: Tensor | None = None, outside: str = "border") -> Tensor:
    """The spectrogram at fractional places, bicubic.

    Args:
        spec: [B, 1, time, frequency].
        times: [B, frames] where along time each frame of the output reads, 0 being the first frame; CPU.
        bins: [B, bins], likewise along frequency; None for the bins as they are.
        outside: what lies there: `zeros`, or `border` for the nearest value.
    """
    b, frames = times.shape

    def relative(place: Tensor, length: int) -> Tensor:
        return (place / max(1, length - 1) * 2 - 1).to(spec.device, spec.dtype)

    if bins is None:
        bins = torch.arange(spec.shape[3]).expand(b, -1)
    shape = (b, frames, bins.shape[1])
    high, long = relative(bins, spec.shape[3])[:, None, :], relative(times, spec.shape[2])[:, :, None]
    grid = torch.stack([high.expand(shape), long.expand(shape)], dim=-1)
    return F.grid_sample(spec, grid, mode="bicubic", padding_mode=outside, align_corners=True)


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
        size = (draw.uniform(b, low=scale[0], high=scale[1]) * length).floor().clamp(1, room)
        start = draw.below(room - size.long() + 1) - (room - length) // 2
        steps = torch.linspace(0, 1, length)
        return start[:, None] + steps * (size - 1)[:, None]

    high = places(bins, int(bins * canvas[0]))
    return _read(spec, places(frames, int(frames * canvas[1])), high, outside="zeros")


def rescale(spec: Tensor, frames: int, shares: tuple[float, float], draw: Draw) -> Tensor:
    """Squeezes or stretches the beginning of each spectrogram into `frames` frames (AVID, supplement).

    Args:
        spec: [B, 1, time, frequency].
        frames: length of the output.
        shares: least and most length of the beginning, as a share of the spectrogram's; uniform between them.
    """
    length = draw.uniform(len(spec), 1, low=shares[0], high=shares[1]) * spec.shape[2]
    steps = (torch.arange(frames) + 0.5) / frames
    return _read(spec, (length * steps - 0.5).clamp(0, spec.shape[2] - 1))


def time_warp(spec: Tensor, window: int, draw: Draw) -> Tensor:
    """SpecAugment's time warp: one frame is moved, what lies before and after it is stretched to fit.

    The frame is uniform in `window` .. time - `window`, its move a whole number uniform in -`window` + 1 ..
    `window`, as in the implementation that CrissCross D.2 names. A spectrogram of at most twice the window
    stays as it is.

    Args:
        spec: [B, 1, time, frequency].
        window: in frames.
    """
    b, frames = len(spec), spec.shape[2]
    if frames <= 2 * window or window == 0:
        return spec
    old = draw.below(torch.full((b, 1), frames - 2 * window)) + window
    new = old + draw.below(torch.full((b, 1), 2 * window)) - window + 1
    place = torch.arange(frames) + 0.5
    before = (place * old / new - 0.5).clamp(min=0).minimum(old - 1)
    after = ((place - new) * (frames - old) / (frames - new).clamp(min=1) + old - 0.5).clamp(max=frames - 1)
    return _read(spec, torch.where(place < new, before, after.maximum(old)))


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
            wave: floating point [B, samples] in [-1, 1]; where the augmentation rescales, in training mode,
                `reach` times as long as what the network sees.
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
        if a.rescale is not None:
            frames = self.front_end.frames(round(wave.shape[1] / a.reach))
            spec = rescale(spec, frames, (a.rescale[0] / a.reach, 1.0), draw)
        if a.warp:
            spec = time_warp(spec, a.warp, draw)
        for dim, (count, width) in ((3, a.freq_masks), (2, a.time_masks)):
            if count and width:
                spec = mask(spec, dim, count, width, draw)
        if a.resize_crop is not None:
            spec = random_resize_crop(spec, a.resize_crop, a.canvas, draw)
        return spec
