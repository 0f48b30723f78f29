"""What the readers share whose picture does not come from PyAV.

PyAV opens the file first: it knows where the file begins in time and what is wrong with it. Where a foreign
decoder's answer is not to be trusted, PyAV gives the answer; the frames are the same either way.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from ssl_av.data.media import AudioRequest, Frames, Limits, MediaError, MediaInfo, Source, VideoRequest, Wave
from ssl_av.data.media.container import SLACK, open_media, seconds
from ssl_av.data.media.picture import check_end, to_rgb
from ssl_av.data.media.pyav import PyavReader

UNCOUNTABLE = frozenset({"avi", "mpeg"})
"""Containers without presentation times for every frame: the other decoders guess them."""


class ForeignReader(ABC):
    """A reader with another decoder for the picture; see `ssl_av.data.media.Reader`."""

    name: str

    def __init__(self, limits: Limits = Limits()) -> None:
        self._pyav = PyavReader(limits)
        self._scaler = VideoReformatter()

    def probe(self, source: Source) -> MediaInfo:
        """See `Reader.probe`."""
        return self._pyav.probe(source)

    def read(
        self, source: Source, video: Sequence[VideoRequest] = (), audio: Sequence[AudioRequest] = ()
    ) -> tuple[list[Frames], list[Wave]]:
        """See `Reader.read`."""
        frames = self._picture(source, video) if video else []
        if frames is None:
            return self._pyav.read(source, video, audio)
        return frames, self._sound(source, audio) if audio else []

    @abstractmethod
    def _picture(self, source: Source, video: Sequence[VideoRequest]) -> list[Frames] | None:
        """The frames, or None where the decoder's answer is not to be trusted."""

    def _sound(self, source: Source, audio: Sequence[AudioRequest]) -> list[Wave]:
        return self._pyav.read(source, (), audio)[1]

    def _spread(
        self, images: Frames, places: NDArray[np.intp], video: Sequence[VideoRequest]
    ) -> list[Frames]:
        """The decoded images as the requests want them, each scaled once for each size.

        Args:
            images: uint8 [N, H, W, 3].
            places: the image of every asked time, request after request.
            video: the requests.
        """
        sizes = {request.size for request in video}
        pictures = [av.VideoFrame.from_ndarray(image, format="rgb24") for image in images]
        scaled = {
            size: images if size is None else np.stack([to_rgb(p, size, self._scaler) for p in pictures])
            for size in sizes
        }
        ends = np.cumsum([len(request.times) for request in video])
        parts = np.split(places, ends[:-1])
        return [scaled[request.size][part] for request, part in zip(video, parts, strict=True)]


@dataclass(frozen=True)
class Picture:
    """What PyAV knows of a file's picture.

    Attributes:
        index: number of the stream.
        streams: number of video streams, cover art among them.
        origin: time stamp in seconds of the beginning of the file.
        late: seconds from there to the beginning of the picture.
    """

    index: int
    streams: int
    origin: float
    late: float


def examine(source: Source, limits: Limits) -> Picture | None:
    """Opens a file with PyAV, within limits; None where only PyAV's frames are in step with their times.

    Raises:
        MediaError: if it cannot be opened or has no picture.
    """
    with open_media(source, limits=limits) as media:
        if media.video is None:
            raise MediaError("no video stream")
        if media.container.format.name in UNCOUNTABLE:
            return None
        late = seconds(media.video.start_time, media.video.time_base) - media.origin
        return Picture(media.video.index, len(media.container.streams.video), media.origin, late)


def asked_times(video: Sequence[VideoRequest], end: float) -> NDArray[np.float64]:
    """The times of all requests, with the millisecond that is forgiven added.

    Raises:
        MediaError: if one lies after ``end``, where the last frame is over.
    """
    times = np.concatenate([request.times for request in video])
    check_end(float(times.max()), end)
    return times + SLACK
