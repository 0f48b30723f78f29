"""The third reader: picture and sound through torchcodec, which decodes with the FFmpeg of the system.

Its answers are checked against what PyAV knows of the file; in doubt PyAV reads it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ssl_av.data.media import AudioRequest, Frames, Limits, MediaError, Source, VideoRequest, Wave
from ssl_av.data.media.container import PREROLL, Media, open_media, promised_end, seconds
from ssl_av.data.media.foreign import ForeignReader, asked_times, examine
from ssl_av.data.media.sound import Piece, check_sound, cut
from ssl_av.errors import UserError

SHORT = 0.1
"""Seconds by which the sound may be shorter than the file says; else something is amiss in between."""


class TorchcodecReader(ForeignReader):
    """Reads with torchcodec; see `ssl_av.data.media.Reader`.

    Raises:
        UserError: if torchcodec is not installed, or finds no FFmpeg.
    """

    name = "torchcodec"

    def __init__(self, limits: Limits = Limits()) -> None:
        try:
            from torchcodec import decoders
        except (ImportError, RuntimeError, OSError) as e:
            raise UserError(
                f"reader 'torchcodec' cannot be loaded ({str(e).strip().splitlines()[0]}): "
                'pip install "ssl-av[torchcodec]", and the FFmpeg libraries of the system (apt install ffmpeg)'
            ) from None
        super().__init__(limits)
        self._decoders: Any = decoders

    def _picture(self, source: Source, video: Sequence[VideoRequest]) -> list[Frames] | None:
        known = examine(source, self._pyav.limits)
        if known is None:
            return None
        try:
            decoder = self._decoders.VideoDecoder(
                _open(source), stream_index=known.index, dimension_order="NHWC", num_ffmpeg_threads=1
            )
            begin = decoder.metadata.begin_stream_seconds_from_content
            end = decoder.metadata.end_stream_seconds_from_content
            # A time before the first frame, or in the last one's grace, is moved onto that frame.
            at = np.clip(asked_times(video, end - known.origin) + known.origin, begin, end - 1e-6)
            images = decoder.get_frames_played_at(at.tolist()).data.numpy()
        except (RuntimeError, ValueError, IndexError):
            return None  # PyAV knows whether the file is damaged, and where
        return self._spread(images, np.arange(len(at)), video)

    def _sound(self, source: Source, audio: Sequence[AudioRequest]) -> list[Wave]:
        with open_media(source, limits=self._pyav.limits) as media:
            if media.audio is None:
                raise MediaError("no audio stream")
            codec = media.audio.codec_context
            check_sound(codec.sample_rate, codec.layout.nb_channels, media.limits)
            waves = self._decode(source, media, audio)
        return super()._sound(source, audio) if waves is None else waves

    def _decode(self, source: Source, media: Media, audio: Sequence[AudioRequest]) -> list[Wave] | None:
        """The waveforms, or None where they are not what the file's header lets expect."""
        assert media.audio is not None
        first = seconds(media.audio.start_time, media.audio.time_base) - media.origin
        last = promised_end(media, media.audio)
        waves = []
        try:
            decoder = self._decoders.AudioDecoder(_open(source), stream_index=media.audio.index)
            for request in audio:
                start = max(request.start - PREROLL, first)
                stop = min(request.start + request.seconds + PREROLL / 2, first if last is None else last)
                if stop <= start:
                    return None
                got = decoder.get_samples_played_in_range(start + media.origin, stop + media.origin)
                if abs(got.data.shape[1] / got.sample_rate - (stop - start)) > SHORT:
                    return None
                place = round((got.pts_seconds - media.origin) * got.sample_rate)
                piece: Piece = (place, [got.data.numpy().mean(axis=0, dtype=np.float32)])
                waves.append(cut([piece], got.sample_rate, request))
        except (RuntimeError, ValueError, IndexError):
            return None
        return waves


def _open(source: Source) -> bytes | str:
    return source if isinstance(source, bytes) else "file:" + os.fspath(source)
