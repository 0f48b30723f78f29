"""What evaluation sees of a method: preprocessing, backbones and the shared space; never its loss."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ssl_av.config import LOADING_FIELDS, load_yaml
from ssl_av.data.views import AudioView, VideoView
from ssl_av.errors import UserError
from ssl_av.evaluation.pooling import block_features, is_block, pooled, stage_maps
from ssl_av.evaluation.views import Column, Cut
from ssl_av.memory import MemoryBank
from ssl_av.methods.base import Method
from ssl_av.text import read_json
from ssl_av.transforms import AudioAugment, AudioTransform, VideoTransform
from ssl_av.transforms.geometry import crop_resize, square_boxes

#: numbers that go into a network at once: 128 MiB, and some twenty times as much inside of it
AT_ONCE = 2**25


class Waveform(nn.Module):
    """The front end of a network that takes the sound itself.

    Args:
        rate: samples a second.
    """

    bins = 1
    shortest = 1

    def __init__(self, rate: int) -> None:
        super().__init__()
        self.sample_rate = rate

    def forward(self, wave: Tensor) -> Tensor:
        """[B, samples], as it is."""
        return wave


class Towers(nn.Module):
    """Networks and how their inputs are prepared.

    Args:
        method: whose backbones are measured.
        only: the modalities that the data have; a backbone for another one is left out.
        trained_on: hash of the manifest that the method was trained on, if it is known, or hashes that are its: only
            with the same one a memory says something about samples.
    """

    def __init__(
        self,
        method: Method,
        only: Collection[str] = ("video", "audio"),
        trained_on: str | Collection[str] | None = None,
    ) -> None:
        super().__init__()
        self.method = method
        self.trained_on = {trained_on} if isinstance(trained_on, str) else set(trained_on or ())
        self.modalities = tuple(modality for modality in method.backbones if modality in only)
        self.inputs = method.inputs
        self.rate = int(method.front_end.sample_rate)
        # The augmentation names the centring and normalisation that the weights know.
        self.own = {
            m: next((v.augment for v in method.views.values() if v.modality == m), "none")
            for m in ("video", "audio")
        }

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return next((p.device for p in self.parameters()), torch.device("cpu"))

    def views(self, cut: Cut, modalities: Collection[str]) -> dict[str, VideoView | AudioView]:
        """What the data serve for a cut."""
        return dict(cut.views(modalities, self.rate, self.own["audio"]))  # type: ignore[arg-type]

    def memories(self, manifest: str, rows: int) -> dict[str, np.ndarray]:
        """The method's memory by modality, [rows, D]; nothing if it has none, or one of other samples.

        Args:
            manifest: hash of the data that are there now.
            rows: of its training split.
        """
        bank = getattr(self.method, "bank", None)
        if not isinstance(bank, MemoryBank) or manifest not in self.trained_on or len(bank) != rows:
            return {}
        return {m: getattr(bank, m).float().cpu().numpy() for m in ("video", "audio")}

    def digest(self) -> str:
        """16 hexadecimal digits of all weights, and of how inputs are prepared."""
        found = hashlib.sha256(repr((self.method.name, self.method.settings, self.own)).encode())
        for name, x in self.method.state_dict().items():
            found.update(f"{name} {x.dtype} {tuple(x.shape)}".encode())
            found.update(x.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return found.hexdigest()[:16]

    def forward(
        self, batch: dict[str, Any], cut: Cut, columns: Collection[Column], seed: int = 0
    ) -> dict[Column, Tensor]:
        """Features of a batch.

        Args:
            batch: what the data served for the cut's views.
            cut: what was cut.
            columns: which features; those of a space that the method has not are left out.
            seed: of the augmentation; each sample's draws depend on it and the sample's number alone.

        Returns:
            float32 [B, D] for merged columns, [B, clips × crops, D] for those that keep the clips; on the CPU.
        """
        size, count = len(batch["index"]), cut.count
        rows: dict[Column, list[Tensor]] = {}
        for modality in dict.fromkeys(c.modality for c in columns):
            mine = [c for c in columns if c.modality == modality]
            for x in self._inputs(modality, batch, cut, seed):
                for column, value in self._features(modality, x, mine).items():
                    rows.setdefault(column, []).append(value)
        out = {}
        for column, parts in rows.items():
            x = torch.cat(parts).float()
            if cut.random or cut.count != cut.clips.clips:  # sample by sample
                x = x.view(size, count, -1)
                out[column] = x.mean(dim=1).cpu() if column.merge == "mean" else x.cpu()
            else:  # clip by clip
                x = x.view(count, size, -1)
                out[column] = x.mean(dim=0).cpu() if column.merge == "mean" else x.transpose(0, 1).cpu()
        return out

    def _features(self, modality: str, x: Tensor, columns: list[Column]) -> dict[Column, Tensor]:
        backbone = self.method.net(modality)
        maps: dict[str, Tensor] = {}
        features: Any = None
        last_map = getattr(backbone, "last_map", None)  # a network of others has it apart from its features
        if any(is_block(c.pool) for c in columns):
            maps = stage_maps(backbone, x)
            features = maps[backbone.stages[-1]]
        elif last_map is None or any(c.pool == "own" for c in columns):
            features = backbone.forward_features(x)
        mapped = any(c.pool != "own" and not is_block(c.pool) for c in columns)
        last = last_map(x) if last_map is not None and mapped else features
        out: dict[Column, Tensor] = {}
        embedded = None
        if any(c.what != "pooled" for c in columns):
            embedded = self.method.embed(modality, features)
        for column in columns:
            if is_block(column.pool):
                out[column] = block_features(backbone, maps, column.pool)
            elif column.what == "pooled":
                out[column] = backbone.pool(features) if column.pool == "own" else pooled(last, column.pool)
            elif embedded is not None:
                out[column] = embedded[0 if column.what == "query" else 1]
        return out

    def _inputs(self, modality: str, batch: dict[str, Any], cut: Cut, seed: int) -> Iterator[Tensor]:
        """Network inputs, a bounded number at once: clip by clip, or sample by sample where crops are drawn or many."""
        device = self.device
        clips = [batch[f"{modality}_{k}"] for k in range(cut.clips.clips or 1)]
        aspect = batch["video_0.aspect"] if modality == "video" else None
        transform = self._transform(modality, cut)
        if cut.random or cut.count != len(clips):
            for i, index in enumerate(batch["index"].tolist()):
                clip = torch.stack([c[i] for c in clips]).to(device)
                wide = aspect[i].repeat(len(clips)) if aspect is not None else None
                generator = torch.Generator().manual_seed(_seed(seed, index, modality))
                for x in _pieces(clip, cut):
                    yield self._prepare(
                        modality, transform, x, wide if wide is None else wide[: len(x)], cut, generator
                    )
            return
        every = torch.cat(clips).to(device)
        wide = aspect.repeat(len(clips)) if aspect is not None else None
        at = 0
        for x in _pieces(every, cut):
            yield self._prepare(
                modality, transform, x, wide if wide is None else wide[at : at + len(x)], cut, None
            )
            at += len(x)

    def _transform(self, modality: str, cut: Cut) -> Any:
        transform: Any
        if modality == "video":
            transform = VideoTransform(cut.size, cut.video(self.own["video"]))
        else:
            audio = cut.audio(self.own["audio"])
            if isinstance(self.method.front_end, Waveform) and replace(audio, volume=0.0) != AudioAugment():
                raise UserError(
                    "this protocol augments spectrograms; the network takes waveforms: give it a spectrogram "
                    "(inputs.front_end), or choose another protocol"
                )
            transform = AudioTransform(self.method.front_end, audio)
        transform.training = cut.clips.augment != "none"
        return transform

    def _prepare(
        self, modality: str, transform: Any, x: Tensor, aspect: Tensor | None, cut: Cut, generator: Any
    ) -> Tensor:
        if modality == "audio":
            sound: Tensor = transform(x, generator)
            # each crop of a picture goes with the same sound: one vector for every crop
            return sound.repeat_interleave(cut.clips.crops, dim=0) if cut.clips.crops > 1 else sound
        if transform.training or (cut.clips.crops == 1 and cut.zoom == 1):
            clips: Tensor = transform(x, aspect, generator)
            return clips
        assert aspect is not None
        return squares(transform, x, aspect, cut.clips.crops, cut.zoom)


def trained_hash(checkpoint: Path, data: Mapping[str, Any]) -> set[str]:
    """Hash of the manifest that a run was trained on, by what stands beside its checkpoint's folder.

    Of a pack two: its own, and that of the files that it was made from. Empty where it is not known.

    Args:
        checkpoint: of the run.
        data: that are to be measured on: none comes back if they are others than those of the training.
    """
    run = checkpoint.parent.parent
    try:
        record = read_json(run / "record.json")
        own = load_yaml(run / "config.yaml")["data"]
        # Rendered data of two seeds have one hash: their files are called alike.
        same = all(own.get(k) == data.get(k) for k in {*own, *data} - LOADING_FIELDS)
        trained = record["data"]
        return (
            {trained["hash"], *([trained["pack"]["manifest"]] if "pack" in trained else [])}
            if same
            else set()
        )
    except (KeyError, TypeError, UserError):
        return set()


def squares(transform: VideoTransform, clip: Tensor, aspect: Tensor, count: int, zoom: float) -> Tensor:
    """Squares of each clip, evenly along its longer side and in the middle of the shorter.

    Args:
        transform: size and normalisation.
        clip: uint8 [B, 3, T, S, S].
        aspect: [B], width / height before the frames were squashed.
        count: squares a clip; 1 is the centre.
        zoom: their side as a share of the shorter side.

    Returns:
        float32 [B · count, 3, T, size, size], the squares of a clip together.
    """
    places = [0.5] if count == 1 else [i / (count - 1) for i in range(count)]
    aspect = aspect.detach().float().cpu()
    wide = aspect > 1
    boxes = []
    for place in places:
        extent = square_boxes(aspect)[:, 2:] * zoom
        where = torch.full_like(extent, 0.5)
        where[wide, 0] = place
        where[~wide, 1] = place
        boxes.append(torch.cat([(1 - extent) * where, extent], dim=1))
    mean, std = transform.mean.to(clip.device), transform.std.to(clip.device)
    out = [(crop_resize(clip, box, transform.size).mul_(1 / 255) - mean) / std for box in boxes]
    return torch.stack(out, dim=1).flatten(0, 1)


def _pieces(x: Tensor, cut: Cut) -> Iterator[Tensor]:
    """Rows of a batch, so many at once that their inputs stay within `AT_ONCE` numbers."""
    each = (
        x[0].numel() // x.shape[-1] ** 2 * cut.size**2 * cut.clips.crops if x.ndim == 5 else 8 * x[0].numel()
    )
    return iter(x.split(max(AT_ONCE // max(each, 1), 1)))


def _seed(seed: int, index: int, modality: str) -> int:
    words = f"{seed} {index} {modality}".encode()
    return int.from_bytes(hashlib.sha256(words).digest()[:8], "big") >> 1
