"""All backends behind the one interface: the same frames and samples, whether from a path or from bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numbered import COUNT, FPS, RATE, image, lag, numbers, write

from ssl_av.data.media import AudioRequest, Reader, VideoRequest, create_reader
from ssl_av.errors import UserError

SAME = 0.01
"""Mean absolute difference (of 255) of frames of 8 bits and 4:2:0 that are not scaled: rounding."""
DEEP = 4.0
"""Of frames of 10 bits: two versions of FFmpeg bring them to 8 bits in different ways."""
SCALED = 2.5
"""Of frames that are scaled with the conversion to RGB (pyav) or after it (the others), on real scenes."""


@pytest.fixture(scope="module")
def pyav() -> Reader:
    return create_reader("pyav")


@pytest.mark.parametrize("kind", [{}, {"gop": 250}, {"gop": 5, "b_frames": 0}])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_frame_for_a_time_is_the_last_not_after_it(
    any_reader: Reader, kind: dict[str, int], suffix: str, tmp_path: Path
) -> None:
    path = write(tmp_path / f"a.{suffix}", **kind)
    times = np.random.default_rng(0).uniform(0, COUNT / FPS, 30)
    times = np.append(times[np.abs(times * FPS - np.round(times * FPS)) > 0.1], np.arange(0, COUNT, 9) / FPS)
    (frames,), _ = any_reader.read(path, [VideoRequest(times)])
    assert numbers(frames) == list(np.floor(times * FPS + 1e-6).astype(int))


def test_variable_frame_rate_goes_by_time_stamps(any_reader: Reader, tmp_path: Path) -> None:
    gaps = np.random.default_rng(1).choice([20, 40, 40, 200], COUNT)
    stamps = np.concatenate([[0], np.cumsum(gaps)[:-1]])
    path = write(tmp_path / "vfr.mkv", times=[int(s) for s in stamps], sound="")
    times = np.random.default_rng(2).uniform(0, stamps[-1] / 1000, 40)
    (frames,), _ = any_reader.read(path, [VideoRequest(times)])
    assert numbers(frames) == list(np.searchsorted(stamps / 1000, times + 1e-3, side="right") - 1)


def test_sizes_order_and_sound_as_pyav(any_reader: Reader, pyav: Reader, tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", gop=25)
    requests = [VideoRequest(np.array([3.0, 0.5, 0.52, 2.2])), VideoRequest(np.arange(10) / 10, (24, 32))]
    sounds = [AudioRequest(2.5, 1.0, 16_000), AudioRequest(0.5, 1.0, RATE)]
    ours, waves = pyav.read(path, requests, sounds)
    theirs, other_waves = any_reader.read(path, requests, sounds)
    assert np.array_equal(ours[0], theirs[0])
    assert np.abs(ours[1].astype(int) - theirs[1]).max() <= 4
    for request, wave, other in zip(sounds, waves, other_waves, strict=True):
        assert np.abs(wave - other).max() < 0.02
        shift, error = lag(other, request.start, request.rate)
        assert abs(shift) < 1e-9
        assert error < 0.03
    assert any_reader.probe(path) == pyav.probe(path)


def test_sound_that_starts_late_and_ends_early(any_reader: Reader, tmp_path: Path) -> None:
    path = write(tmp_path / "part.mp4", sound_from=1.0, sound_to=2.5)
    _, (wave,) = any_reader.read(path, (), [AudioRequest(0.0, 4.0, 16_000)])
    assert np.abs(wave[:15_500]).max() < 1e-3
    assert np.abs(wave[41_500:]).max() < 1e-3
    shift, error = lag(wave[17_000:39_000], 17 / 16, 16_000)
    assert abs(shift) < 1e-3
    assert error < 0.03


def test_bytes_are_as_good_as_a_path(any_reader: Reader, tmp_path: Path) -> None:
    for name in ("a.mp4", "a.mkv"):
        path = write(tmp_path / name)
        ask = [VideoRequest(np.array([0.1, 3.3])), VideoRequest(np.array([2.0]), (16, 16))]
        sound = [AudioRequest(1.5, 1.0, 24_000)]
        data = path.read_bytes()
        assert any_reader.probe(data) == any_reader.probe(path)
        for a, b in zip(any_reader.read(path, ask, sound), any_reader.read(data, ask, sound), strict=True):
            assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_still_pictures(any_reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / "still.mp4"
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=FPS)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for number in range(50):
            frame = av.VideoFrame.from_ndarray(image(7), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    (frames,), _ = any_reader.read(path, [VideoRequest(np.arange(10) / 10)])
    assert numbers(frames) == [7] * 10


def test_backends_agree_on_real_files(any_reader: Reader, pyav: Reader, shared: Path) -> None:
    if any_reader.name == "pyav":
        pytest.skip("it is what the others are compared with")
    files = sorted(p for p in (shared / "clips").glob("*/*") if p.is_file() and p.name != "corrupted.mp4")
    rng = np.random.default_rng(0)
    for path in files[:24] + files[24::4]:
        info = pyav.probe(path)
        times = np.sort(rng.uniform(0, info.duration, 3))
        ours, theirs = (
            r.read(path, [VideoRequest(times), VideoRequest(times, (90, 120))])[0] for r in (pyav, any_reader)
        )
        whole, scaled = (
            np.abs(a.astype(int) - b).mean((1, 2, 3)).max() for a, b in zip(ours, theirs, strict=True)
        )
        drawn = path.name.startswith(("testsrc", "h264_10bits", "av1", "sine"))  # test patterns, all edges
        assert whole <= (DEEP if path.name == "h264_10bits.mp4" else SAME), path.name
        assert scaled <= (8 if drawn else SCALED), path.name


def test_sound_agrees_on_real_files(any_reader: Reader, pyav: Reader, shared: Path) -> None:
    if any_reader.name == "pyav":
        pytest.skip("it is what the others are compared with")
    folder = shared / "clips"
    files = [*sorted((folder / "wild").glob("*.mp4"))[::3], *sorted((folder / "original").glob("*"))]
    compared = 0
    for path in files:
        if path.name == "corrupted.mp4" or not (info := pyav.probe(path)).has_audio:
            continue
        for rate in (info.audio_rate, 24_000):
            ask = [AudioRequest(info.audio_duration / 3, 1.0, rate)]
            ours, theirs = (r.read(path, (), ask)[1][0] for r in (pyav, any_reader))
            # Matroska rounds time stamps to a millisecond; from which of them sound goes on is the backend's.
            most = rate // 1000 if path.suffix == ".mkv" else 0
            inner = slice(most + 1, -most - 1)
            shifted = [np.roll(theirs, k)[inner] for k in range(-most, most + 1)]
            # AAC fills quiet high bands with noise that depends on where decoding begins.
            assert max(np.corrcoef(ours[inner], other)[0, 1] for other in shifted) > 0.9, path.name
            assert np.std(theirs) == pytest.approx(np.std(ours), rel=0.15), path.name
            compared += 1
    assert compared > 20


def test_unknown_reader_names_the_near_ones() -> None:
    with pytest.raises(UserError, match="did you mean pyav"):
        create_reader("pyavv")


@pytest.mark.parametrize("name", ["decord", "torchcodec"])
def test_a_backend_that_is_not_installed_says_how_to_get_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=f"reader '{name}' .*pip install"):
        create_reader(name)


def test_choosing_a_reader_imports_only_that_one() -> None:
    code = (
        "import sys; from ssl_av.data.media import create_reader; assert 'av' not in sys.modules;"
        "create_reader('pyav'); assert not {'torch', 'decord', 'torchcodec'} & set(sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
