"""From packets to waveforms: mono, at the asked rate, in the right place to the sample."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.packet import Packet

from ssl_av.data.media import LOWEST_RATE, AudioRequest, Limits, MediaError, Wave
from ssl_av.data.media.container import PREROLL, Media, Packets, promised_end

JOIN = 0.01
"""Seconds by which a time stamp may differ from the end of the sound before it, and still continue it."""

JOIN_VORBIS = 0.05
"""The same of Vorbis, where FFmpeg's stamp of a short block after a long one is late by up to a quarter of the long one
(448 samples at 44.1 kHz) while its samples follow each other without a gap."""

LOST = 0.1
"""Seconds of undecodable packets let pass (as zeros): many an MP3 stream in AVI begins with half a frame."""

BLOCK = 32_768
"""Samples given to the resampler at once: it reserves several buffers as long as what it is given."""

CUT_SHORT = 0.5
"""Seconds by which sound may end before the header says so."""

Piece = tuple[int, list[Wave]]


def decode_sound(media: Media, packets: Packets, requests: Sequence[AudioRequest]) -> list[Wave]:
    """Waveforms for these requests, float32 [samples].

    Raises:
        MediaError: if there is no sound at all, or less than the file's header promises.
    """
    rate, pieces = _decode(media, packets, requests)
    if rate is None or not pieces:
        start = min(r.start for r in requests)
        raise MediaError(f"no sound from {start:.2f} s to {max(r.start + r.seconds for r in requests):.2f} s")
    _check_end(media, packets, max(r.start + r.seconds for r in requests))
    return [cut(pieces, rate, request) for request in requests]


def _decode(
    media: Media, packets: Packets, requests: Sequence[AudioRequest]
) -> tuple[int | None, list[Piece]]:
    """The stream's rate, and the stretches that were decoded: (place of the first sample, parts to join)."""
    assert media.audio is not None
    rate: int | None = None
    total = 0
    pieces: list[Piece] = []
    late = media.audio.codec_context.name == "vorbis"
    join = JOIN_VORBIS if late else JOIN
    for run in _runs(media, packets.audio, requests):
        end: int | None = None
        for frame in _frames(media, run):
            rate = rate or frame.sample_rate
            if frame.sample_rate != rate:
                raise MediaError("the sound's rate changes within the file")
            check_sound(rate, frame.layout.nb_channels, media.limits)
            total += frame.samples
            if total > media.limits.sound * rate:
                raise media.limits.refuse(
                    "sound", f"{total / rate:.0f} s of sound or more would have to be decoded"
                )
            place = end
            if frame.pts is not None:
                stamped = round(media.time(frame.pts, media.audio.index) * rate)
                place = stamped if end is None or abs(stamped - end) > join * rate else end
                if late and place == end and stamped < end and len(pieces[-1][1]) == 1:
                    # the first one's stamp was late
                    pieces[-1] = (pieces[-1][0] + stamped - end, pieces[-1][1])
                    place = end = stamped
            place = place or 0
            wave = to_mono(frame)
            if end is None or place != end:
                pieces.append((place, []))
            pieces[-1][1].append(wave)
            end = place + len(wave)
    return rate, pieces


def check_sound(rate: int, channels: int, limits: Limits) -> None:
    """Whether a sound's rate and its channels can be believed.

    Raises:
        MediaError: if not: the header of a WAV file can ask for gigabytes a second.
    """
    if rate > limits.rate:
        raise limits.refuse("rate", f"sound at {rate} samples a second")
    if rate < LOWEST_RATE:
        raise MediaError(f"sound at {rate} samples a second, which is none (at least {LOWEST_RATE})")
    if channels > limits.channels:
        raise limits.refuse("channels", f"sound of {channels} channels")


def _runs(
    media: Media, packets: Sequence[Packet[AudioStream]], requests: Sequence[AudioRequest]
) -> Iterator[list[Packet[AudioStream]]]:
    """The packets that the requests need, in stretches without a gap."""
    assert media.audio is not None
    spans = [(r.start - PREROLL, r.start + r.seconds + PREROLL / 2) for r in requests]
    run: list[Packet[AudioStream]] = []
    for packet in packets:
        if packet.pts is None:
            run.append(packet)
            continue
        time = media.time(packet.pts, media.audio.index)
        until = time + _length(media, packet)
        if any(begin <= until and time <= end for begin, end in spans):
            run.append(packet)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _length(media: Media, packet: Packet[AudioStream]) -> float:
    return (packet.duration or 0) * media.ticks[packet.stream_index]


