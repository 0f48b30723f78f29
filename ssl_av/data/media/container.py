"""An opened file: its streams, its origin in time, and the packets of a span."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from ssl_av.data.media import Limits, MediaError, Source
from ssl_av.data.media.guard import check_file, check_size, formats, reason_of

SLACK = 1e-3
"""Seconds that a time stamp may be late: Matroska rounds to the millisecond."""

PREROLL = 0.25
"""Seconds of sound decoded before the asked ones: an MP3 frame needs the bits of several frames before it,
an AAC frame overlaps with the one before it, Opus needs 80 ms to converge."""


HEADER_ONLY = {"codec_whitelist": "none", "probesize": "32"}
"""What makes FFmpeg believe an MP4 header. Otherwise it opens a decoder for each stream and decodes a first frame
just to learn the pixel format, which costs about as much as decoding two seconds of sound."""


class SeekMissed(Exception):
    """The demuxer did not land where everything that was asked for can be decoded from."""


@dataclass
class Media:
    """An opened file.

    Attributes:
        container: PyAV's.
        video: the first video stream that is not cover art, or None.
        audio: the first audio stream, or None.
        origin: time stamp in seconds of the beginning of the file: where the earlier of the two starts.
        ticks: seconds of one step of a time stamp, by stream index; as a float, for fractions are slow.
        limits: what is read of it at most.
    """

    container: InputContainer
    video: VideoStream | None
    audio: AudioStream | None
    origin: float
    ticks: Mapping[int, float]
    limits: Limits

    def time(self, stamp: int, index: int) -> float:
        """Seconds from the beginning of the file of a time stamp of the stream with this index."""
        return stamp * self.ticks[index] - self.origin


@dataclass
class Packets:
    """What was demuxed, in decoding order; ``ended`` says that there is nothing after it in the file."""

    video: list[Packet[VideoStream]] = field(default_factory=list)
    audio: list[Packet[AudioStream]] = field(default_factory=list)
    ended: bool = False


def seconds(stamp: int | None, base: Fraction | None) -> float:
    """A time stamp or a length in seconds; 0 where there is none."""
    return float(stamp * base) if stamp and base else 0.0


@contextmanager
def open_media(source: Source, believe: bool = False, limits: Limits = Limits()) -> Iterator[Media]:
    """Opens a file for reading; what FFmpeg or the system have against it becomes a `MediaError`.

    Args:
        source: the path of a file, or its bytes.
        believe: takes the header at its word (`HEADER_ONLY`), for files of which `is_mp4` is true.
        limits: what is read of it at most.

    Raises:
        SeekMissed: if the header that was to be believed does not say when the streams start.
    """
    options = {"protocol_whitelist": "none" if isinstance(source, bytes) else "file"}
    options["format_whitelist"] = formats()
    check_file(source)
    opened = False
    try:
        # The whitelists because a playlist that poses as a video must reach neither the network nor other files;
        # FFmpeg's own limit of pixels because it decodes frames to learn of the streams; metadata may be in any
        # encoding and is of no interest.
        with av.open(
            _input(source),
            "r",
            metadata_errors="ignore",
            container_options=options | HEADER_ONLY if believe else options,
            options={} if believe else {"max_pixels": str(limits.pixels)},
        ) as container:
            opened = True
            video = _first(s for s in container.streams.video if not s.disposition & Disposition.attached_pic)
            audio = _first(container.streams.audio)
            if video is None and audio is None:
                raise MediaError("no video and no audio stream")
            if believe and any(s is not None and s.start_time is None for s in (video, audio)):
                raise SeekMissed
            for stream in (video, audio):
                if stream is not None:
                    stream.thread_type = "NONE"  # workers are processes: more threads only get in their way
            if video is not None:
                check_size(video.codec_context.width, video.codec_context.height, limits)
                # For a stream whose size changes on the way the decoder looks itself.
                video.codec_context.options = {"max_pixels": str(limits.pixels)}
            ticks = {s.index: seconds(1, s.time_base) for s in (video, audio) if s is not None}
            yield Media(container, video, audio, _origin(container, video, audio), ticks, limits)
    except (av.FFmpegError, OSError, UnicodeError) as e:
        if isinstance(e, av.ArgumentError) and not opened:  # its format is not one of `formats`
            raise MediaError("not a video or a sound: a picture, text or a list of other files") from e
        _check_told_size(source, options, limits)
        raise MediaError(reason_of(e, source)) from e


def _input(source: Source) -> io.BytesIO | str:
    """With "file:" because a name may look like a protocol ("12:30.mp4")."""
    return io.BytesIO(source) if isinstance(source, bytes) else "file:" + os.fspath(source)


def _check_told_size(source: Source, options: dict[str, str], limits: Limits) -> None:
    """Says that a frame is too large where FFmpeg, that knows the limit, only called the file broken."""
    header = options | HEADER_ONLY
    try:
        with av.open(_input(source), "r", metadata_errors="ignore", container_options=header) as container:
            sizes = [(s.codec_context.width, s.codec_context.height) for s in container.streams.video]
    except (
        av.FFmpegError,
        OSError,
        UnicodeError,
        AttributeError,
    ):  # AttributeError: a stream of no known codec
        return
    for width, height in sizes:
        check_size(width, height, limits)


def _first(streams: Any) -> Any:
    return next((s for s in streams if s.codec_context is not None), None)


def _origin(container: InputContainer, *streams: VideoStream | AudioStream | None) -> float:
    starts = [
        seconds(s.start_time, s.time_base) for s in streams if s is not None and s.start_time is not None
    ]
    return min(starts, default=(container.start_time or 0) / av.time_base)


def promised_end(media: Media, stream: VideoStream | AudioStream) -> float | None:
    """Seconds at which a stream ends by its header or its tag (Matroska), None where neither says so."""
    if stream.duration:
        return media.time((stream.start_time or 0) + stream.duration, stream.index)
    tag = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if tag is None:
        return None
    return int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3]) - media.origin


def gather(media: Media, video: tuple[float, float] | None, audio: tuple[float, float] | None) -> Packets:
    """Demuxes the packets of these spans (seconds) from where the container stands.

    Demuxing costs next to nothing beside decoding; with all packets at hand, only those needed are decoded.

    Raises:
        MediaError: if they take too much memory.
    """
    found = Packets()
    held = 0
    streams: list[Any] = []
    waiting: dict[int, tuple[list[Any], float]] = {}  # by stream: where its packets go, its last time stamp
    wishes: tuple[tuple[Any, Any, list[Any]], ...] = (
        (media.video, video, found.video),
        (media.audio, audio, found.audio),
    )
    for stream, span, packets in wishes:
        if stream is not None and span is not None:
            streams.append(stream)
            last = (span[1] + SLACK + media.origin) / media.ticks[stream.index]
            waiting[stream.index] = (packets, last)
    try:
        for packet in media.container.demux(streams):
            index = packet.stream_index
            if packet.size == 0 or index not in waiting:
                continue
            packets, last = waiting[index]
            packets.append(packet)
            held += packet.size
            if held > media.limits.mebibytes * 2**20:
                raise media.limits.refuse(
                    "mebibytes", f"{held / 2**20:.3g} MiB or more between the asked times"
                )
            # A frame is never shown before it is decoded, so that after this nothing earlier can come.
            if packet.dts is not None and packet.dts > last:
                del waiting[index]
                if not waiting:
                    return found
    except av.FFmpegError:
        pass  # as good as the end of the file: what was asked for may lie before it
    found.ended = True
    return found


def seek(media: Media, video: tuple[float, float] | None, audio: tuple[float, float] | None) -> bool:
    """Moves the container to a keyframe before both spans; False if that is the beginning, where it stands.

    Raises:
        SeekMissed: if the container cannot seek.
    """
    starts = []
    if video is not None and media.video is not None:
        # Some demuxers seek by decoding time, which is up to the reordering delay before the presentation.
        starts.append(video[0] - 5 / float(media.video.average_rate or 25))
    if audio is not None:
        starts.append(audio[0] - PREROLL)
    start = min(starts)
    stream = media.video if video is not None else media.audio
    if start <= 0 or stream is None:
        return False
    try:
        media.container.seek(int((start + media.origin) / (stream.time_base or 1)), stream=stream)
    except av.FFmpegError as e:
        raise SeekMissed from e
    return True


def check_landing(
    media: Media, packets: Packets, video: tuple[float, float] | None, audio: tuple[float, float] | None
) -> None:
    """Whether a seek went far enough back.

    Raises:
        SeekMissed: if not.
    """
    if video is not None and media.video is not None:
        first = packets.video[0] if packets.video else None
        stamp = None if first is None else first.dts if first.pts is None else first.pts
        if first is None or stamp is None or not first.is_keyframe:
            raise SeekMissed
        if media.time(stamp, media.video.index) > max(video[0], 0.0) + SLACK:
            raise SeekMissed
    if audio is not None and media.audio is not None:
        stamp = packets.audio[0].pts if packets.audio else None
        if stamp is None or media.time(stamp, media.audio.index) > max(audio[0] - PREROLL / 2, 0.0):
            raise SeekMissed
