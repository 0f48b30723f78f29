"""The default reader: PyAV, which brings its own FFmpeg.

Tuned for samples of a few seconds: one open for picture and sound, one pass of the demuxer over the needed
span, no codec threads, one scaler, and only those packets decoded that the asked frames need.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from ssl_av.data.media import (
    SILENT,
    AudioRequest,
    Frames,
    Limits,
    MediaError,
    MediaInfo,
    Source,
    VideoRequest,
    Wave,
)
from ssl_av.data.media.container import (
    Media,
    SeekMissed,
    check_landing,
    gather,
    open_media,
    promised_end,
    seek,
)
from ssl_av.data.media.guard import is_mp4
from ssl_av.data.media.picture import Canvas, PlanFailed, decode_all, decode_planned, is_avi, reorders
from ssl_av.data.media.sound import check_sound, decode_sound, to_mono

Span = tuple[float, float]


class PyavReader:
    """Reads with PyAV; see `ssl_av.data.media.Reader`."""

    name = "pyav"

    def __init__(self, limits: Limits = Limits()) -> None:
        self._scaler = VideoReformatter()
        self.limits = limits

    def probe(self, source: Source) -> MediaInfo:
        """See `Reader.probe`."""
        with open_media(source, limits=self.limits) as media:
            return probe(media)

    def read(
        self, source: Source, video: Sequence[VideoRequest] = (), audio: Sequence[AudioRequest] = ()
    ) -> tuple[list[Frames], list[Wave]]:
        """See `Reader.read`."""
        # Each attempt costs more and trusts the file less than the one before; nearly all files need one.
        attempts = [(False, True, True), (False, False, True), (False, False, False)]
        if is_mp4(source):
            attempts.insert(0, (True, True, True))
        for believe, seeking, planned in attempts:
            try:
                with open_media(source, believe, self.limits) as media:
                    return self._read(media, video, audio, seeking, planned)
            except (SeekMissed, PlanFailed):
                continue
            except MediaError:
                if not seeking:  # else it may be what a seek into the middle of something has done (MPEG)
                    raise
        raise MediaError("no usable time stamps")

    def _read(
        self,
        media: Media,
        video: Sequence[VideoRequest],
        audio: Sequence[AudioRequest],
        seeking: bool,
        planned: bool,
    ) -> tuple[list[Frames], list[Wave]]:
        if video and media.video is None:
            raise MediaError("no video stream")
        if audio and media.audio is None:
            raise MediaError("no audio stream")
        planned = planned and not (is_avi(media) and reorders(media))
        canvas = Canvas(video, self._scaler) if video else None
        seen: Span | None = None
        if canvas is not None:
            seen = (float(canvas.times.min()), float(canvas.times.max()))
            if not planned:  # a frame counter is right but for the reordering; other stamps may be anything
                seen = (0.0, seen[1] + 2 if is_avi(media) else math.inf)
        heard: Span | None = None
        if audio:
            heard = (min(r.start for r in audio), max(r.start + r.seconds for r in audio) + 0.125)
        if seen is None and heard is None:
            return [], []
        moved = seeking and planned and seek(media, seen, heard)
        packets = gather(media, seen, heard)
        if moved:
            check_landing(media, packets, seen, heard)
        if canvas is not None:
            if not packets.video:
                raise MediaError("the video stream is empty")
            if planned:
                decode_planned(media, packets, canvas)
            else:
                decode_all(media, packets, canvas)
        waves = decode_sound(media, packets, audio) if audio else []
        return canvas.result() if canvas is not None else [], waves


def probe(media: Media) -> MediaInfo:
    """What an opened file holds.

    Raises:
        MediaError: if its first frame or its first sound cannot be decoded.
    """
    seen = _first_frame(media)
    heard, silent = _first_sound(media)
    if seen is None and heard is None:
        raise MediaError("no video and no audio in its streams")
    width = height = 0
    aspect, fps = 1.0, 0.0
    if seen is not None and media.video is not None:
        width, height = seen.width, seen.height
        ratio = float(media.video.sample_aspect_ratio or 1)
        aspect = width / height * (ratio if 0.25 <= ratio <= 4 else 1.0)
        if round(seen.rotation / 90) % 2:
            width, height, aspect = height, width, 1 / aspect
        fps = float(media.video.average_rate or media.video.guessed_rate or 0)
    video_end = _end(media, media.video) if seen is not None else 0.0
    audio_end = _end(media, media.audio) if heard is not None else 0.0
    duration = video_end if seen is not None else audio_end
    if not 0 < duration < math.inf:
        raise MediaError("unknown duration")
    if duration > media.limits.seconds:
        raise media.limits.refuse("seconds", f"{duration:.0f} s long")
    # Of a variable rate in MPEG-TS, FFmpeg's guess is the clock's 90,000 ticks a second.
    if fps > media.limits.fps and media.video is not None and media.video.average_rate:
        raise media.limits.refuse("fps", f"{fps:.12g} frames a second")
    return MediaInfo(
        duration=duration,
        has_video=seen is not None,
        has_audio=heard is not None,
        fps=fps,
        width=width,
        height=height,
        aspect=aspect,
        audio_rate=heard.sample_rate if heard is not None else 0,
        audio_duration=audio_end,
        video_duration=video_end,
        codec=_codec(media.video) if seen is not None else "",
        audio_codec=_codec(media.audio) if heard is not None else "",
        silent=silent,
    )


def _first_frame(media: Media) -> av.VideoFrame | None:
    if media.video is None:
        return None
    frame = next(media.container.decode(media.video), None)
    if frame is None:
        raise MediaError("no frame could be decoded")
    return frame


def _first_sound(media: Media) -> tuple[av.AudioFrame | None, bool]:
    """The first sound (None where the stream is empty), and whether there is nothing to be heard in all of it.

    Nearly every recording is heard in its first packet, so that only silent ones are decoded to the end (but for
    what lies behind the longest sound that is read).
    """
    if media.audio is None:
        return None, False
    if media.video is not None:
        media.container.seek(round(media.origin * av.time_base))
    first: av.AudioFrame | None = None
    decoded = 0.0
    for frame in _sounds(media):
        if first is None:
            first = frame
            check_sound(frame.sample_rate, frame.layout.nb_channels, media.limits)
        if np.abs(to_mono(frame)).max(initial=0.0) >= SILENT:
            return first, False
        decoded += frame.samples / max(frame.sample_rate, 1)
        if decoded > media.limits.sound:
            break
    return first, first is not None


def _sounds(media: Media) -> Iterator[av.AudioFrame]:
    """The sound that can be decoded from where the container stands."""
    assert media.audio is not None
    error: av.FFmpegError | None = None
    some = False
    try:
        for packet in media.container.demux(media.audio):
            try:
                for frame in packet.decode():
                    some = True
                    yield frame
            except av.FFmpegError as e:  # some packets may be damaged, but not all
                error = e
    except av.FFmpegError:
        if not some:
            raise
    if error is not None and not some:
        raise MediaError("no sound could be decoded") from error


def _end(media: Media, stream: av.VideoStream | av.AudioStream | None) -> float:
    """Seconds at which a stream ends, by its header or else by its last packets."""
    assert stream is not None
    promised = promised_end(media, stream)
    if promised is not None:
        return promised
    start = stream.start_time or 0
    if media.container.duration:
        whole = media.container.duration / av.time_base
        tail = int((whole + media.origin - 1) / (stream.time_base or 1))
        media.container.seek(max(tail, start), stream=stream)
    else:
        media.container.seek(start, stream=stream)
    ends = [p.pts + (p.duration or 0) for p in media.container.demux(stream) if p.pts is not None]
    return media.time(max(ends), stream.index) if ends else 0.0


def _codec(stream: av.VideoStream | av.AudioStream | None) -> str:
    """FFmpeg's name of a stream's format, whichever of several decoders reads it."""
    assert stream is not None
    return str(stream.codec_context.codec.canonical_name)
