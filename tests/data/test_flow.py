"""Optical flow: made from real files by the real decoder, stored, and read back at the asked times."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssl_av.data.datamodule import AVDataModule, ClipDataset, collate
from ssl_av.data.flow import (
    FlowInfo,
    FlowStore,
    decode,
    default_folder,
    encode,
    flow_path,
    open_flow,
    write_flow,
)
from ssl_av.data.flow_tvl1 import FlowSettings, field_times, load_opencv, make_flow
from ssl_av.data.loading import Loading
from ssl_av.data.manifest import Manifest, Row, build_manifest
from ssl_av.data.media import MediaError, VideoRequest, create_reader
from ssl_av.data.tools import run_tool
from ssl_av.data.views import FlowView, Spaced, StartsWith, VideoView
from ssl_av.errors import UserError

SETTINGS = FlowSettings(fps=6.25, size=32, clip=10.0)


@pytest.fixture
def _opencv() -> None:
    pytest.importorskip("cv2.optflow", reason="OpenCV's contrib modules are not installed")


def moving(path: Path, pixels: float, fps: int = 25, seconds: float = 1.0, width: int = 96) -> Path:
    """A texture that moves ``pixels`` a frame to the right and half as much upwards, on frames 64 high."""
    y, x = np.mgrid[:64, :width].astype(np.float64)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=fps, options={"crf": "5", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, 64, "yuv444p"
        for k in range(round(seconds * fps)):
            u, v = x - k * pixels, y + k * pixels / 2
            grey = 128 + 40 * np.sin(u / 4) * np.cos(v / 5) + 40 * np.sin((u + 2 * v) / 7)
            frame = av.VideoFrame.from_ndarray(np.repeat(grey[..., None], 3, 2).astype(np.uint8), "rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def listed(root: Path, *rows: Row) -> Manifest:
    rows = rows or tuple(Row(p.name, 0, "train") for p in sorted(root.iterdir()) if p.is_file())
    return build_manifest(rows, ("a",), root, create_reader())


def read(folder: Path, root: Path, name: str, times: list[float]) -> np.ndarray:
    """Fields of a file in pixels in 1/25 s of the stored size, float [T, H, W, 2]."""
    video = str(root / name)
    (fields,), _ = FlowStore(folder, root).read(video, [VideoRequest(np.array(times))])
    with open_flow(flow_path(folder, root, video)) as (info, _):
        return decode(fields, info.clip)


# -- grey levels ---------------------------------------------------------------------------------------------------


@given(st.floats(-30, 30, width=32), st.sampled_from([5.0, 10.0, 20.0]))
def test_a_motion_comes_back_within_half_a_grey_level_or_clipped(motion, clip):
    field = np.full((1, 1, 2), motion, np.float32)
    back = decode(encode(field, clip), clip)
    assert np.abs(back - np.clip(field, -clip, clip)).max() <= clip / 127 / 2 + 1e-5
    np.testing.assert_array_equal(decode(encode(-field, clip), clip), -back)  # mirrored without an error


def test_no_motion_is_exactly_zero_and_nonsense_is_refused():
    assert not decode(encode(np.zeros((2, 2, 2), np.float32), 10.0), 10.0).any()
    with pytest.raises(MediaError, match="not finite"):
        encode(np.full((2, 2, 2), np.nan, np.float32), 10.0)


# -- making it -----------------------------------------------------------------------------------------------------


@given(st.floats(0, 5), st.floats(0.2, 5), st.sampled_from([5.0, 6.25, 12.5]))
def test_a_field_for_every_time_of_a_span_and_a_second_frame_for_every_field(start, seconds, fps):
    end, period = start + seconds, 0.04
    times = field_times([(start, end)], fps, period)
    assert times[0] <= start + 1e-6
    assert times[0] > start - 1 / fps - 1e-6
    np.testing.assert_allclose(np.diff(times), 1 / fps)
    assert times[-1] + period < end
    assert end - times[-1] < 1 / fps + 2 * period  # what `FlowStore` lets pass
    np.testing.assert_array_equal(field_times([(start, end), (start, end)], fps, period), times)


def test_a_single_frame_has_no_flow():
    assert len(field_times([(0.0, 0.04)], 6.25, 0.04)) == 0


@pytest.mark.usefixtures("_opencv")
def test_the_motion_is_in_pixels_of_the_stored_size_in_a_25th_of_a_second(tmp_path: Path):
    root, folder = tmp_path / "videos", tmp_path / "flow"
    root.mkdir()
    moving(root / "slow.mp4", 2.0)
    moving(root / "fast.mp4", 1.0, fps=50)  # the same motion in time
    assert make_flow(listed(root), folder, SETTINGS).made == 2
    for name in ("slow.mp4", "fast.mp4"):
        flow = read(folder, root, name, [0.2, 0.5])
        assert flow.shape == (2, 32, 48, 2)
        right, down = np.median(flow[:, 8:-8, 8:-8], axis=(0, 1, 2))
        assert right == pytest.approx(1.0, abs=0.2)  # 2 pixels of 64 are 1 of 32
        assert down == pytest.approx(-0.5, abs=0.2)
        assert flow[-1].any()


@pytest.mark.usefixtures("_opencv")
def test_what_is_there_is_kept_and_what_changed_is_renewed(tmp_path: Path):
    root, folder = tmp_path / "videos", tmp_path / "flow"
    root.mkdir()
    for name in ("a.mp4", "b.mp4"):
        moving(root / name, 1.0, seconds=0.5)
    manifest = listed(root)

    def made(settings: FlowSettings = SETTINGS) -> tuple[int, int]:
        report = make_flow(manifest, folder, settings, workers=2)
        assert not report.failed
        return report.made, report.kept

    assert made() == (2, 0)
    assert made() == (0, 2)
    flow_path(folder, root, str(root / "a.mp4")).write_bytes(b"half of it")
    assert made() == (1, 1)
    os.utime(root / "b.mp4", (1, 1))
    assert made() == (1, 1)
    assert made(replace(SETTINGS, clip=5.0)) == (2, 0)
    assert not list(folder.rglob("*.part"))


@pytest.mark.usefixtures("_opencv")
def test_pieces_of_one_file_share_its_flow(tmp_path: Path):
    root, folder = tmp_path / "videos", tmp_path / "flow"
    root.mkdir()
    moving(root / "a.mp4", 1.0, seconds=4.0)
    manifest = listed(root, Row("a.mp4", 0, "train", 0.5, 1.0), Row("a.mp4", 0, "train", 3.0, 3.5))
    assert make_flow(manifest, folder, replace(SETTINGS, size=16)).made == 1
    with open_flow(flow_path(folder, root, str(root / "a.mp4"))) as (_, table):
        np.testing.assert_allclose(
            table.column("time").to_numpy(), [0.48, 0.64, 0.80, 2.88, 3.04, 3.20, 3.36]
        )
    assert read(folder, root, "a.mp4", [0.5, 0.999, 3.0, 3.499]).shape[0] == 4
    with pytest.raises(MediaError, match=r"no optical flow at 2\.00 s"):
        read(folder, root, "a.mp4", [2.0])


@pytest.mark.usefixtures("_opencv")
def test_failures_are_counted_and_named(tmp_path: Path):
    root, folder = tmp_path / "videos", tmp_path / "flow"
    root.mkdir()
    for name in ("a.mp4", "b.mp4", "c.mp4", "é d.mp4"):
        moving(root / name, 1.0, seconds=0.5)
    moving(root / "wide.mp4", 1.0, seconds=0.2, width=640)
    manifest = listed(root)
    (root / "a.mp4").unlink()
    (root / "b.mp4").write_bytes((root / "c.mp4").read_bytes()[:3000])
    report = make_flow(manifest, folder, replace(SETTINGS, size=16))
    assert report.made == 2
    assert [skip.path for skip in report.failed] == ["a.mp4", "b.mp4", "wide.mp4"]
    assert report.failed[0].reason == "no such file"
    assert report.failed[2].reason == "its frames are 10 times as wide as high"
    assert not flow_path(folder, root, str(root / "b.mp4")).exists()


@pytest.mark.usefixtures("_opencv")
def test_real_files_turned_and_not_starting_at_zero(shared: Path, tmp_path: Path):
    root = shared / "clips" / "original"
    names = ("video_0.mov", "video_90.mov", "test_non_zero_start.mp4")
    manifest = listed(root, *(Row(name, 0, "train") for name in names))
    assert make_flow(manifest, tmp_path, SETTINGS).made == 3
    shapes = [read(tmp_path, root, name, [0.0]).shape for name in names]
    assert shapes[0] == (1, 32, 57, 2)
    assert shapes[1] == (1, 57, 32, 2)
    assert shapes[2] == (1, 32, 57, 2)


def test_settings_that_cannot_work():
    for wrong in ({"fps": 0}, {"fps": 61}, {"size": 8}, {"clip": 0}, {"clip": float("inf")}):
        with pytest.raises(UserError, match=next(iter(wrong))):
            FlowSettings(**wrong)


def test_without_opencv_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    with pytest.raises(UserError, match=r"pip install 'ssl-av\[flow\]'"):
        load_opencv()


# -- reading it ----------------------------------------------------------------------------------------------------

INFO = FlowInfo(5.0, 4, 10.0, 4, 6, 0.04, ((0.0, 2.0),), (3, 0))


def numbers(root: Path) -> FlowStore:
    """A store with one file whose fields hold their number, in two batches."""
    (root / "v.mp4").write_bytes(b"abc")
    fields = np.broadcast_to(np.arange(10, dtype=np.uint8)[:, None, None, None], (10, 4, 6, 2))
    times = np.arange(10) / 5
    chunks = [(times[:6], fields[:6]), (times[6:], fields[6:])]
    assert write_flow(flow_path(root / "flow", root, str(root / "v.mp4")), INFO, chunks) == 10
    return FlowStore(root / "flow", root)


@pytest.fixture
def numbered(tmp_path: Path) -> FlowStore:
    return numbers(tmp_path)


@pytest.fixture(scope="module")
def numbered_once(tmp_path_factory: pytest.TempPathFactory) -> FlowStore:
    return numbers(tmp_path_factory.mktemp("numbers"))


@given(times=st.lists(st.floats(0, 1.999), min_size=1, max_size=9))
def test_the_field_for_a_time_is_the_last_not_after_it(numbered_once, times):
    (fields,), step = numbered_once.read(str(numbered_once.root / "v.mp4"), [VideoRequest(np.array(times))])
    expected = [int((t + 1e-3) * 5 + 1e-9) for t in times]
    assert fields[:, 0, 0, 0].tolist() == np.minimum(expected, 9).tolist()
    assert step == pytest.approx(10 / 127 / 4)


def test_fields_are_squashed_to_the_asked_size(numbered):
    requests = [VideoRequest(np.array([0.0, 1.2]), (8, 8)), VideoRequest(np.array([0.4]), (4, 6))]
    (squashed, as_is), _ = numbered.read(str(numbered.root / "v.mp4"), requests)
    assert squashed.shape == (2, 8, 8, 2)
    assert np.unique(squashed[1]).tolist() == [6]
    assert as_is.shape == (1, 4, 6, 2)


def test_flow_that_is_missing_or_of_another_file_is_named(numbered):
    ask = [VideoRequest(np.array([0.0]))]
    (numbered.root / "w.mp4").write_bytes(b"abc")
    with pytest.raises(MediaError, match=r"no optical flow \(make it once with `ssl-av data flow"):
        numbered.read(str(numbered.root / "w.mp4"), ask)
    (numbered.root / "v.mp4").write_bytes(b"abcd")
    with pytest.raises(MediaError, match="another version of the file"):
        numbered.read(str(numbered.root / "v.mp4"), ask)
    flow_path(numbered.folder, numbered.root, str(numbered.root / "w.mp4")).write_bytes(b"no")
    with pytest.raises(MediaError, match="cannot be read"):
        numbered.read(str(numbered.root / "w.mp4"), ask)


def test_videos_outside_of_the_root_have_their_place(tmp_path: Path):
    assert flow_path(tmp_path, Path("/data"), "/data/a/b.mp4") == tmp_path / "a/b.mp4.arrow"
    assert flow_path(tmp_path, Path("/data"), "/else/b.mp4") == tmp_path / "_elsewhere/else/b.mp4.arrow"


# -- in batches ----------------------------------------------------------------------------------------------------

VIEWS = {
    "video": VideoView(4, 8.0, 32),
    "flow": FlowView(4, 8.0, 32, when=StartsWith("video")),
}


@pytest.fixture(scope="module")
def served(clips: Manifest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Manifest, Loading]:
    """The training files of `clips` with their flow, but for one."""
    pytest.importorskip("cv2.optflow", reason="OpenCV's contrib modules are not installed")
    folder = tmp_path_factory.mktemp("flow")
    train = clips.split("train")
    make_flow(train.take(range(7)), folder, FlowSettings(fps=8, size=16), workers=2)
    return clips, Loading(batch_size=4, num_workers=0, decode_size=24, flow=str(folder))


def test_an_item_holds_the_flow_of_the_asked_times(served):
    manifest, loading = served
    item = ClipDataset(manifest.split("train"), VIEWS, loading, seed=5)[(0, 2)]
    assert item["flow"].shape == (2, 4, 24, 24)
    assert item["flow"].dtype == torch.uint8
    assert item["flow"].float().std() > 0
    assert item["flow.aspect"] == item["video.aspect"]
    assert item["flow.step"] == pytest.approx(10 / 127 / 16)
    batch = collate([item, item])
    assert batch["flow"].shape == (2, 2, 4, 24, 24)
    assert batch["flow.step"].dtype == torch.float32


def test_a_sample_without_flow_is_skipped_and_named(served):
    manifest, loading = served
    skip = ClipDataset(manifest.split("train"), VIEWS, loading)[(0, 7)]
    assert (skip.path, skip.reason.split(" (")[0]) == ("train7.mp4", "no optical flow")
    assert "ssl-av data flow" in skip.reason


def test_the_same_for_any_number_of_workers(served):
    manifest, loading = served

    def batches(workers: int) -> list:
        data = AVDataModule(manifest, replace(loading, num_workers=workers), seed=5)
        data.train_views = VIEWS
        return list(data.train_dataloader())

    for a, b in zip(batches(0), batches(2), strict=True):
        assert torch.equal(a["index"], b["index"])
        assert torch.equal(a["flow"], b["flow"])
        assert a["skipped"] == b["skipped"]


def test_flow_that_was_never_made_is_said_before_the_run(served, tmp_path, monkeypatch):
    manifest, loading = served
    with pytest.raises(UserError, match=r"no optical flow in .*nowhere; make it once with `ssl-av data flow"):
        ClipDataset(manifest, VIEWS, replace(loading, flow=str(tmp_path / "nowhere")))
    monkeypatch.setenv("SSL_AV_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="no optical flow in " + str(default_folder(manifest.root))):
        ClipDataset(manifest, VIEWS, replace(loading, flow=None))
    ClipDataset(manifest, {"video": VideoView(4, 8.0, 32, when=Spaced(0, 1))}, replace(loading, flow=None))


# -- the command ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_opencv")
def test_the_command_says_what_it_made_and_what_not(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SSL_AV_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "videos"
    (root / "a").mkdir(parents=True)
    (root / "b").mkdir()
    moving(root / "a" / "one.mp4", 1.0, seconds=0.5)
    moving(root / "b" / "wide.mp4", 1.0, seconds=0.2, width=640)
    words = ["flow", "folder", "--root", str(root), "--size", "16", "--jobs", "1"]
    assert run_tool(words) == 0
    out = capsys.readouterr().out
    assert f"optical flow of 2 videos in {default_folder(root)}" in out
    assert "1 made, 0 there already, 1 failed" in out
    assert "b/wide.mp4: its frames are 10 times as wide as high" in out
    assert run_tool([*words, "--out", str(tmp_path / "kept")]) == 0
    assert f"--data.flow {tmp_path / 'kept'}" in capsys.readouterr().out
    assert run_tool(words) == 0
    assert "0 made, 1 there already, 1 failed" in capsys.readouterr().out


@pytest.mark.usefixtures("_opencv")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["foldr"], "unknown data set 'foldr'; did you mean folder"),
        (["folder", "--fps", "0"], "fps must be above 0"),
        (["folder", "--jobs", "0"], "--jobs must be at least 1"),
        (["folder", "--clip", "much"], "argument --clip"),
        (["folder", "--root", "/does/not/exist"], "/does/not/exist"),
    ],
)
def test_wrong_words(words, message):
    with pytest.raises(UserError, match=message):
        run_tool(["flow", *words])
