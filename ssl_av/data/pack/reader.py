"""Reads samples of packs; leaves files to the reader of files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
from av.video.reformatter import VideoReformatter

from ssl_av.data.media import (
    AudioRequest,
    Frames,
    MediaError,
    MediaInfo,
    Reader,
    Source,
    VideoRequest,
    Wave,
)
from ssl_av.data.media.container import SLACK
from ssl_av.data.media.picture import Canvas, check_end
from ssl_av.data.media.sound import cut
from ssl_av.data.pack import GOP, SHARDS, pack_at
from ssl_av.data.pack.shards import Packed, Shard

MARGIN = 0.1
"""Seconds of sound around the asked ones for the resampler's filter to see (it needs 64 samples)."""


class PackReader:
    """Answers for samples of packs (``PACK/shards/00003.arrow#17``), and passes every other path on.

    Args:
        files: the reader of files.
    """

    def __init__(self, files: Reader) -> None:
        self.name = files.name
        self._files = files
        self._scaler = VideoReformatter()
        self._codec: av.VideoCodecContext | None = None

    def probe(self, source: Source) -> MediaInfo:
        """See `Reader.probe`; the sizes are those of what is stored."""
        member = _member(source)
        if member is None:
            return self._files.probe(source)
        sample = _sample(*member)
        heard = len(sample.sound) / _rate(member[0])
        seen = sample.end if len(sample.times) else 0.0
        return MediaInfo(
            duration=seen or heard,
            has_video=len(sample.times) > 0,
            has_audio=len(sample.sound) > 0,
            fps=len(sample.times) / seen if seen else 0.0,
            width=sample.width,
            height=sample.height,
            aspect=sample.width / sample.height if sample.height else 1.0,
            audio_rate=_rate(member[0]) if heard else 0,
            audio_duration=heard,
            video_duration=seen,
        )

    def read(
        self, source: Source, video: Sequence[VideoRequest] = (), audio: Sequence[AudioRequest] = ()
    ) -> tuple[list[Frames], list[Wave]]:
        """See `Reader.read`.

        Raises:
            MediaError: also if more pixels are asked for than are stored.
        """
        member = _member(source)
        if member is None:
            return self._files.read(source, video, audio)
        sample = _sample(*member)
        if video and not len(sample.times):
            raise MediaError("no video stream")
        if audio and not sample.scale:
            raise MediaError("no audio stream")
        for request in video:
            if request.size and (request.size[0] > sample.height or request.size[1] > sample.width):
                stored, asked = f"{sample.height}x{sample.width}", f"{request.size[0]}x{request.size[1]}"
                raise MediaError(f"the pack holds {stored} pixels, asked for {asked}")
        rate = _rate(member[0]) if audio else 0
        try:
            return (self._picture(sample, video) if video else []), [_sound(sample, rate, r) for r in audio]
        except (ValueError, IndexError, TypeError, OverflowError) as e:  # its parts do not fit each other
            raise MediaError(f"damaged shard ({e})") from e

    def _picture(self, sample: Packed, video: Sequence[VideoRequest]) -> list[Frames]:
        asked = np.concatenate([request.times for request in video])
        check_end(float(asked.max()), sample.end)
        chosen = np.maximum(np.searchsorted(sample.times, asked + SLACK, side="right") - 1, 0)
        own = (sample.height, sample.width)
        stored = None
        if not len(sample.packets):
            stored = sample.picture.reshape(-1, *own, 3)
            if all(request.size in (own, None) for request in video):
                ends = np.cumsum([len(request.times) for request in video])
                return [stored[part] for part in np.split(chosen, ends[:-1])]
        canvas = Canvas(video, self._scaler)
        wanted: dict[int, list[int]] = {}
        for slot, number in enumerate(chosen):
            wanted.setdefault(int(number), []).append(slot)
        if stored is not None:
            for number, slots in wanted.items():
                canvas.place(av.VideoFrame.from_ndarray(stored[number], format="rgb24"), slots)
        else:
            self._decode(sample, wanted, canvas)
        return canvas.result()

    def _decode(self, sample: Packed, wanted: dict[int, list[int]], canvas: Canvas) -> None:
        """Decodes from the keyframe before each wanted frame, and no further than the last wanted one after it."""
        if self._codec is None:
            codec = av.CodecContext.create("h264", "r")
            assert isinstance(codec, av.VideoCodecContext)
            codec.thread_count = 1
            self._codec = codec
        last: dict[int, int] = {}  # by keyframe
        for number in sorted(wanted):
            last[number - number % GOP] = number
        numbers = [number for key, end in last.items() for number in range(key, end + 1)]
        out = iter(numbers)
        try:
            for number in numbers:
                begin, end = sample.packets[number : number + 2]
                self._place(
                    self._codec.decode(av.Packet(sample.picture[begin:end].tobytes())), out, wanted, canvas
                )
            self._place(self._codec.decode(None), out, wanted, canvas)
            self._codec.flush_buffers()
        except (av.FFmpegError, MediaError) as e:
            self._codec = None  # what it still holds must not come out with the next sample
            raise e if isinstance(e, MediaError) else MediaError("damaged picture in the pack") from e
        if next(out, None) is not None:
            self._codec = None
            raise MediaError("frames are missing in the pack")

    @staticmethod
    def _place(
        frames: Sequence[av.VideoFrame], out: Iterator[int], wanted: dict[int, list[int]], canvas: Canvas
    ) -> None:
        for frame in frames:
            slots = wanted.get(next(out))
            if frame.is_corrupt:
                raise MediaError("damaged frame in the pack")
            if slots:
                canvas.place(frame, slots)


