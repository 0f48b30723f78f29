"""The other reader: the picture through decord, the sound through PyAV.

For comparison, and for machines where decord is what there is experience with. decord fails in silence where
PyAV raises, so that its answer is checked, and in doubt PyAV reads the picture too.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from ssl_av.data.media import AudioRequest, Frames, MediaError, MediaInfo, PathLike, VideoRequest, Wave
from ssl_av.data.media.container import SLACK, open_media, seconds
from ssl_av.data.media.picture import check_end, is_avi, to_rgb
from ssl_av.data.media.pyav import PyavReader
from ssl_av.errors import UserError


class DecordReader:
    """Reads the picture with decord; see `ssl_av.data.media.Reader`.

    Raises:
        UserError: if decord is not installed.
    """

    name = "decord"

    def __init__(self) -> None:
        try:
            import decord
        except ImportError as e:
            raise UserError(f"reader 'decord' needs the package decord ({e}): pip install decord") from None
        self._decord: Any = decord
        self._pyav = PyavReader()
        self._scaler = VideoReformatter()

    def probe(self, path: PathLike) -> MediaInfo:
        """See `Reader.probe`."""
        return self._pyav.probe(path)

    def read(
        self, path: PathLike, video: Sequence[VideoRequest] = (), audio: Sequence[AudioRequest] = ()
    ) -> tuple[list[Frames], list[Wave]]:
        """See `Reader.read`."""
        frames = self._picture(path, video) if video else []
        if frames is None:
            return self._pyav.read(path, video, audio)
        # Not decord's AudioReader: it leaks about a megabyte a clip and is 17 samples late.
        return frames, self._pyav.read(path, (), audio)[1] if audio else []

    def _picture(self, path: PathLike, video: Sequence[VideoRequest]) -> list[Frames] | None:
        """The frames, or None where decord's answer is not to be trusted."""
        late = _lateness(path)
        if late is None:
            return None
        try:
            reader = self._decord.VideoReader(os.fspath(path), num_threads=1)
            stamps = reader.get_frame_timestamp(np.arange(len(reader))).astype(np.float64)
        except (self._decord.DECORDError, RuntimeError):
            return None  # PyAV knows more codecs, and gives a better reason
        begins, ends = stamps[:, 0] + late, stamps[:, 1] + late
        if abs(begins[0] - late) > 1 or (np.diff(begins) <= 0).any():  # AVI and MPEG: uninitialised memory
            return None
        times = np.concatenate([request.times for request in video])
        check_end(float(times.max()), float(ends[-1]))
        chosen = np.maximum(np.searchsorted(begins, times + SLACK, side="right") - 1, 0)
        # With the frame before the last one, which shows whether decord has come to a halt on the way.
        numbers = np.unique(np.append(chosen, max(chosen.max() - 1, 0)))
        try:
            images = reader.get_batch(numbers).asnumpy()
        except (self._decord.DECORDError, RuntimeError):
            return None
        # Where decord cannot decode it repeats the frame before. So does a still picture: let PyAV decide.
        if any(np.array_equal(a, b) for a, b in itertools.pairwise(images)):
            return None
        return self._spread(images, np.searchsorted(numbers, chosen), video)

    def _spread(
        self, images: Frames, places: NDArray[np.intp], video: Sequence[VideoRequest]
    ) -> list[Frames]:
        """The decoded images as the requests want them, each scaled once for each size."""
        sizes = {request.size for request in video}
        pictures = [av.VideoFrame.from_ndarray(image, format="rgb24") for image in images]
        scaled = {
            size: images if size is None else np.stack([to_rgb(p, size, self._scaler) for p in pictures])
            for size in sizes
        }
        ends = np.cumsum([len(request.times) for request in video])
        parts = np.split(places, ends[:-1])
        return [scaled[request.size][part] for request, part in zip(video, parts, strict=True)]


def _lateness(path: PathLike) -> float | None:
    """Seconds from the beginning of the file to the picture's, which decord leaves out.

    None where decord would choose another stream, or count frames that are not there and perhaps wait for
    them for ever.
    """
    with open_media(path) as media:
        if media.video is None:
            raise MediaError("no video stream")
        if len(media.container.streams.video) > 1 or is_avi(media):
            return None
        return seconds(media.video.start_time, media.video.time_base) - media.origin
