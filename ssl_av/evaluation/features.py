"""Features of a data set's samples: computed once, shared by all protocols."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from ssl_av.data.datamodule import AVDataModule
from ssl_av.data.loader import reading_explained
from ssl_av.data.views import AudioView, VideoView
from ssl_av.methods.base import Method
from ssl_av.transforms import AudioTransform, VideoTransform, audio_augment, video_augment

#: (done, total) batches
Progress = Callable[[int, int], None]


@dataclass
class Features:
    """Features of one split, averaged over the clips of each sample.

    Attributes:
        label: [N] class of each sample, -1 where there is none.
        pooled: by modality, [N, num_features] pooled backbone features.
        query: by modality, [N, E] embeddings in the shared space, where the method has one.
        key: by modality, what the queries are compared with.
        skipped: path → reason of the samples that could not be read.
    """

    label: np.ndarray
    pooled: dict[str, np.ndarray] = field(default_factory=dict)
    query: dict[str, np.ndarray] = field(default_factory=dict)
    key: dict[str, np.ndarray] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.label)


class Towers(nn.Module):
    """What evaluation sees of a method: preprocessing, backbones and the shared space; never its loss.

    Args:
        method: whose backbones are measured.
        only: the modalities that the data have; a backbone for another one is left out.
    """

    def __init__(self, method: Method, only: Collection[str] = ("video", "audio")) -> None:
        super().__init__()
        self.method = method
        self.modalities = tuple(modality for modality in method.backbones if modality in only)
        i = method.inputs
        self.video = VideoView(i.frames, i.fps, i.size) if "video" in self.modalities else None
        rate = int(method.front_end.sample_rate)
        self.audio = AudioView(i.audio_seconds, rate) if "audio" in self.modalities else None
        # Centred and normalised as the method's own views are: in eval mode its augmentation does just that.
        own = next((v.augment for v in method.views.values() if v.modality == "video"), "none")
        self.prepare_video = VideoTransform(i.size, video_augment(own))
        self.prepare_audio = AudioTransform(method.front_end, audio_augment("none"))

    def forward(
        self, modality: str, clip: Tensor, aspect: Tensor | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        """Pooled features of clips, and their embeddings in the shared space.

        Args:
            modality: ``video`` or ``audio``.
            clip: uint8 frames [B, 3, T, S, S] or waveforms [B, samples].
            aspect: width / height of the frames before they were squashed, [B].
        """
        x = self.prepare_video(clip, aspect) if modality == "video" else self.prepare_audio(clip)
        backbone = self.method.net(modality)
        features = backbone.forward_features(x)
        return backbone.pool(features), self.method.embed(modality, features)


@reading_explained()
@torch.inference_mode()
def extract(
    towers: Towers,
    data: AVDataModule,
    split: str,
    clips: int = 1,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Features:
    """Features of a split: every sample's ``clips`` evenly spaced clips, decoded once for both modalities.

    Args:
        towers: the networks; set to eval mode while this runs, then as before.
        data: where the samples come from.
        split: ``train``, ``val`` or ``test``.
        clips: clips a sample, whose features are averaged.
        limit: at most so many samples, evenly spread.
        progress: called with (done, total) batches.
    """
    device = next(towers.parameters()).device
    was_training = towers.training
    towers.eval()
    loader = data.clips(split, towers.video, towers.audio, clips, limit)
    labels: list[Tensor] = []
    columns: dict[tuple[str, str], list[Tensor]] = {}
    skipped: dict[str, str] = {}
    for done, batch in enumerate(loader, start=1):
        skipped |= dict(batch["skipped"])
        size = len(batch["index"])
        if size:
            labels.append(batch["label"])
            for modality in towers.modalities:
                # All clips of a batch in one forward pass, then the mean over each sample's clips.
                clip = torch.cat([batch[f"{modality}_{k}"] for k in range(clips)]).to(device)
                aspect = batch["video_0.aspect"].repeat(clips).to(device) if modality == "video" else None
                pooled, embedded = towers(modality, clip, aspect)
                found = {"pooled": pooled}
                if embedded is not None:
                    found |= {"query": embedded[0], "key": embedded[1]}
                for kind, x in found.items():
                    mean = x.float().view(clips, size, -1).mean(dim=0).cpu()
                    columns.setdefault((kind, modality), []).append(mean)
        if progress is not None:
            progress(done, len(loader))
    towers.train(was_training)
    out = Features(torch.cat(labels).numpy() if labels else np.empty(0, dtype=np.int64), skipped=skipped)
    for (kind, modality), parts in columns.items():
        getattr(out, kind)[modality] = torch.cat(parts).numpy()
    return out
