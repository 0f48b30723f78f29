"""What is cut from each sample for a measurement, and under which names its features are kept."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from typing import Any

from ssl_av.data.views import Anywhere, AudioView, Spaced, StartsWith, VideoView, View, Views, When
from ssl_av.evaluation.pooling import is_block
from ssl_av.evaluation.protocols import Clips, Pooling, Protocol
from ssl_av.methods.settings import Inputs
from ssl_av.transforms import AudioAugment, VideoAugment, audio_augment, video_augment


@dataclass(frozen=True)
class Cut:
    """The clips of a sample, every number resolved.

    Attributes:
        frames: frames a clip.
        fps: frames a second.
        size: of the network's input, in pixels.
        zoom: side of the square that is cut, as a share of the frame's shorter side.
        audio_seconds: length of the sound.
        clips: how many, where, and how augmented.
        decode_size: side at which frames are decoded; None is the data's own ``decode_size``.
        together: modalities whose random places are drawn together; empty where nothing is random.
    """

    frames: int
    fps: float
    size: int
    zoom: float
    audio_seconds: float
    clips: Clips
    decode_size: int | None = None
    together: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Clips times crops: the feature vectors of a sample before they are merged."""
        assert self.clips.clips is not None
        return self.clips.clips * self.clips.crops

    @property
    def random(self) -> bool:
        """Whether the seed matters."""
        return self.clips.place == "random" or self.clips.augment != "none"

    def key(self) -> dict[str, Any]:
        """What makes its features, as plain values."""
        return asdict(self)

    def video(self, own: str) -> VideoAugment:
        """The augmentation of the picture; centred and normalised as the backbone's ``own`` way is."""
        mine = video_augment(own)
        if self.clips.augment == "none":
            return mine
        augment = mine if self.clips.augment == "own" else video_augment(self.clips.augment)
        augment = replace(augment, mean=mine.mean, std=mine.std)
        return augment if self.clips.blur else replace(augment, blur_p=0.0)

    def audio(self, own: str) -> AudioAugment:
        """The augmentation of the sound."""
        augment = audio_augment(own if self.clips.augment == "own" else self.clips.augment)
        return replace(augment, warp=self.clips.warp) if self.clips.warp else augment

    def views(self, modalities: Collection[str], rate: int, own_audio: str) -> Views:
        """``video_0``, ``audio_0``, ``video_1`` …: what the data serve."""
        views: dict[str, View] = {}
        count = self.clips.clips or 1
        seconds = self.audio_seconds
        if self.clips.augment != "none":
            seconds *= self.audio(own_audio).reach
        for k in range(count):
            when: When = Anywhere() if self.clips.place == "random" else Spaced(k, count)
            if "video" in modalities:
                views[f"video_{k}"] = VideoView(self.frames, self.fps, self.size, "none", when)
            if "audio" in modalities:
                if self.clips.place == "random" and "video" in modalities:
                    when = StartsWith(f"video_{k}")
                views[f"audio_{k}"] = AudioView(seconds, rate, "none", when)
        return views


def cut(protocol: Protocol, part: Clips, inputs: Inputs, modalities: Collection[str]) -> Cut:
    """A protocol's clips with every null filled in.

    Args:
        protocol: with its clips resolved (`Protocol.with_clips`).
        part: its ``train`` or its ``test``.
        inputs: of the method.
        modalities: that the protocol measures, and the method and the data have.
    """
    i = protocol.inputs
    decode = round(i.size / i.zoom) if i.size is not None else None
    return Cut(
        frames=i.frames or inputs.frames,
        fps=float(i.fps or inputs.fps),
        size=i.size or inputs.size,
        zoom=i.zoom,
        audio_seconds=float(i.audio_seconds or inputs.audio_seconds),
        clips=part,
        decode_size=decode,
        together=tuple(sorted(modalities)) if part.place == "random" else (),
    )


@dataclass(frozen=True, order=True)
class Column:
    """One kind of features of a cut.

    Attributes:
        modality: ``video`` or ``audio``.
        what: ``pooled`` backbone features, or ``query`` and ``key`` in the space that modalities share.
        pool: ``own``, ``max``, ``avg``, a kernel or a block (`pool_names`).
        merge: ``mean`` over the clips, or ``keep``.
    """

    modality: str
    what: str = "pooled"
    pool: str = "own"
    merge: str = "mean"

    @property
    def side(self) -> str:
        """What its features are called by: the modality, or the block."""
        return self.pool.split("-")[0] if is_block(self.pool) else self.modality

    def __str__(self) -> str:
        return f"{self.what}.{self.modality}.{self.pool}.{self.merge}"


def pool_names(pooling: Pooling, modality: str) -> list[str]:
    """A pooling in a word: ``max-1x4x4-1x4x4`` is kernel and stride; of several blocks a word for each."""
    pool = getattr(pooling, modality)
    if pool is None:
        return ["own"]
    if isinstance(pool, str):
        return [pool]
    if sizes := pool.get("blocks"):
        return [f"block{k}-{size}-of{len(sizes)}" for k, size in enumerate(sizes, start=1)]
    kernel = pool["max"]
    return ["max-" + "-".join("x".join(map(str, part)) for part in (kernel, pool.get("stride", kernel)))]
