"""Reference row: no network, only statistics of spectrogram and picture, measured as every method is."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_av.backbones.base import Backbone, check_count
from ssl_av.errors import UserError
from ssl_av.methods import register_method
from ssl_av.methods.base import Batch, Embeddings, Method
from ssl_av.methods.settings import Inputs, Networks, Optim
from ssl_av.transforms.spectrograms import AvidSpectrogram

GREY = (0.299, 0.587, 0.114)


class OverTime(Backbone):
    """Mean, standard deviation and maximum over time of every channel of a map.

    Args:
        parts: stretches of time of (nearly) equal length, each with statistics of its own.
    """

    stages = ()

    def __init__(self, parts: int) -> None:
        super().__init__("avg")
        self.parts = parts

    def pool(self, features: Tensor) -> Tensor:
        """[B, C, time, …] → [B, parts · 3 · C]; the deviation is that of the population."""
        pieces = features.flatten(2).tensor_split(min(self.parts, features.shape[2]), dim=2)
        return torch.cat([f for x in pieces for f in self.statistics(x)], dim=1)

    def statistics(self, x: Tensor) -> list[Tensor]:
        """[B, C, time] → three of [B, C]."""
        return [x.mean(dim=2), x.std(dim=2, correction=0), x.amax(dim=2)]


class Sound(OverTime):
    """The bands of a spectrogram.

    Args:
        bands: of the spectrogram.
        parts: see `OverTime`.
        silence: [bands], what the front end gives for silence: frames that are nothing else are left out,
            unless there is no other. None counts all frames.
    """

    modality = "audio"
    silence: Tensor | None

    def __init__(self, bands: int, parts: int, silence: Tensor | None = None) -> None:
        super().__init__(parts)
        self.smallest = (1, 1)
        self.num_features = 3 * bands * parts
        self.register_buffer("silence", silence, persistent=False)

    def forward_features(self, x: Tensor) -> Tensor:
        """[B, 1, time, frequency] → [B, frequency, time, 1]."""
        self.check(x)
        return x.permute(0, 3, 2, 1)

    def statistics(self, x: Tensor) -> list[Tensor]:
        """[B, bands, time] → three of [B, bands]."""
        if self.silence is None:
            return super().statistics(x)
        heard = (x > self.silence[:, None] + 1e-4).any(dim=1, keepdim=True)  # a little: sums are rounded
        heard = heard | ~heard.any(dim=2, keepdim=True)
        count = heard.sum(dim=2)
        mean = (x * heard).sum(dim=2) / count
        deviation = (((x - mean[..., None]) ** 2 * heard).sum(dim=2) / count).sqrt()
        return [mean, deviation, x.masked_fill(~heard, -torch.inf).amax(dim=2)]


class Picture(OverTime):
    """The colours of a coarse grid over the picture, and how the brightness of each cell changes.

    Args:
        cells: rows and columns of the grid.
        region: (left, top, right, bottom) of what is looked at, as shares of the picture.
        parts: see `OverTime`.
        motion: only the changes, by their mean and that of their magnitude.
    """

    modality = "video"

    def __init__(
        self, cells: int, region: tuple[float, float, float, float], parts: int, motion: bool = False
    ) -> None:
        super().__init__(parts)
        self.cells, self.region, self.motion = cells, region, motion
        self.smallest = (2, cells, cells)
        self.num_features = (2 if motion else 3 * 4) * cells**2 * parts

    def statistics(self, x: Tensor) -> list[Tensor]:
        """[B, cells, time] → two or three of [B, cells]."""
        return [x.mean(dim=2), x.abs().mean(dim=2)] if self.motion else super().statistics(x)

    def forward_features(self, x: Tensor) -> Tensor:
        """[B, 3, T, H, W] → [B, 4 · cells², T - 1, 1, 1]: red, green, blue, and the difference to the frame before.

        Of the motion alone the difference: [B, cells², T - 1, 1, 1].
        """
        self.check(x)
        left, top, right, bottom = self.region
        height, width = x.shape[3:]
        rows = slice(int(top * height), max(round(bottom * height), int(top * height) + 1))
        columns = slice(int(left * width), max(round(right * width), int(left * width) + 1))
        grid = F.adaptive_avg_pool3d(x[..., rows, columns], (None, self.cells, self.cells))
        change = (grid * grid.new_tensor(GREY).view(1, 3, 1, 1, 1)).sum(dim=1, keepdim=True).diff(dim=2)
        found = change if self.motion else torch.cat([grid[:, :, 1:], change], dim=1)
        return found.permute(0, 1, 3, 4, 2).flatten(1, 3)[..., None, None]


@register_method
class Statistics(Method):
    """What a baseline without a network gets: statistics over time, nothing learned.

    Sound: mean, deviation and maximum of each band of the front end's spectrogram. Picture: the same of the colours
    of a coarse grid and of their changes from frame to frame.

    Args:
        parts: stretches of time with statistics of their own; 1 forgets when something happened.
        cells: rows and columns of the grid over the picture.
        region: left, top, right and bottom of the part of the picture that is looked at, as shares of it.
        motion: of the picture only how its cells change, by the mean of the changes and that of their magnitude:
            colours say who speaks, not what.
        skip_silence: leaves frames of digital silence out of the sound's statistics: many recordings are filled up
            with it to a common length.
        networks: not used; there are none.
    """

    name: ClassVar[str] = "statistics"
    paper: ClassVar[str] = "reference: statistics"
    trains: ClassVar[bool] = False

    def __init__(
        self,
        *,
        parts: int = 1,
        cells: int = 8,
        region: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0),
        motion: bool = False,
        skip_silence: bool = False,
        inputs: Inputs = Inputs(audio_seconds=5.0, front_end="small"),
        networks: Networks = Networks(),
        optim: Optim = Optim(),
    ) -> None:
        super().__init__(
            inputs,
            networks,
            optim,
            parts=parts,
            cells=cells,
            region=region,
            motion=motion,
            skip_silence=skip_silence,
        )
        check_count("statistics: parts", parts)
        check_count("statistics: cells", cells)
        region = tuple(region)  # type: ignore[assignment]  # a list, where it comes from a file
        left, top, right, bottom = region
        if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
            raise UserError(
                f"statistics: region is left, top, right, bottom within 0 … 1, got {list(region)}"
            )
        if inputs.frames < 2 or inputs.size < cells:
            raise UserError(
                f"statistics: changes of a grid of {cells} × {cells} cells need at least 2 frames of {cells} pixels, "
                f"got {inputs.frames} of {inputs.size}"
            )
        self.declare({"video": self.clip(), "audio": self.sound()})
        self.backbones["video"] = Picture(cells, region, parts, motion)
        self.backbones["audio"] = Sound(self.front_end.bins, parts, self._silence() if skip_silence else None)

    def _silence(self) -> Tensor:
        """[bands], what the front end makes of nothing."""
        if isinstance(self.front_end, AvidSpectrogram):
            raise UserError(
                "statistics: skip_silence needs a front end that knows silence; avid's lowest value is relative to "
                "each clip's loudest (choose inputs.front_end small or wide)"
            )
        silence = torch.zeros(1, self.front_end.shortest + self.front_end.sample_rate // 10)
        return self.front_end(silence)[0, 0, 0]

    def forward(self, batch: Batch) -> Embeddings:
        """The statistics of each modality."""
        return {m: self.backbones[m](batch[m]) for m in ("video", "audio")}

    def loss(self, embeddings: Embeddings, batch: Batch) -> dict[str, Tensor]:
        """There is none to minimise."""
        raise UserError(
            "`statistics` is a reference without weights: it can be benched and evaluated, not fitted"
        )
