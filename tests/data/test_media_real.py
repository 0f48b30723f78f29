"""Decoding real files of many codecs and containers, whole and broken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ssl_av.data.media import AudioRequest, MediaError, Reader, VideoRequest, create_reader
from ssl_av.data.media.container import gather, open_media
from ssl_av.data.media.picture import SKIPPING, _in_order, frame_period, to_rgb

RATE = 44_100


@pytest.fixture(scope="module")
def reader() -> Reader:
    return create_reader()


def zoo(shared: Path) -> list[Path]:
    return sorted(p for p in (shared / "clips").glob("*/*") if p.is_file())


def test_every_file_of_the_zoo_is_read_right_or_refused(shared: Path, reader: Reader) -> None:
    files = zoo(shared)
    assert len(files) == 55
    rng = np.random.default_rng(0)
    refused = {}
    for path in files:
        try:
            info = reader.probe(path)
            start = rng.uniform(0, max(info.duration - 2, 0))
            times = np.mod(start + np.arange(8) / 8, info.duration)
            sound = [AudioRequest(start, 2.0, 24_000)] if info.has_audio else []
            frames, waves = reader.read(path, [VideoRequest(times, (64, 64))], sound)
        except MediaError as e:
            refused[path.name] = str(e)
            continue
        assert frames[0].shape == (8, 64, 64, 3)
        assert frames[0].std() > 1
        assert all(wave.shape == (48_000,) and np.abs(wave).max() > 1e-4 for wave in waves)
    assert set(refused) <= {"corrupted.mp4"}


@pytest.mark.slow
def test_skipping_is_exact_to_the_bit(shared: Path, reader: Reader) -> None:
    files = [*zoo(shared)[:24:2], *zoo(shared)[24::6], *sorted((shared / "grid" / "video").glob("*.mp4"))[:2]]
    files += sorted((shared / "ucf101_mini").glob("*/*.avi"))[::46]
    rng = np.random.default_rng(1)
    codecs = set()
    for path in files:
        if path.name == "corrupted.mp4":
            continue
        with open_media(path) as media:
            assert media.video is not None
            codecs.add(media.video.codec_context.name)
            packets = gather(media, (0, 1e9), None)
            scaler = reader._scaler  # type: ignore[attr-defined]
            shown = [
                (t, to_rgb(f, (32, 32), scaler)) for f, t, _ in _in_order(media, packets, frame_period(media))
            ]
        at = np.array([time for time, _ in shown])
        for _ in range(4):
            first, count, step = rng.integers(len(at)), rng.integers(1, 40), rng.integers(1, 6)
            picked = np.arange(first, min(first + count * step, len(at)), step)
            (frames,), _ = reader.read(path, [VideoRequest(at[picked] + 1e-4, (32, 32))])
            assert all(np.array_equal(f, shown[i][1]) for f, i in zip(frames, picked, strict=True)), path.name
    assert {"h264", "mpeg4"} <= codecs & SKIPPING


def test_file_that_fails_in_the_middle(any_reader: Reader, shared: Path) -> None:
    reader, path = any_reader, shared / "clips" / "original" / "corrupted.mp4"
    assert reader.probe(path).duration == 5.0
    assert reader.read(path, [VideoRequest(np.array([0.0, 2.0]))])[0][0].shape == (2, 720, 1280, 3)
    for times in ([1.0, 4.0], [4.5], [4.0, 4.1, 4.2]):
        with pytest.raises(MediaError, match="invalid data"):
            reader.read(path, [VideoRequest(np.array(times))])


def test_metadata_in_another_encoding(shared: Path, reader: Reader) -> None:
    (path,) = (shared / "clips" / "original").glob("hmdb51_Turnk*")
    assert reader.probe(path).fps == 30
    (frames,), _ = reader.read(path, [VideoRequest(np.arange(8) / 8)])
    assert len({frame.tobytes() for frame in frames}) == 8


def test_file_that_does_not_start_at_zero(any_reader: Reader, shared: Path) -> None:
    reader, path = any_reader, shared / "clips" / "original" / "test_non_zero_start.mp4"
    assert reader.probe(path).duration == pytest.approx(0.4)
    (frames,), _ = reader.read(path, [VideoRequest(np.arange(12) / 30)])
    assert len({frame.tobytes() for frame in frames}) == 12


def test_rotation(any_reader: Reader, shared: Path) -> None:
    reader, folder = any_reader, shared / "clips" / "original"
    images = {
        a: reader.read(folder / f"video_{a}.mov", [VideoRequest(np.zeros(1))])[0][0][0] for a in (0, 90, 180)
    }
    assert images[0].shape == images[180].shape == (320, 568, 3)
    assert images[90].shape == (568, 320, 3)
    info = reader.probe(folder / "video_90.mov")
    assert (info.width, info.height) == (320, 568)
    assert info.aspect == pytest.approx(320 / 568, abs=0.01)
    (small,), _ = reader.read(folder / "nasa_13013_rotated.mp4", [VideoRequest(np.zeros(1), (80, 40))])
    assert small.shape == (1, 80, 40, 3)


def test_two_video_streams_take_the_first(any_reader: Reader, shared: Path) -> None:
    path = shared / "clips" / "original" / "nasa_13013.mp4"
    info = any_reader.probe(path)
    assert (info.width, info.height, info.audio_rate) == (320, 180, 8_000)
    (frames,), (wave,) = any_reader.read(
        path, [VideoRequest(np.array([5.0]))], [AudioRequest(5.0, 1.0, 16_000)]
    )
    assert frames.shape == (1, 180, 320, 3)
    assert wave.shape == (16_000,)


def test_xvid_frames_come_in_the_order_they_are_shown(shared: Path, reader: Reader) -> None:
    path = shared / "clips" / "original" / "mmaction2_test.avi"
    (frames,), _ = reader.read(path, [VideoRequest((np.arange(160) + 0.5) / 25, (30, 40))])
    steps = np.abs(np.diff(frames.astype(float), axis=0)).mean((1, 2, 3))
    skips = np.abs(frames[2:].astype(float) - frames[:-2]).mean((1, 2, 3))
    # Frames in the order of their (wrong) time stamps would jump to and fro.
    assert (steps[:-1] < skips + 0.5).mean() > 0.9
    assert len({frame.tobytes() for frame in frames}) == 160


def test_sound_in_the_middle_is_that_of_the_whole(shared: Path, reader: Reader) -> None:
    for path in sorted((shared / "esc50" / "audio").glob("*.ogg"))[::250]:
        rate = reader.probe(path).audio_rate
        _, (whole,) = reader.read(path, (), [AudioRequest(0.0, 5.0, rate)])
        _, (part,) = reader.read(path, (), [AudioRequest(2.0, 1.0, rate)])
        assert np.abs(whole[2 * rate : 3 * rate] - part).max() < 1e-5
    for path in sorted((shared / "grid" / "video").glob("*.mp4"))[:3]:
        _, (whole, part) = reader.read(path, (), [AudioRequest(0.0, 2.9, RATE), AudioRequest(1.5, 1.0, RATE)])
        _, (alone,) = reader.read(path, (), [AudioRequest(1.5, 1.0, RATE)])
        assert np.array_equal(whole[round(1.5 * RATE) : round(2.5 * RATE)], part)
        # AAC fills the quiet high bands with noise that depends on where decoding begins.
        assert np.corrcoef(part, alone)[0, 1] > 0.9
