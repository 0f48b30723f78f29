"""The papers' front ends for sound: waveform [B, samples] to [B, 1, time, frequency], on its device."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_av import errors
from ssl_av.text import read_json
from ssl_av.transforms import mel

AVID_STATS = Path(__file__).with_name("avid_spectrogram_stats.json")


class FrontEnd(nn.Module, ABC):
    """What all front ends share; a subclass gives the numbers and `_values`.

    Attributes:
        sample_rate: what the waveform must have been resampled to, Hz.
        bins: length of the frequency axis.
        hop: samples from frame to frame.
        shortest: the least number of samples that gives a frame.
    """

    sample_rate: int
    bins: int
    hop: int
    shortest: int = 1

    @torch.no_grad()
    def forward(self, wave: Tensor) -> Tensor:
        """The spectrogram.

        Args:
            wave: floating point [B, samples] in [-1, 1], at `sample_rate`.

        Returns:
            float32 [B, 1, time, frequency].

        Raises:
            ValueError: `wave` has another shape or type, or is too short.
        """
        if wave.ndim != 2 or not wave.is_floating_point():
            raise ValueError(f"wave must be float [B, samples], got {wave.dtype} {list(wave.shape)}")
        if wave.shape[1] < self.shortest:
            raise ValueError(
                f"wave has {wave.shape[1]} samples, this front end needs at least {self.shortest} "
                f"({self.shortest / self.sample_rate * 1000:.1f} ms at {self.sample_rate} Hz)"
            )
        with torch.autocast(wave.device.type, enabled=False):  # a log of half precision is worth little
            return self._values(wave.float())[:, None]

    @abstractmethod
    def frames(self, samples: int) -> int:
        """Length of the time axis for a waveform of so many samples."""

    def hertz(self) -> Tensor:
        """Centre frequency of each bin in Hz, [bins], rising; an empty filter lies between its neighbours."""
        bank = self.get_buffer("bank").double().cpu()
        weight, lines = bank.sum(0), torch.linspace(0, self.sample_rate / 2, len(bank), dtype=torch.float64)
        full = (weight > 0).nonzero().flatten()
        centres = (lines @ bank / weight)[full]
        return torch.from_numpy(np.interp(np.arange(self.bins), full.numpy(), centres.numpy())).float()

    @abstractmethod
    def _values(self, wave: Tensor) -> Tensor:
        """[B, samples] to [B, time, frequency]."""

    def _buffer(self, name: str, value: Tensor) -> None:
        self.register_buffer(name, value.float(), persistent=False)


def _power(wave: Tensor, window: Tensor, hop: int, n_fft: int) -> Tensor:
    """|DFT|^2 of the frames that lie wholly in the wave: [B, frames, n_fft // 2 + 1]."""
    frames = wave.unfold(-1, len(window), hop) * window
    spectrum = torch.fft.rfft(frames, n_fft)
    # a third of the time of abs() on a CPU, which guards against overflow that sound cannot cause
    return torch.addcmul(spectrum.real.square(), spectrum.imag, spectrum.imag)


def _centred(wave: Tensor, n_fft: int) -> Tensor:
    """Reflects the ends, so that frame i is centred on sample i * hop."""
    return F.pad(wave, (n_fft // 2, n_fft // 2), mode="reflect")


def _covered(wave: Tensor, length: int, hop: int, frames: int) -> Tensor:
    """Zeros at the end, so that there are just so many frames."""
    return F.pad(wave, (0, max(0, (frames - 1) * hop + length - wave.shape[1])))


class AvidSpectrogram(FrontEnd):
    """AVID: linear frequency in dB, each bin normalised by training-set statistics (AVID §4; its code).

    24 kHz, centred Hann windows of 1024 (42.7 ms), 10 ms hop, power; DC stays and bins 1 to 512 are averaged
    in pairs; floor 100 dB below the clip's maximum. The extra centred frame is dropped: 2 s are 200 frames.

    Args:
        stats: JSON with "mean" and "std" of the 257 bins in dB; None leaves dB.
    """

    sample_rate, bins, hop, n_fft = 24000, 257, 240, 1024
    shortest = 513  # to reflect half a window
    top_db = 100.0

    window: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, stats: str | Path | None = AVID_STATS) -> None:
        super().__init__()
        self._buffer("window", torch.hann_window(self.n_fft))
        known = read_json(Path(stats)) if stats else {"mean": [0.0], "std": [1.0 - 1e-5]}
        self._buffer("mean", torch.tensor(known["mean"]))
        self._buffer("std", torch.tensor(known["std"]) + 1e-5)

    def frames(self, samples: int) -> int:
        """One for each whole hop."""
        return samples // self.hop

    def hertz(self) -> Tensor:
        """Centre frequency of each bin in Hz, [bins]: DC, then the middle of each pair."""
        pairs = torch.arange(self.bins) * 2 - 0.5
        return pairs.clamp(min=0) * self.sample_rate / self.n_fft

    def _values(self, wave: Tensor) -> Tensor:
        frames = self.frames(wave.shape[1])
        power = _power(_centred(wave, self.n_fft), self.window, self.hop, self.n_fft)[:, :frames]
        pairs = (power[..., 1::2] + power[..., 2::2]) / 2  # the mean over an axis of two is slow
        decibel = torch.cat([power[..., :1], pairs], dim=-1).clamp_(min=1e-10).log10_().mul_(10)
        floor = decibel.amax(dim=(1, 2), keepdim=True) - self.top_db
        return decibel.maximum(floor).sub_(self.mean).div_(self.std)


class SticaSpectrogram(FrontEnd):
    """STiCA: 257 log filter banks (STiCA 6.1; its code, which uses python_speech_features).

    24 kHz, rectangular windows of 20 ms, 10 ms hop, not centred, n_fft 1024, on the scale of 16-bit
    samples, pre-emphasis 0.97, power / n_fft, natural log. 1 s gives 99 frames and 2 s give 199. 38 filters
    are narrower than a bin and always hold the log of the floor.
    """

    sample_rate, bins, hop, n_fft = 24000, 257, 240, 1024
    length = 480
    floor = torch.finfo(torch.float64).eps

    window: Tensor
    bank: Tensor

    def __init__(self) -> None:
        super().__init__()
        self._buffer("window", torch.ones(self.length))
        self._buffer("bank", mel.whole_bins(self.n_fft, self.sample_rate, self.bins, 0.0, 12000.0))

    def frames(self, samples: int) -> int:
        """So many that every sample is in one."""
        return 1 + math.ceil(max(0, samples - self.length) / self.hop)

    def _values(self, wave: Tensor) -> Tensor:
        wave = wave * 32767
        wave = torch.cat([wave[:, :1], wave[:, 1:] - 0.97 * wave[:, :-1]], dim=1)
        wave = _covered(wave, self.length, self.hop, self.frames(wave.shape[1]))
        power = _power(wave, self.window, self.hop, self.n_fft) / self.n_fft
        return (power @ self.bank).clamp(min=self.floor).log()


class BraveSpectrogram(FrontEnd):
    """BraVe: 80 log-mel bins (BraVe A.2; its code).

    48 kHz, Hann windows of 320 (6.67 ms), hop 160, magnitude, mel 80 to 7600 Hz, log(1 + 10^4 mel), not
    normalised; the end is filled with zeros, so that each hop has a frame. 16 of the 80 filters are narrower
    than a bin of so short a window and always 0.
    """

    sample_rate, bins, hop, n_fft = 48000, 80, 160, 320

    window: Tensor
    bank: Tensor

    def __init__(self) -> None:
        super().__init__()
        self._buffer("window", torch.hann_window(self.n_fft))
        self._buffer("bank", mel.tensorflow(self.n_fft, self.sample_rate, self.bins, 80.0, 7600.0))

    def frames(self, samples: int) -> int:
        """One for each hop begun."""
        return math.ceil(samples / self.hop)

    def _values(self, wave: Tensor) -> Tensor:
        wave = _covered(wave, self.n_fft, self.hop, self.frames(wave.shape[1]))
        magnitude = _power(wave, self.window, self.hop, self.n_fft).sqrt_()
        return torch.log1p(1e4 * (magnitude @ self.bank))


class CrissCrossSpectrogram(FrontEnd):
    """CrissCross: 80 log-mel bins (CrissCross D.2; its code, which uses librosa).

    16 kHz, centred Hann windows of 1024, hop 160, power, Slaney mel 0 to 8000 Hz, natural log of x + 1.2e-7,
    (x + 5.3688107) / 4.410007. 2 s give 201 frames.
    """

    sample_rate, bins, hop, n_fft = 16000, 80, 160, 1024
    shortest = 513
    mean, std = -5.3688107, 4.410007

    window: Tensor
    bank: Tensor

    def __init__(self) -> None:
        super().__init__()
        self._buffer("window", torch.hann_window(self.n_fft))
        self._buffer("bank", mel.slaney(self.n_fft, self.sample_rate, self.bins, 0.0, 8000.0))

    def frames(self, samples: int) -> int:
        """One for each hop begun and one for the end."""
        return 1 + samples // self.hop

    def _values(self, wave: Tensor) -> Tensor:
        power = _power(_centred(wave, self.n_fft), self.window, self.hop, self.n_fft)
        logs = (power @ self.bank + torch.finfo(torch.float32).eps).log()
        return (logs - self.mean) / self.std


class SmallSpectrogram(FrontEnd):
    """No paper's: 64 log-mel bins for small budgets, the same for every method.

    16 kHz, centred Hann windows of 25 ms, 10 ms hop, n_fft 512, power, mel 50 to 8000 Hz,
    natural log of x + 1e-5, (x + 3.7) / 4.5, which brings ordinary sound near 0 ± 1 (measured on a mixture of
    environmental recordings, web videos and speech).
    2 s give 200 frames.
    """

    sample_rate, bins, hop, n_fft = 16000, 64, 160, 512
    shortest = 257
    length = 400
    band = 50.0, 8000.0
    floor, mean, std = 1e-5, -3.7, 4.5

    window: Tensor
    bank: Tensor

    def __init__(self) -> None:
        super().__init__()
        margin = (self.n_fft - self.length) // 2  # the window in the middle of the transform's span
        self._buffer("window", F.pad(torch.hann_window(self.length), (margin, margin)))
        self._buffer("bank", mel.htk(self.n_fft, self.sample_rate, self.bins, *self.band))

    def frames(self, samples: int) -> int:
        """One for each whole hop."""
        return samples // self.hop

    def _values(self, wave: Tensor) -> Tensor:
        frames = self.frames(wave.shape[1])
        power = _power(_centred(wave, self.n_fft), self.window, self.hop, self.n_fft)[:, :frames]
        return ((power @ self.bank + self.floor).log() - self.mean) / self.std


class WideSpectrogram(SmallSpectrogram):
    """No paper's: 64 log-mel bins of all that can be heard, down to the softest.

    44.1 kHz, centred Hann windows of 2048 (46.4 ms), hop 512, power, mel 0 to 22,050 Hz, natural log of x + 1e-10,
    (x + 2.1) / 6.6 (measured on environmental recordings). 2 s give 172 frames.
    """

    sample_rate, bins, hop, n_fft = 44100, 64, 512, 2048
    shortest = 1025
    length = 2048
    band = 0.0, 22050.0
    floor, mean, std = 1e-10, -2.1, 6.6


FRONT_ENDS: dict[str, type[FrontEnd]] = {
    "avid": AvidSpectrogram,
    "stica": SticaSpectrogram,
    "brave": BraveSpectrogram,
    "crisscross": CrissCrossSpectrogram,
    "small": SmallSpectrogram,
    "wide": WideSpectrogram,
}


def spectrogram(name: str, **options: Any) -> FrontEnd:
    """A front end by name.

    Args:
        name: `avid`, `stica`, `brave`, `crisscross`, `small` or `wide`.
        options: the front end's own arguments.

    Returns:
        A module from waveform [B, samples] at `.sample_rate` to [B, 1, time, `.bins`].

    Raises:
        UserError: no such name.
    """
    if name not in FRONT_ENDS:
        raise errors.unknown("spectrogram", name, FRONT_ENDS)
    return FRONT_ENDS[name](**options)
