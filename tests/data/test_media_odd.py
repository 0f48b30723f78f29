"""Files as they really are: odd, broken, or made to fill the memory. Each is read right or refused with a reason."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numbered import COUNT, RATE, numbers, write

from ssl_av.data.media import AudioRequest, Limits, MediaError, Reader, VideoRequest, create_reader
from ssl_av.data.media import picture as picture_module

START = [VideoRequest(np.zeros(1))]


def still(
    path: Path, codec: str, pixels: str, width: int, height: int, count: int = 10, uneven: int = 0
) -> Path:
    """A grey video; ``uneven``: frames are late by some times so many ticks of 1/90000 s."""
    with av.open(str(path), "w") as out:
        video = out.add_stream(codec, rate=25)
        video.width, video.height, video.pix_fmt = width, height, pixels
        video.codec_context.gop_size = 250
        if uneven:
            video.codec_context.time_base = Fraction(1, 90_000)
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), 100, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            if uneven:
                frame.pts, frame.time_base = number * 3600 + number**3 % 39 * uneven, Fraction(1, 90_000)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    return path


def tone(path: Path, codec: str, layout: str, rate: int) -> tuple[Path, float]:
    """Two seconds of 440 Hz, louder in each further channel, and the mean of the loudnesses."""
    channels = len(av.AudioLayout(layout).channels)
    loud = 0.1 * np.arange(1, channels + 1)
    wave = np.outer(loud, np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate)).astype(np.float32)
    with av.open(str(path), "w") as out:
        audio = out.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(wave, "fltp", layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        resampler = av.AudioResampler(format=audio.codec_context.format, layout=layout, rate=rate)
        for part in resampler.resample(frame):
            out.mux(audio.encode(part))
        out.mux(audio.encode(None))
    return path, float(loud.mean())


def wav(rate: int) -> bytes:
    """A header that claims any rate, and 1000 samples."""
    claim = struct.pack("<IHHIIHH", 16, 1, 1, rate, min(2 * rate, 2**32 - 1), 2, 16)
    return (
        b"RIFF"
        + struct.pack("<I", 2036)
        + b"WAVEfmt "
        + claim
        + b"data"
        + struct.pack("<I", 2000)
        + bytes(2000)
    )


@pytest.mark.parametrize(
    ("codec", "pixels", "width", "height"),
    [("ffv1", "yuv444p", 1, 1), ("libx264", "yuv444p", 33, 17), ("ffv1", "yuv420p", 35, 17)],
)
def test_odd_sizes_down_to_one_pixel(
    any_reader: Reader, codec: str, pixels: str, width: int, height: int, tmp_path: Path
) -> None:
    path = still(tmp_path / "a.mkv", codec, pixels, width, height)
    info = any_reader.probe(path)
    assert (info.width, info.height) == (width, height)
    (whole, scaled), _ = any_reader.read(path, [*START, VideoRequest(np.array([0.1]), (32, 32))])
    assert whole.shape == (1, height, width, 3)
    assert scaled.shape == (1, 32, 32, 3)
    assert np.abs(scaled.astype(int) - 100).max() <= 3


@pytest.mark.parametrize("name", ["one.mp4", "one.avi", "one.mkv"])
def test_one_frame(any_reader: Reader, name: str, tmp_path: Path) -> None:
    path = still(tmp_path / name, "mpeg4", "yuv420p", 64, 48, count=1)
    assert any_reader.probe(path).duration == pytest.approx(0.04, abs=1e-3)
    (frames,), _ = any_reader.read(path, [VideoRequest(np.array([0.0, 0.03]))])
    assert np.abs(frames.astype(int) - 100).max() <= 3
    with pytest.raises(MediaError, match="ends at"):
        any_reader.read(path, [VideoRequest(np.array([1.0]))])


@pytest.mark.parametrize("name", ["clip.txt", "clip.avi", "clip.wav", "clip"])
def test_a_wrong_extension_does_not_matter(any_reader: Reader, name: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4").rename(tmp_path / name)
    assert any_reader.probe(path).has_audio
    assert numbers(any_reader.read(path, [VideoRequest(np.array([1.0]))])[0][0]) == [25]


@pytest.mark.parametrize("name", ["-dash.mp4", "12:30.mp4", "grün 録音.mp4", "a%03d?*#;.mp4"])
def test_names(any_reader: Reader, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.mp4").rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    frames, waves = any_reader.read(name, [VideoRequest(np.array([1.0]))], [AudioRequest(1.0, 0.5, 8_000)])
    assert numbers(frames[0]) == [25]
    assert waves[0].shape == (4_000,)


@pytest.mark.parametrize(
    ("codec", "layout", "rate"),
    [("pcm_s16le", "mono", 8_000), ("pcm_s24le", "stereo", 96_000), ("pcm_s16le", "5.1", 48_000)],
)
def test_rates_and_channels(any_reader: Reader, codec: str, layout: str, rate: int, tmp_path: Path) -> None:
    path, loud = tone(tmp_path / "a.wav", codec, layout, rate)
    assert any_reader.probe(path).audio_rate == rate
    _, (wave,) = any_reader.read(path, (), [AudioRequest(0.5, 1.0, 16_000)])
    expected = loud * np.sin(2 * np.pi * 440 * (0.5 + np.arange(16_000) / 16_000))
    assert np.abs(wave - expected).max() < 2e-3


def test_a_missing_stream_is_named(any_reader: Reader, tmp_path: Path) -> None:
    mute, (deaf, _) = (
        write(tmp_path / "mute.mp4", sound=""),
        tone(tmp_path / "a.wav", "pcm_s16le", "mono", RATE),
    )
    assert not any_reader.probe(mute).has_audio
    assert not any_reader.probe(deaf).has_video
    with pytest.raises(MediaError, match="no audio stream"):
        any_reader.read(mute, START, [AudioRequest(0, 1, 8_000)])
    with pytest.raises(MediaError, match="no video stream"):
        any_reader.read(deaf, START)


def test_a_file_that_vanishes_between_two_reads(any_reader: Reader, tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4")
    any_reader.read(path, START)
    path.unlink()
    with pytest.raises(MediaError, match="no such file"):
        any_reader.read(path, START)


@pytest.mark.parametrize("data", [b"", b"not a video " * 100])
def test_bytes_that_are_no_media(any_reader: Reader, data: bytes) -> None:
    for call in (any_reader.probe, lambda d: any_reader.read(d, START)):
        with pytest.raises(MediaError, match="invalid" if data else "empty"):
            call(data)


def test_damage_raises_nothing_but_media_errors(any_reader: Reader, tmp_path: Path) -> None:
    whole = np.frombuffer(write(tmp_path / "a.mp4").read_bytes(), np.uint8)
    reasons = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        data = whole.copy()
        data[rng.integers(0, len(data), 1 + seed * 20)] = rng.integers(0, 256, 1 + seed * 20)
        try:
            frames, waves = any_reader.read(
                data[: rng.integers(len(data) // 2, 2 * len(data))].tobytes(),
                [VideoRequest(rng.uniform(0, 3) + np.arange(4) / 8, (32, 32))],
                [AudioRequest(rng.uniform(0, 2), 1.0, 16_000)],
            )
            assert frames[0].shape == (4, 32, 32, 3)
            assert np.isfinite(waves[0]).all()
        except MediaError as e:
            reasons.append(str(e))
    assert reasons
    assert all(0 < len(reason) < 200 for reason in reasons)


def test_a_rate_that_would_fill_the_memory(any_reader: Reader) -> None:
    assert any_reader.read(wav(44_101), (), [AudioRequest(0, 2.0, 24_000)])[1][0].shape == (48_000,)
    for call in (any_reader.probe, lambda d: any_reader.read(d, (), [AudioRequest(0, 2.0, 24_000)])):
        with pytest.raises(MediaError, match="at 2000000000 samples a second, at most 768000"):
            call(wav(2_000_000_000))


def test_a_frame_that_would_fill_the_memory(any_reader: Reader, tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4")
    reader = create_reader(any_reader.name, Limits(pixels=64 * 48 - 1))
    for call in (reader.probe, lambda p: reader.read(p, START)):
        with pytest.raises(MediaError, match="a frame of 64 x 48 pixels, at most 3071 are read"):
            call(path)
    reader = create_reader(any_reader.name, Limits(pixels=64 * 48))
    assert len(reader.read(path, START)[0][0]) == 1


def test_the_largest_frame_is_that_of_the_highest_level(tmp_path: Path) -> None:
    assert 8192 * 4352 <= Limits().pixels < 8192 * 4353
    whole = still(tmp_path / "a.mkv", "ffv1", "yuv420p", 1000, 1000, count=1).read_bytes()
    bomb = whole.replace(b"\xb0\x82\x03\xe8", b"\xb0\x82\x2e\xe0", 1)  # Matroska's PixelWidth
    bomb = bomb.replace(b"\xba\x82\x03\xe8", b"\xba\x82\x2e\xe0", 1)
    with pytest.raises(MediaError, match="a frame of 12000 x 12000 pixels, at most 35651584"):
        create_reader().read(bomb, START)


def test_a_guessed_rate_is_no_reason_to_refuse(tmp_path: Path) -> None:
    path = still(tmp_path / "a.ts", "libx264", "yuv420p", 64, 48, count=60, uneven=90)
    with av.open(str(path)) as file:
        assert file.streams.video[0].average_rate is None
        assert (file.streams.video[0].guessed_rate or 0) > Limits().fps
    assert create_reader().probe(path).duration == pytest.approx(2.4, abs=0.1)


@pytest.mark.parametrize("suffix", ["mp4", "avi"])
def test_more_frames_than_one_read_may_decode(suffix: str, tmp_path: Path) -> None:
    reader = create_reader("pyav", Limits(frames=60))
    path = still(tmp_path / f"a.{suffix}", "mpeg4", "yuv420p", 64, 48, count=100)
    assert len(reader.read(path, [VideoRequest(np.array([2.0]))])[0][0]) == 1
    with pytest.raises(MediaError, match="frames or more would have to be decoded, at most 60 are read"):
        reader.read(path, [VideoRequest(np.array([3.0]))])
    # What lies between two asked groups of pictures is not decoded and does not count.
    near = write(tmp_path / "keys.mkv", gop=5, sound="")
    assert numbers(reader.read(near, [VideoRequest(np.array([0.0, 3.9]))])[0][0]) == [0, 97]


def test_more_bytes_or_sound_than_one_read_may_hold(tmp_path: Path) -> None:
    reader, path = create_reader("pyav", Limits(sound=1.5)), write(tmp_path / "a.mp4")
    assert reader.read(path, (), [AudioRequest(1.0, 0.5, 8_000)])[1][0].shape == (4_000,)
    with pytest.raises(
        MediaError, match=r"2 s of sound or more would have to be decoded, at most 1.5 are read"
    ):
        reader.read(path, (), [AudioRequest(1.0, 2.0, 8_000)])
    reader = create_reader("pyav", Limits(mebibytes=1e-3))
    with pytest.raises(MediaError, match="between the asked times"):
        reader.read(path, [VideoRequest(np.arange(0, COUNT, 10) / 25)])


def test_long_avi_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.avi", codec="mpeg4", sound="", b_frames=2)
    seen = []
    monkeypatch.setattr(
        "ssl_av.data.media.pyav.decode_all",
        lambda m, packets, c: seen.append(len(packets.video)) or picture_module.decode_all(m, packets, c),
    )
    assert numbers(create_reader().read(path, [VideoRequest(np.array([0.5]))])[0][0]) == [12]
    assert seen
    assert seen[0] < COUNT * 0.75
