"""A trained audio backbone behind the HEAR API (https://hearbenchmark.com/hear-api.html).

`heareval` takes this module by its name: ``python -m heareval.embeddings.runner ssl_av.evaluation.hear --model FILE``.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchaudio.functional import resample

from ssl_av.backbones import Backbone
from ssl_av.checkpoint import load_backbone, read
from ssl_av.errors import UserError
from ssl_av.transforms import FrontEnd, spectrogram

SAMPLE_RATES = (16000, 22050, 44100, 48000)
"""Hz; what HEAR's validator accepts. A front end of another rate takes a multiple of its own and resamples."""

TIMESTAMP_WINDOW = 1.0
"""Seconds around a timestamp that its embedding hears, or as many as the backbone was trained on, if fewer."""


class HearModel(nn.Module):
    """An audio backbone from waveforms, with what HEAR asks of a model.

    Args:
        backbone: takes spectrograms.
        front_end: what it was trained with.
        seconds: length of the sound that it was trained on.
        window: seconds that the embedding of a timestamp hears.
        hop: seconds from timestamp to timestamp; HEAR suggests at most 0.05.
        batch: windows that pass through the network at once.

    Attributes:
        sample_rate: Hz, what the waveforms must have.
        scene_embedding_size: dimension of a clip's embedding.
        timestamp_embedding_size: dimension of a timestamp's.
    """

    def __init__(
        self,
        backbone: Backbone,
        front_end: FrontEnd,
        seconds: float,
        window: float | None = None,
        hop: float = 0.05,
        batch: int = 64,
    ) -> None:
        super().__init__()
        window = min(seconds, TIMESTAMP_WINDOW) if window is None else window
        if not (seconds > 0 and window > 0 and hop > 0 and batch > 0):
            raise UserError(
                f"seconds, window, hop and batch must be above 0: {seconds}, {window}, {hop}, {batch}"
            )
        self.backbone, self.front_end = backbone, front_end
        self.seconds, self.window, self.hop, self.batch = seconds, window, hop, batch
        self.rate = int(front_end.sample_rate)
        self.sample_rate = next((r for r in SAMPLE_RATES if r % self.rate == 0), SAMPLE_RATES[-1])
        self.scene_embedding_size = self.timestamp_embedding_size = int(backbone.num_features)
        frames = (backbone.smallest or (7, 7))[0]
        self.least = front_end.shortest
        while front_end.frames(self.least) < frames:
            self.least += front_end.hop
        self.eval()

    def scenes(self, audio: Tensor) -> Tensor:
        """Embeddings of whole clips: the mean over windows of the trained length, half overlapping, evenly spread.

        Args:
            audio: [n_sounds, n_samples] in [-1, 1] at `sample_rate`.

        Returns:
            float32 [n_sounds, scene_embedding_size].
        """
        wave = self._prepared(audio)
        length = max(round(self.seconds * self.rate), self.least)
        if wave.shape[1] <= length:
            wave = F.pad(wave, (0, max(self.least - wave.shape[1], 0)))
            return self._embedded(wave[:, None]).squeeze(1)
        count = math.ceil(2 * (wave.shape[1] - length) / length) + 1
        starts = torch.linspace(0, wave.shape[1] - length, count, dtype=torch.float64).round().long()
        return self._windows(wave, starts, length).mean(dim=1)

    def timestamps(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings of windows centred on timestamps from 0 on, every `hop`; beyond the clip there is silence.

        Args:
            audio: [n_sounds, n_samples] in [-1, 1] at `sample_rate`.

        Returns:
            float32 [n_sounds, n_timestamps, timestamp_embedding_size], and the timestamps in milliseconds, float32
            [n_sounds, n_timestamps]: none lies beyond the end of the clip.
        """
        duration = audio.shape[-1] / self.sample_rate
        wave = self._prepared(audio)
        count = math.floor(duration / self.hop + 1e-9) + 1
        # Each from its own time, not by adding up a rounded hop: no drift over 20 minutes.
        times = torch.arange(count, dtype=torch.float64) * self.hop
        length = max(round(self.window * self.rate), self.least)
        wave = F.pad(wave, (length // 2, length))
        found = self._windows(wave, (times * self.rate).round().long(), length)
        stamps = (times * 1000).float().to(found.device).expand(len(wave), -1)
        return found, stamps.contiguous()

    def _prepared(self, audio: Tensor) -> Tensor:
        if audio.ndim != 2 or not audio.is_floating_point():
            raise ValueError(
                f"audio must be float [n_sounds, n_samples], got {audio.dtype} {list(audio.shape)}"
            )
        if not audio.shape[1]:
            raise ValueError("audio has no samples")
        wave = audio.to(next(self.backbone.parameters()).device).float()
        return wave if self.rate == self.sample_rate else resample(wave, self.sample_rate, self.rate)

    def _windows(self, wave: Tensor, starts: Tensor, length: int) -> Tensor:
        """[B, windows, C]: cut and embedded a few at a time, so that memory does not grow with the clip."""
        views = wave.unfold(1, length, 1)  # no copy: [B, every start, length]
        at_once = max(self.batch // max(len(wave), 1), 1)
        return torch.cat([self._embedded(views[:, part]) for part in starts.split(at_once)], dim=1)

    @torch.no_grad()
    def _embedded(self, windows: Tensor) -> Tensor:
        """[B, windows, samples] to [B, windows, C]."""
        flat = windows.flatten(0, 1)
        parts = [self.backbone(self.front_end(x)).float() for x in flat.split(self.batch)]
        return torch.cat(parts).unflatten(0, windows.shape[:2])


def load_model(
    model_file_path: str | Path = "", window: float | None = None, hop: float = 0.05, batch: int = 64
) -> HearModel:
    """The audio backbone of a file, in eval mode, behind its own front end.

    Args:
        model_file_path: a checkpoint of ours, an exported file, or an official checkpoint.
        window: seconds that a timestamp's embedding hears (default: 1, or as trained if that is less).
        hop: seconds from timestamp to timestamp.
        batch: windows at once.

    Raises:
        UserError: if the file is no such file, or has no audio backbone.
    """
    if not str(model_file_path):  # what HEAR's tools give where they are given none
        raise UserError("hear: there are no weights of ours to fall back on; give a file (--model FILE)")
    backbone = load_backbone(model_file_path, "audio")
    inputs = read(model_file_path, backbones_only=True).settings["inputs"]
    return HearModel(backbone, spectrogram(inputs["front_end"]), inputs["audio_seconds"], window, hop, batch)


def get_scene_embeddings(audio: Tensor, model: HearModel) -> Tensor:
    """One embedding a clip: see `HearModel.scenes`."""
    return model.scenes(audio)


def get_timestamp_embeddings(audio: Tensor, model: HearModel) -> tuple[Tensor, Tensor]:
    """Embeddings at regular intervals, and the centres of what they hear in milliseconds: `HearModel.timestamps`."""
    return model.timestamps(audio)
