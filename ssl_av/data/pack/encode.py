"""One sample of a manifest, read whole and put into the form of a pack."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from ssl_av.data.media import AudioRequest, Frames, MediaError, Reader, VideoRequest
from ssl_av.data.media.container import Media, open_media, seconds
from ssl_av.data.media.picture import frame_period, is_avi, reorders
from ssl_av.data.pack import GOP, Pack
from ssl_av.data.pack.shards import Packed
from ssl_av.data.rows import Sample

CHUNK = 128
"""Frames read at a time, so that an hour of video is not an hour of frames in memory."""

ENCODER = {
    "preset": "fast", "tune": "fastdecode", "crf": "20", "bf": "0", "sc_threshold": "0",
    "x264-params": "cpu-independent=1",
}  # fmt: skip
"""Of x264. Without B-frames, packet k is frame k; without cuts of its own, every `GOP`-th packet is a keyframe. The
same frames give the same bytes on every processor."""

Times = NDArray[np.float64]


def pack_sample(sample: Sample, pack: Pack, reader: Reader) -> Packed:
    """A sample in the form of a pack; where it cannot be read, the reason."""
    try:
        cells = _picture(sample, pack, reader) if sample.has_video else {}
        if sample.has_audio:
            cells |= _sound(sample, pack, reader)
        return Packed(**cells)  # type: ignore[arg-type]
    except MediaError as e:
        return Packed(error=str(e))


def _picture(sample: Sample, pack: Pack, reader: Reader) -> dict[str, object]:
    times, end = _frame_times(sample, pack.fps)
    size = _size(sample, pack)
    chunks = (
        reader.read(sample.path, [VideoRequest(sample.start + times[i : i + CHUNK], size)])[0][0]
        for i in range(0, len(times), CHUNK)
    )
    cells = {"height": size[0], "width": size[1], "times": times, "end": end}
    if pack.form == "frames":
        frames = np.empty((len(times), *size, 3), np.uint8)
        at = 0
        for chunk in chunks:
            frames[at : at + len(chunk)] = chunk
            at += len(chunk)
        return {**cells, "picture": frames.reshape(-1)}
    packets = list(_encode(chunks, size))
    ends = np.cumsum([0, *map(len, packets)], dtype=np.int64)
    return {**cells, "picture": np.frombuffer(b"".join(packets), np.uint8), "packets": ends}


def _size(sample: Sample, pack: Pack) -> tuple[int, int]:
    """(height, width) of the stored frames, even numbers (the chroma of H.264 has half the size)."""
    if pack.shape == "square":
        return pack.size, pack.size
    long = 2 * max(round(pack.size * max(sample.aspect, 1 / sample.aspect) / 2), 1)
    return (pack.size, long) if sample.aspect >= 1 else (long, pack.size)


def _frame_times(sample: Sample, fps: float | None) -> tuple[Times, float]:
    """When the frames begin that are to be kept, and when the last one ends; from the beginning of the sample.

    The first is the frame that is shown when the sample begins, whenever it began itself.
    """
    until = sample.start + sample.duration
    with open_media(sample.path) as media:
        if media.video is None:
            raise MediaError("no video stream")
        stamps, last = _stamps(media, until)
        period = frame_period(media)
        if not stamps or (is_avi(media) and reorders(media)):
            # No times to go by: the reader counts frames at the average rate, and so does the pack.
            end, own = sample.duration, np.arange(0, sample.duration, period)
        else:
            shown = np.array(sorted(stamps)) - sample.start
            end, own = shown[-1] + max(last, period), shown[(shown > 0) & (shown < sample.duration)]
            own = np.concatenate([[0.0], own])
    if fps is not None:
        own = np.arange(max(math.ceil(min(sample.duration, end) * fps - 1e-6), 1)) / fps
    return own, float(end)


def _stamps(media: Media, until: float) -> tuple[list[float], float]:
    """When each frame up to a time begins to be shown, in seconds, none if one is unknown; and how long the last lasts.

    From the beginning of the file, for where a seek lands is not to be trusted in every format; the packets are not
    kept, for they may be gigabytes.
    """
    stream = media.video
    assert stream is not None
    stamps: dict[float, float] = {}
    try:
        for packet in media.container.demux(stream):
            stamp = packet.dts if is_avi(media) else packet.pts
            if packet.size == 0 or packet.is_discard:
                continue
            if stamp is None:
                return [], 0.0
            stamps[media.time(stamp, stream.index)] = seconds(packet.duration, stream.time_base)
            if packet.dts is not None and media.time(packet.dts, stream.index) > until:
                break
    except av.FFmpegError:
        pass  # as good as the end of the file, as it is for the reader
    return list(stamps), stamps[max(stamps)] if stamps else 0.0


def _encode(chunks: Iterator[Frames], size: tuple[int, int]) -> Iterator[bytes]:
    """The frames' H.264 packets, one a frame, in order; each keyframe brings its own headers."""
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.height, encoder.width = size
    encoder.pix_fmt, encoder.gop_size, encoder.thread_count = "yuv420p", GOP, 1
    encoder.framerate, encoder.time_base = Fraction(25), Fraction(1, 25)
    encoder.options = ENCODER
    number = 0
    for chunk in chunks:
        for image in chunk:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, number = number, number + 1
            yield from map(bytes, encoder.encode(frame))
    yield from map(bytes, encoder.encode(None))


def _sound(sample: Sample, pack: Pack, reader: Reader) -> dict[str, object]:
    """The sound as int16; full scale is its own peak where that is above 1, so that nothing is clipped."""
    # What lies after the end of the sound stays missing, for a view there is one that cannot be read.
    there = reader.probe(sample.path).audio_duration - sample.start
    request = AudioRequest(sample.start, min(sample.duration, there), pack.rate)
    if request.samples < 1:
        return {}
    wave = reader.read(sample.path, (), [request])[1][0]
    scale = max(float(np.abs(wave).max()), 1.0) / 32767
    return {"sound": np.round(wave / scale).astype(np.int16), "scale": scale}