def _frames(media: Media, run: Sequence[Packet[AudioStream]]) -> Iterator[AudioFrame]:
    assert media.audio is not None
    codec = media.audio.codec_context
    lost = 0.0
    for packet in run:
        try:
            yield from codec.decode(packet)
        except av.FFmpegError as e:
            lost += max(_length(media, packet), 0.02)
            if lost > LOST:
                raise MediaError("damaged sound") from e
    yield from codec.decode(None)
    codec.flush_buffers()


def to_mono(frame: AudioFrame) -> Wave:
    """The mean of a frame's channels, float32 [samples], full scale is 1."""
    if frame.format.name == "fltp":  # what nearly every decoder gives; spares a copy into one array
        channels = [np.frombuffer(memoryview(plane), np.float32, frame.samples) for plane in frame.planes]
        total: Wave = channels[0] if len(channels) == 1 else np.add.reduce(channels)
        return total if len(channels) == 1 else total / np.float32(len(channels))
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype == np.uint8:
        samples = (samples.astype(np.float32) - 128) / 128
    elif samples.dtype.kind == "i":
        samples = samples.astype(np.float32) / 2.0 ** (8 * samples.itemsize - 1)
    return samples.mean(axis=0, dtype=np.float32)


def _check_end(media: Media, packets: Packets, asked: float) -> None:
    assert media.audio is not None
    stream = media.audio
    promised = promised_end(media, stream)
    last = packets.audio[-1] if packets.audio else None
    if not packets.ended or promised is None or last is None or last.pts is None:
        return
    end = media.time(last.pts, stream.index) + _length(media, last)
    if min(asked, promised) > end + CUT_SHORT:
        raise MediaError(f"the sound ends at {end:.2f} s, its header says {promised:.2f} s")


def cut(pieces: Sequence[Piece], rate: int, request: AudioRequest) -> Wave:
    """One request's samples: laid out by time at the stream's rate, zeros where there is none, resampled.

    Args:
        pieces: stretches that were decoded: (place of the first sample, parts to join).
        rate: of the stream, samples a second.
        request: what was asked for.
    """
    unit = rate // math.gcd(rate, request.rate)
    # The resampler's filter must see what lies around the cut; a whole number of units is a whole number of
    # samples at both rates, so that the margin can be cut off exactly.
    margin = unit * math.ceil(max(64, 64 * rate // request.rate) / unit) if rate != request.rate else 0
    begin = round(request.start * rate) - margin
    wave = np.zeros(math.ceil(request.samples * rate / request.rate) + 2 * margin, np.float32)
    for place, parts in pieces:
        part = np.concatenate(parts)
        first, last = max(place, begin), min(place + len(part), begin + len(wave))
        if first < last:
            wave[first - begin : last - begin] = part[first - place : last - place]
    if margin:
        skip = margin * request.rate // rate
        wave = resample(wave, rate, request.rate)[skip:]
    return wave[: request.samples]


def resample(wave: Wave, source: int, target: int) -> Wave:
    """The waveform at another rate, float32 [about len · target / source]; sample 0 stays where it is.

    FFmpeg's polyphase filter rather than torchaudio's: no torch where only decoding is done, and one file
    less that depends on torchaudio.
    """
    resampler = AudioResampler(format="fltp", layout="mono", rate=target)
    parts = []
    for begin in range(0, len(wave), BLOCK):
        block = np.ascontiguousarray(wave[None, begin : begin + BLOCK])
        frame = AudioFrame.from_ndarray(block, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = source, begin, Fraction(1, source)
        parts += [part.to_ndarray()[0] for part in resampler.resample(frame)]
    parts += [part.to_ndarray()[0] for part in resampler.resample(None)]
    return np.concatenate(parts).astype(np.float32, copy=False)
