"""From packets to frames: decodes no more than the asked frames need."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from ssl_av.data.media import Frames, Limits, MediaError, VideoRequest
from ssl_av.data.media.container import SLACK, Media, Packets, seconds

GRACE = 0.1
"""Seconds after the end of the last frame at which it may still be asked for."""

SKIPPING = frozenset({"h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4"})
"""Decoders that can be told, packet by packet, to leave out a frame to which no other refers; all others then
come out the same to the bit. (AV1's takes the order once for the whole file.)"""


class PlanFailed(Exception):
    """The packets' time stamps are not those of the frames."""


class Canvas:
    """Where the asked frames go: one array a request; a slot is one frame of one request.

    Args:
        requests: what was asked for.
        scaler: one for all frames, because it caches its tables (``frame.reformat`` does not).
    """

    def __init__(self, requests: Sequence[VideoRequest], scaler: VideoReformatter) -> None:
        self.times = np.concatenate([np.asarray(r.times, np.float64) for r in requests])
        """Seconds from the beginning of the file, one a slot."""
        self._requests = requests
        self._scaler = scaler
        self._slots = [(i, j) for i, request in enumerate(requests) for j in range(len(request.times))]
        self._frames: list[Frames | None] = [None] * len(requests)

    def place(self, frame: VideoFrame, slots: Sequence[int]) -> None:
        """Puts a frame into slots, scaled once for each size.

        Raises:
            MediaError: if the frame is damaged.
        """
        scaled: dict[tuple[int, int] | None, Frames] = {}
        for i, j in (self._slots[slot] for slot in slots):
            request = self._requests[i]
            if request.size not in scaled:
                scaled[request.size] = to_rgb(frame, request.size, self._scaler)
            image = scaled[request.size]
            frames = self._frames[i]
            if frames is None:
                frames = self._frames[i] = np.empty((len(request.times), *image.shape), np.uint8)
            if frames.shape[1:] != image.shape:
                raise MediaError("the picture's size changes within the file")
            frames[j] = image

    def result(self) -> list[Frames]:
        """The filled arrays, uint8 [T, H, W, 3]."""
        return [frames for frames in self._frames if frames is not None]


def to_rgb(frame: VideoFrame, size: tuple[int, int] | None, scaler: VideoReformatter) -> Frames:
    """A frame as it is shown, uint8 [H, W, 3]: rotated, and squashed to ``size`` (height, width)."""
    turns = round(frame.rotation / 90) % 4
    height, width = size or (None, None)
    if turns % 2:
        height, width = width, height
    rgb = scaler.reformat(frame, width=width, height=height, format="rgb24", threads=1)
    image: Frames = rgb.to_ndarray().astype(np.uint8, copy=False)
    return np.rot90(image, turns) if turns else image


def decode_planned(media: Media, packets: Packets, canvas: Canvas) -> None:
    """Decodes by the packets' time stamps: skips groups of pictures and unreferenced frames nobody asked for.

    Raises:
        PlanFailed: if the time stamps turn out not to be those of the frames.
        MediaError: if the file is damaged or too short.
    """
    assert media.video is not None
    stamps: list[int] = []
    for packet in packets.video:
        # AVI has no presentation times, only a frame counter; what FFmpeg guesses from it is some frames off.
        stamp = packet.dts if is_avi(media) else packet.pts
        if stamp is None:
            raise PlanFailed
        packet.pts = stamp
        stamps.append(stamp)
    if len(set(stamps)) < len(stamps):
        raise PlanFailed
    # What an edit list cuts off is decoded, for other frames refer to it, but never shown.
    shown = np.array([i for i, packet in enumerate(packets.video) if not packet.is_discard], np.int64)
    if not len(shown):
        raise PlanFailed
    order = shown[np.argsort(np.array(stamps, np.int64)[shown])]
    times = np.array([media.time(stamps[i], media.video.index) for i in order])
    if packets.ended:
        last = packets.video[order[-1]]
        length = max(seconds(last.duration, media.video.time_base), frame_period(media))
        check_end(canvas.times.max(), times[-1] + length)
    chosen = np.searchsorted(times, canvas.times + SLACK, side="right") - 1
    wanted: dict[int, list[int]] = {}
    for slot, rank in enumerate(np.maximum(chosen, 0)):
        wanted.setdefault(int(order[rank]), []).append(slot)
    slots = {stamps[position]: places for position, places in wanted.items()}
    runs = _runs(packets.video, stamps, sorted(wanted))
    _check_count(sum(end - begin for begin, end in runs), media.limits)
    for begin, end in runs:
        previous: int | None = None
        for frame in _decode(media, packets.video, begin, end, wanted):
            if frame.pts is None or (previous is not None and frame.pts <= previous):
                raise PlanFailed
            previous = frame.pts
            if previous in slots:
                canvas.place(_intact(frame, media), slots.pop(previous))
    if slots:
        raise PlanFailed


def _runs(
    packets: Sequence[Packet[VideoStream]], stamps: Sequence[int], wanted: Sequence[int]
) -> list[tuple[int, int]]:
    """Ranges of packets to decode: from a keyframe to the last wanted frame that depends on it."""
    keys = [i for i, packet in enumerate(packets) if packet.is_keyframe or i == 0]
    runs: list[tuple[int, int]] = []
    for position in wanted:
        group = int(np.searchsorted(keys, position, side="right")) - 1
        # A frame shown before the keyframe that it follows may also refer to the group before.
        if group > 0 and stamps[position] < stamps[keys[group]]:
            group -= 1
        begin = keys[group]
        while runs and begin < runs[-1][1]:
            begin = min(begin, runs.pop()[0])
        runs.append((begin, position + 1))
    return runs


def _decode(
    media: Media, packets: Sequence[Packet[VideoStream]], begin: int, end: int, wanted: dict[int, list[int]]
) -> Iterator[VideoFrame]:
    assert media.video is not None
    codec = media.video.codec_context
    for position in range(begin, end):
        if codec.name in SKIPPING:
            codec.skip_frame = "DEFAULT" if position in wanted else "NONREF"
        yield from codec.decode(packets[position])
    yield from codec.decode(None)
    codec.flush_buffers()


def decode_all(media: Media, packets: Packets, canvas: Canvas) -> None:
    """Decodes every frame from the beginning and goes by their own order, for files without usable stamps.

    Raises:
        MediaError: if the file is damaged or too short.
    """
    assert media.video is not None
    order = np.argsort(canvas.times, kind="stable")
    period = frame_period(media)
    pending = list(order)
    last: VideoFrame | None = None
    end = 0.0
    for count, (frame, now, length) in enumerate(_in_order(media, packets, period), start=1):
        _check_count(count, media.limits)
        due = []
        while pending and canvas.times[pending[0]] + SLACK < now:
            due.append(pending.pop(0))
        if due:
            canvas.place(_intact(last or frame, media), due)
        if not pending:
            return
        last, end = frame, now + max(length, period)
    if last is None:
        raise MediaError("no frame could be decoded")
    check_end(canvas.times.max(), end)
    canvas.place(_intact(last, media), pending)


def _in_order(media: Media, packets: Packets, period: float) -> Iterator[tuple[VideoFrame, float, float]]:
    """Frames with their time and length in seconds; counted at the average rate where there is no stamp."""
    assert media.video is not None
    base = media.video.time_base
    origin: float | None = None if is_avi(media) else media.origin
    now = -math.inf
    for packet in (*packets.video, None):
        for frame in media.video.codec_context.decode(packet):
            # In AVI the counter of the packet that pushed the frame out: right but for the decoder's delay,
            # which is the first frame's.
            stamp = frame.dts if is_avi(media) else frame.pts
            if stamp is None:
                time = now + period
            else:
                time = seconds(stamp, base)
                origin = time if origin is None else origin
                time -= origin
            now = max(time if time > now else now + period, 0.0)
            yield frame, now, seconds(frame.duration, base)


def is_avi(media: Media) -> bool:
    """Whether there are no presentation times, only decoding times."""
    return media.container.format.name == "avi"


def reorders(media: Media) -> bool:
    """Whether frames are shown in another order than they are stored."""
    return media.video is not None and bool(media.video.codec_context.has_b_frames)


def frame_period(media: Media) -> float:
    """Average seconds between two frames."""
    assert media.video is not None
    return 1 / float(media.video.average_rate or media.video.guessed_rate or 25)


def check_end(asked: float, end: float) -> None:
    """Whether a frame can answer for this time.

    Raises:
        MediaError: if the last frame is over; to show it again would pass in silence for a still picture.
    """
    if asked > end + GRACE:
        raise MediaError(f"the video ends at {end:.2f} s, asked for {asked:.2f} s")


def _check_count(count: int, limits: Limits) -> None:
    if count > limits.frames:
        raise limits.refuse("frames", f"{count} frames or more would have to be decoded")


def _intact(frame: VideoFrame, media: Media) -> VideoFrame:
    if frame.is_corrupt:
        assert media.video is not None
        where = "" if frame.pts is None else f" at {media.time(frame.pts, media.video.index):.2f} s"
        raise MediaError(f"damaged frame{where}")
    return frame