def _sound(sample: Packed, rate: int, request: AudioRequest) -> Wave:
    """One request's samples; zeros after the end of the sound."""
    if request.rate > rate:
        raise MediaError(f"the pack holds sound at {rate} Hz, asked for {request.rate} Hz")
    if request.start * rate >= len(sample.sound):
        raise MediaError(f"no sound from {request.start:.2f} s to {request.start + request.seconds:.2f} s")
    if request.rate == rate:
        part = sample.sound[round(request.start * rate) :][: request.samples]
        wave = np.empty(request.samples, np.float32)
        np.multiply(part, np.float32(sample.scale), out=wave[: len(part)])
        wave[len(part) :] = 0.0
        return wave
    first = max(round((request.start - MARGIN) * rate), 0)
    last = round((request.start + request.seconds + MARGIN) * rate)
    around = sample.sound[first:last] * np.float32(sample.scale)
    return cut([(first, [around])], rate, request)


def _member(source: Source) -> tuple[str, int] | None:
    """The shard and the row in it that a path names, None if it is another path, or bytes."""
    if isinstance(source, bytes):
        return None
    file, mark, row = os.fspath(source).rpartition(".arrow#")
    return (file + ".arrow", int(row)) if mark and row.isdecimal() and len(row) < 19 else None


@lru_cache(maxsize=256)
def _shard(file: str) -> Shard:
    return Shard(Path(file))


@lru_cache(maxsize=256)
def _rate(file: str) -> int:
    """Samples a second of the pack that a shard belongs to."""
    folder = os.path.dirname(file).removesuffix(SHARDS)
    pack = pack_at(folder)
    if pack is None:
        raise MediaError("the pack's description is not there")
    return pack.rate


def _sample(file: str, row: int) -> Packed:
    try:
        sample = _shard(file)[row]
    except FileNotFoundError:
        raise MediaError("no such shard") from None
    except (OSError, ValueError, IndexError, KeyError, TypeError, AttributeError, pa.ArrowException) as e:
        raise MediaError(f"damaged shard ({' '.join(str(e).split())[:200]})") from e
    if sample.error is not None:
        raise MediaError(sample.error)
    return sample
