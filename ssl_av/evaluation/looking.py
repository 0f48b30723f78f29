"""What figures and diagnostics need of some samples: features clip by clip, and a picture of each."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from numpy.typing import NDArray
from torch import Tensor

from ssl_av.data.datamodule import AVDataModule, ClipDataset, collate
from ssl_av.data.loader import reading_explained
from ssl_av.data.manifest import Manifest
from ssl_av.data.views import AudioView, Spaced, VideoView
from ssl_av.methods.base import Method
from ssl_av.transforms import AudioTransform, VideoTransform, video_augment

Array = NDArray[Any]


class Sight:
    """A method's networks, and how their inputs are cut and prepared: as its own views are, without augmentation.

    Args:
        method: whose networks.
        only: the modalities to be used, of those that the method has.
    """

    def __init__(self, method: Method, only: Collection[str] = ("video", "audio")) -> None:
        self.method = method
        self.modalities = tuple(m for m in method.backbones if m in only)
        i, rate = method.inputs, int(method.front_end.sample_rate)
        self.video = VideoView(i.frames, i.fps, i.size) if "video" in self.modalities else None
        self.audio = AudioView(i.audio_seconds, rate) if "audio" in self.modalities else None
        # The augmentation names the centring and normalisation that the weights know; in eval mode it does no more.
        own = next((v.augment for v in method.views.values() if v.modality == "video"), "none")
        self.transform = VideoTransform(i.size, video_augment(own)).eval()
        self.spectrogram = AudioTransform(method.front_end)

    def prepare(self, modality: str, clip: Tensor, aspect: Tensor | None = None) -> Tensor:
        """What the network takes, of uint8 frames [B, 3, T, S, S] or waveforms [B, samples]."""
        clip = clip.to(self.method.device)
        return self.transform(clip, aspect) if modality == "video" else self.spectrogram.eval()(clip)

    def __call__(self, modality: str, clip: Tensor, aspect: Tensor | None = None) -> dict[str, Tensor]:
        """``pooled`` features of clips, and ``query`` and ``key`` in the shared space, where there is one."""
        backbone = self.method.net(modality)
        features = backbone.forward_features(self.prepare(modality, clip, aspect))
        shared = self.method.embed(modality, features)
        named = {} if shared is None else {"query": shared[0], "key": shared[1]}
        return {"pooled": backbone.pool(features), **named}


@dataclass
class Seen:
    """Some samples of a split; row i of everything is one sample.

    Attributes:
        ids: paths from the data set's root.
        label: [N], -1 where there is none.
        pictures: N uint8 [S, S, 3]: the middle frame of the first clip, or its spectrogram where there is no video.
        pooled: by modality, [clips, N, C] backbone features, not averaged.
        query: by modality, [clips, N, D] embeddings in the shared space, where there is one.
        key: what the queries are compared with.
        video: the first samples' first clips as read, uint8 [n, 3, T, S, S].
        aspect: their width / height, [n].
        audio: the waveforms of the same samples.
    """

    ids: list[str] = field(default_factory=list)
    label: Array = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    pictures: list[NDArray[np.uint8]] = field(default_factory=list)
    pooled: dict[str, Array] = field(default_factory=dict)
    query: dict[str, Array] = field(default_factory=dict)
    key: dict[str, Array] = field(default_factory=dict)
    video: Tensor | None = None
    aspect: Tensor | None = None
    audio: Tensor | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def mean(self, kind: str = "pooled") -> dict[str, Array]:
        """Features averaged over the clips of each sample, [N, C], by modality."""
        return {m: x.mean(axis=0) for m, x in getattr(self, kind).items()}


@reading_explained()
@torch.no_grad()
def look(
    sight: Sight, data: AVDataModule, split: str, clips: int = 2, limit: int = 300, keep: int = 4
) -> Seen:
    """Looks at evenly spread samples of a split.

    Args:
        sight: the networks; in eval mode while this runs, then as before.
        data: where the samples come from.
        split: ``train``, ``val`` or ``test``.
        clips: evenly spaced clips of each sample.
        limit: at most so many samples.
        keep: of the first so many, the clips themselves are kept.
    """
    training = sight.method.training
    sight.method.eval()
    loader = data.clips(split, sight.video, sight.audio, clips, limit)
    manifest: Manifest = loader.dataset.manifest  # type: ignore[attr-defined]
    paths = manifest.columns("path")["path"]
    out, labels = Seen(), [np.empty(0, dtype=np.int64)]
    columns: dict[tuple[str, str], list[list[Tensor]]] = {}
    kept: dict[str, list[Tensor]] = {"video": [], "audio": [], "aspect": []}
    for batch in loader:
        if not len(batch["index"]):
            continue
        room = keep - len(out)
        for name, key in (("video", "video_0"), ("audio", "audio_0"), ("aspect", "video_0.aspect")):
            if key in batch and room > 0:
                kept[name].append(batch[key][:room])
        out.ids += [os.fspath(paths[i]) for i in batch["index"].tolist()]
        labels.append(batch["label"].numpy())
        out.pictures += pictures(batch, sight)
        for modality in sight.modalities:
            aspect = batch["video_0.aspect"] if modality == "video" else None
            for k in range(clips):
                for kind, x in sight(modality, batch[f"{modality}_{k}"], aspect).items():
                    column = columns.setdefault((kind, modality), [[] for _ in range(clips)])
                    column[k].append(x.float().cpu())
    sight.method.train(training)
    out.label = np.concatenate(labels)
    for (kind, modality), parts in columns.items():
        getattr(out, kind)[modality] = torch.stack([torch.cat(part) for part in parts]).numpy()
    out.video, out.audio, out.aspect = (
        torch.cat(kept[name]) if kept[name] else None for name in ("video", "audio", "aspect")
    )
    return out


def pictures_of(rows: list[int], manifest: Manifest, sight: Sight, data: AVDataModule) -> list[Array]:
    """A picture of each of these rows of a manifest; grey where a sample cannot be read."""
    views: dict[str, VideoView | AudioView] = {}
    if sight.video is not None:
        v = sight.video
        views["video_0"] = VideoView(v.frames, v.fps, v.size, "none", Spaced(0, 1))
    elif sight.audio is not None:
        views["audio_0"] = AudioView(sight.audio.seconds, sight.audio.rate, "none", Spaced(0, 1))
    dataset = ClipDataset(manifest.take(rows), views, data.loading)
    found: list[Array] = []
    for i in range(len(rows)):
        batch = collate([dataset[(0, i)]])
        found += pictures(batch, sight) if len(batch["index"]) else [np.full((64, 64, 3), 200, np.uint8)]
    return found


def pictures(batch: dict[str, Any], sight: Sight) -> list[NDArray[np.uint8]]:
    """A picture of each sample of a batch: see `Seen.pictures`."""
    if "video_0" in batch:
        clip = batch["video_0"]
        return list(clip[:, :, clip.shape[2] // 2].permute(0, 2, 3, 1).numpy())
    spec = sight.prepare("audio", batch["audio_0"])[:, 0].transpose(1, 2).flip(1).cpu()
    low, high = spec.amin(dim=(1, 2), keepdim=True), spec.amax(dim=(1, 2), keepdim=True)
    scaled = ((spec - low) / (high - low).clamp(min=1e-9)).numpy()
    return list((colormaps["magma"](scaled)[..., :3] * 255).astype(np.uint8))
