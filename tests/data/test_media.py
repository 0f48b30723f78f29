"""Decoding, checked on files whose frames carry their number and whose sound tells its time."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from numbered import COUNT, FPS, RATE, chirp, lag, numbers, write

from ssl_av.data.media import AudioRequest, MediaError, Reader, VideoRequest, create_reader
from ssl_av.data.media import container as container_module
from ssl_av.data.media.sound import resample


@pytest.fixture(scope="module")
def reader() -> Reader:
    return create_reader()


@pytest.fixture(scope="module")
def mp4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("media") / "clip.mp4")


KINDS = {
    "mp4": {},
    "long-gop.mp4": {"gop": 250},
    "plain.mp4": {"b_frames": 0},
    "ten.mkv": {"gop": 10},
    "mpeg4.avi": {"codec": "mpeg4", "sound": "mp2", "b_frames": 0},
    "reordered.avi": {"codec": "mpeg4", "sound": "", "b_frames": 2},
    "h264.avi": {"sound": "mp2"},
    "mpeg2.ts": {"codec": "mpeg2video", "sound": ""},
    "mpeg1.mpg": {"codec": "mpeg1video", "sound": ""},
}


@pytest.mark.parametrize("kind", KINDS)
def test_frame_for_a_time_is_the_last_not_after_it(kind: str, tmp_path: Path, reader: Reader) -> None:
    path = write(tmp_path / f"x{'.' if '.' not in kind else '-'}{kind}", **KINDS[kind])
    rng = np.random.default_rng(0)
    for start in (0.0, *rng.uniform(0, 3, 5)):
        times = start + np.sort(rng.uniform(0, 0.9, 6))
        times = times[np.abs(times * FPS - np.round(times * FPS)) > 0.1]  # containers round their stamps
        (frames,), _ = reader.read(path, [VideoRequest(times)])
        assert numbers(frames) == list((times * FPS).astype(int))


def test_times_in_any_order_and_several_requests_share_a_pass(
    mp4: Path, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    monkeypatch.setattr(
        container_module.av, "open", lambda *a, _open=av.open, **k: opened.append(a) or _open(*a, **k)
    )
    first = np.array([90, 3, 40, 3, 41]) / FPS
    second = np.arange(0, COUNT, 7) / FPS
    (a, b), (wave, _) = reader.read(
        mp4,
        [VideoRequest(first), VideoRequest(second, (24, 16))],
        [AudioRequest(3.0, 0.5, 16_000), AudioRequest(0.25, 0.125, 8_000)],
    )
    assert numbers(a) == [90, 3, 40, 3, 41]
    assert numbers(b) == list(range(0, COUNT, 7))
    assert a.shape == (5, 48, 64, 3)
    assert b.shape == (15, 24, 16, 3)
    assert a.dtype == b.dtype == np.uint8
    assert wave.shape == (8_000,)
    assert len(opened) == 1


def test_variable_frame_rate_goes_by_time_stamps(tmp_path: Path, reader: Reader) -> None:
    gaps = np.random.default_rng(1).choice([20, 40, 40, 200], COUNT)
    stamps = np.concatenate([[0], np.cumsum(gaps)[:-1]])
    path = write(tmp_path / "vfr.mkv", times=[int(s) for s in stamps], sound="")
    times = np.random.default_rng(2).uniform(0, stamps[-1] / 1000, 40)
    (frames,), _ = reader.read(path, [VideoRequest(times)])
    assert numbers(frames) == list(np.searchsorted(stamps / 1000, times + 1e-3, side="right") - 1)


def test_before_the_beginning_and_after_the_end(mp4: Path, reader: Reader) -> None:
    (frames,), _ = reader.read(mp4, [VideoRequest(np.array([-0.5, 0.0, 4.09]))])
    assert numbers(frames) == [0, 0, COUNT - 1]
    with pytest.raises(MediaError, match=r"ends at 4\.00 s, asked for 4\.20 s"):
        reader.read(mp4, [VideoRequest(np.array([1.0, 4.2]))])


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.wav", "a.flac"])
@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, RATE, 48_000])
def test_sound_is_in_its_place(name: str, rate: int, tmp_path: Path, reader: Reader) -> None:
    sound = {"a.wav": "pcm_s16le", "a.flac": "flac"}.get(name, "aac")
    path = write(tmp_path / name, codec="libx264" if sound == "aac" else "", sound=sound)
    for start in (0.0, 0.511, 2.0):
        _, (wave,) = reader.read(path, (), [AudioRequest(start, 1.0, rate)])
        assert wave.shape == (rate,)
        assert wave.dtype == np.float32
        shift, error = lag(wave, start, rate)
        # Matroska rounds time stamps to a millisecond; the others are right to a sample.
        assert abs(shift) <= (6e-4 if name.endswith("mkv") else 1e-9)
        assert error < 0.03


def test_sound_that_starts_late_and_ends_early_is_silent_there(tmp_path: Path, reader: Reader) -> None:
    path = write(tmp_path / "part.mp4", sound_from=1.0, sound_to=2.5)
    _, (wave,) = reader.read(path, (), [AudioRequest(0.0, 4.0, 16_000)])
    assert wave.shape == (64_000,)
    assert np.abs(wave[:15_500]).max() < 1e-3
    assert np.abs(wave[41_500:]).max() < 1e-3
    shift, error = lag(wave[17_000:39_000], 17 / 16, 16_000)
    assert abs(shift) < 1e-3  # an MP4 file says in milliseconds when a stream begins
    assert error < 0.03
    info = reader.probe(path)
    assert info.audio_duration == pytest.approx(2.5, abs=0.1)
    assert info.duration == info.video_duration == pytest.approx(4.0, abs=0.05)
    with pytest.raises(MediaError, match=r"no sound from 3\.50 s to 4\.00 s"):
        reader.read(path, (), [AudioRequest(3.5, 0.5, 16_000)])


def test_neighbouring_pieces_of_sound_join(tmp_path: Path, reader: Reader) -> None:
    path = write(tmp_path / "a.wav", codec="", sound="pcm_s16le")
    whole = AudioRequest(0.5, 2.0, 24_000)
    halves = [AudioRequest(0.5, 1.0, 24_000), AudioRequest(1.5, 1.0, 24_000)]
    _, (wave, *parts) = reader.read(path, (), [whole, *halves])
    assert np.abs(np.concatenate(parts) - wave).max() < 1e-4


def test_resampling_keeps_the_place_and_stops_what_would_alias() -> None:
    at = np.arange(RATE) / RATE
    wave = resample(chirp(at).astype(np.float32), RATE, 16_000)
    inner = slice(100, 15_900)
    assert np.abs(wave[:16_000] - chirp(np.arange(16_000) / 16_000))[inner].max() < 2e-3
    high = np.sin(2 * np.pi * 11_000 * at).astype(np.float32)
    assert np.abs(resample(high, RATE, 16_000)[inner]).max() < 1e-2


def test_probe(mp4: Path, tmp_path: Path, reader: Reader) -> None:
    info = reader.probe(mp4)
    assert (info.width, info.height, info.fps, info.audio_rate) == (64, 48, 25.0, RATE)
    assert info.aspect == pytest.approx(4 / 3)
    assert info.duration == pytest.approx(4.0, abs=0.05)
    assert info.audio_duration == pytest.approx(4.0, abs=0.05)
    wav = reader.probe(write(tmp_path / "a.wav", codec="", sound="pcm_s16le"))
    assert (wav.has_video, wav.has_audio, wav.width, wav.aspect) == (False, True, 0, 1.0)
    assert wav.duration == pytest.approx(4.0)
    # Without a duration in the header, the file's end is looked at.
    live = reader.probe(write(tmp_path / "live.mkv", options={"live": "1"}))
    assert live.duration == pytest.approx(4.0, abs=0.1)
    assert live.audio_duration == pytest.approx(4.0, abs=0.1)


def test_missing_streams(tmp_path: Path, reader: Reader) -> None:
    mute = write(tmp_path / "mute.mp4", sound="")
    blind = write(tmp_path / "blind.wav", codec="", sound="pcm_s16le")
    with pytest.raises(MediaError, match="no audio stream"):
        reader.read(mute, (), [AudioRequest(0, 1, 16_000)])
    with pytest.raises(MediaError, match="no video stream"):
        reader.read(blind, [VideoRequest(np.zeros(1))])
    assert reader.read(mute) == ([], [])


def test_what_is_no_media_file(any_reader: Reader, tmp_path: Path) -> None:
    reader = any_reader
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a video " * 100)
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n")
    reasons = {"empty.mp4": "empty", "none.mp4": "no such file", "text.mp4": "invalid", ".": "directory"}
    for name in (*reasons, "list.m3u8", "nul\0.mp4", "broken\udcff.mp4"):
        for call in (reader.probe, lambda p: reader.read(p, [VideoRequest(np.zeros(1))])):
            with pytest.raises(MediaError, match=reasons.get(name, ".")):
                call(tmp_path / name)


@pytest.mark.parametrize("name", ["-dash.mp4", "12:30.mp4", "grün 録音.mp4", "a%03d?*#;.mp4", "file:x.mp4"])
def test_names(name: str, mp4: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: Reader) -> None:
    (tmp_path / name).write_bytes(mp4.read_bytes())
    monkeypatch.chdir(tmp_path)
    for path in (name, tmp_path / name):
        assert numbers(reader.read(path, [VideoRequest(np.array([1.0]))])[0][0]) == [25]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_truncated_file_is_told_from_a_still_picture(any_reader: Reader, suffix: str, tmp_path: Path) -> None:
    reader = any_reader
    whole = write(
        tmp_path / f"whole.{suffix}", options={"movflags": "faststart"} if suffix == "mp4" else None
    )
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.55)])
    assert reader.probe(cut).duration == pytest.approx(4.0, abs=0.1)
    assert numbers(reader.read(cut, [VideoRequest(np.array([0.0, 0.5]))])[0][0]) == [0, 12]
    for time in (3.0, 3.9):
        with pytest.raises(MediaError):
            reader.read(cut, [VideoRequest(np.array([0.5, time]))])
    with pytest.raises(MediaError):
        reader.read(cut, (), [AudioRequest(1.9, 2.0, 16_000)])


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_damage_raises_nothing_but_media_errors(suffix: str, tmp_path: Path, reader: Reader) -> None:
    codec, sound = ("mpeg4", "mp2") if suffix == "avi" else ("libx264", "aac")
    whole = write(tmp_path / f"whole.{suffix}", codec=codec, sound=sound).read_bytes()
    path = tmp_path / f"damaged.{suffix}"
    reasons = []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        data = np.frombuffer(whole, np.uint8).copy()
        data[rng.integers(0, len(data), 1 + seed * 8)] = rng.integers(0, 256, 1 + seed * 8)
        path.write_bytes(data[: rng.integers(len(data) // 4, 2 * len(data))].tobytes())
        try:
            reader.probe(path)
            start = rng.uniform(0, 2)
            frames, waves = reader.read(
                path,
                [VideoRequest(start + np.arange(8) / 8, (32, 32))],
                [AudioRequest(start, 1.0, 16_000)],
            )
            assert frames[0].shape == (8, 32, 32, 3)
            assert waves[0].shape == (16_000,)
            assert np.isfinite(waves[0]).all()
        except MediaError as e:
            reasons.append(str(e))
    assert reasons
    assert all(0 < len(reason) < 200 for reason in reasons)


@pytest.mark.parametrize("kind", ["x.mp4", "gop.mp4", "plain.mp4"])
def test_an_mp4_header_is_believed_and_gives_what_probing_gives(
    kind: str, tmp_path: Path, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No decoder is opened to look at the file first; a header that fails is not believed a second time."""
    options = {"gop.mp4": {"gop": 250}, "plain.mp4": {"b_frames": 0}}
    path = write(tmp_path / kind, **options.get(kind, {}))
    asked = [VideoRequest(np.array([0.0, 0.4, 1.7, 2.2]))], [AudioRequest(0.7, 1.1, RATE)]
    opened = []

    def spy(*args: object, _open=av.open, **settings: object) -> object:
        opened.append(settings["container_options"])
        return _open(*args, **settings)

    monkeypatch.setattr(container_module.av, "open", spy)
    believed = [reader.read(source, *asked) for source in (path, path.read_bytes())]
    assert ["codec_whitelist" in o for o in opened] == [True, True]
    # the file itself is fine, but what is believed of it is of no use: read as any other file
    monkeypatch.setattr(container_module, "HEADER_ONLY", {"format_whitelist": "none"})
    opened.clear()
    probed = reader.read(path, *asked)
    assert [o["format_whitelist"] == "none" for o in opened] == [True, False]
    for frames, waves in believed:
        np.testing.assert_array_equal(frames[0], probed[0][0])
        np.testing.assert_array_equal(waves[0], probed[1][0])


@pytest.mark.parametrize("name", ["1-172649-D-40", "1-17565-A-12", "1-19898-A-41"])
def test_vorbis_has_no_gaps_where_its_stamps_have(name: str, shared: Path, reader: Reader) -> None:
    path = shared / "esc50" / "audio" / f"{name}.ogg"
    with av.open(str(path)) as file:
        whole = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
    assert len(whole) == 220500
    for start in (0, 704, 29376, 30000, 132300):
        _, (wave,) = reader.read(path, audio=[AudioRequest(start / 44100, 2.0, 44100)])
        expected = np.zeros(88200, np.float32)
        expected[: len(whole) - start] = whole[start : start + 88200]
        assert np.array_equal(wave, expected)
