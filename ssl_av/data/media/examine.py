"""A file decoded from end to end, to see what is wrong with it before a training finds out."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

import av

from ssl_av.data.media import MediaError
from ssl_av.data.media.container import Media, open_media, promised_end
from ssl_av.data.media.picture import frame_period


@dataclass
class Examination:
    """What decoding a whole file has shown.

    Attributes:
        error: why it could not be opened; then nothing else is known.
        frames: decoded frames.
        video_end: seconds at which the last frame ends; None without video.
        video_promised: where its header says that it ends; None where it does not say.
        audio_end: seconds at which the sound ends; None without sound.
        audio_promised: as ``video_promised``.
        content: a digest of the compressed picture and sound, whatever the container and what is written about them
            in it; empty if there is nothing.
        damage: the decoder's first complaint, empty if there was none.
        suffixes: endings that fit the container; empty where FFmpeg names none.
    """

    error: str = ""
    frames: int = 0
    video_end: float | None = None
    video_promised: float | None = None
    audio_end: float | None = None
    audio_promised: float | None = None
    content: bytes = b""
    damage: str = ""
    suffixes: tuple[str, ...] = ()


def examine(path: str | os.PathLike[str]) -> Examination:
    """Decodes all of a file's picture and sound; never raises for what is in the file."""
    found = Examination()
    try:
        with open_media(path) as media:
            _decode(media, found)
    except MediaError as e:
        found.error = str(e)
    return found


def _decode(media: Media, found: Examination) -> None:
    found.suffixes = tuple(sorted(media.container.format.extensions))
    if media.video is not None:
        found.video_end, found.video_promised = 0.0, promised_end(media, media.video)
    if media.audio is not None:
        found.audio_end, found.audio_promised = 0.0, promised_end(media, media.audio)
    streams = [s for s in (media.video, media.audio) if s is not None]
    held = False
    digests = {stream.index: hashlib.blake2b(digest_size=16) for stream in streams}
    try:
        for packet in media.container.demux(streams):
            if packet.size:
                digests[packet.stream_index].update(packet)
                held = True
            try:
                frames = packet.decode()
            except av.FFmpegError as e:
                # The first sound of many an MP3 stream is half a frame: only the picture's damage counts at once.
                if packet.stream.type == "video":
                    found.damage = found.damage or _words(e)
                continue
            for frame in frames:
                _count(media, frame, found)
    except av.FFmpegError as e:
        found.damage = found.damage or _words(e)
    if held:
        found.content = b"".join(digest.digest() for digest in digests.values())


def _count(media: Media, frame: object, found: Examination) -> None:
    if isinstance(frame, av.VideoFrame):
        assert media.video is not None
        period = frame_period(media)
        found.frames += 1
        stamped = None if frame.pts is None else media.time(frame.pts, media.video.index) + period
        found.video_end = max(found.video_end or 0.0, found.frames * period if stamped is None else stamped)
        if frame.is_corrupt:
            found.damage = found.damage or "a damaged frame"
    elif isinstance(frame, av.AudioFrame):
        assert media.audio is not None
        length = frame.samples / frame.sample_rate
        begin = found.audio_end if frame.pts is None else media.time(frame.pts, media.audio.index)
        found.audio_end = max(found.audio_end or 0.0, (begin or 0.0) + length)


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).split("\n")[0].strip().lower()
