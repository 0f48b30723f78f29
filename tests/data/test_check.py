"""The doctor finds what a folder of planted faults holds, and nothing in a sound one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import av
import numpy as np
import pytest

from ssl_av.cli import main
from ssl_av.data import synthav
from ssl_av.data.check import CODES, check_manifest
from ssl_av.data.manifest import Manifest, Row, build_manifest
from ssl_av.data.media import create_reader
from ssl_av.data.synthav import render_sample, write_mp4


def sample(index: int, seconds: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    frames, wave, _ = render_sample(0, "train", index)
    return frames[: round(seconds * synthav.FPS)], wave[: round(seconds * synthav.RATE)]


def write(path: Path, frames: np.ndarray, wave: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_mp4(path, frames, synthav.FPS, wave, synthav.RATE)


def mute(path: Path, frames: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=16)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for image in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        out.mux(stream.encode(None))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes in three splits, nothing wrong."""
    root = tmp_path / "videos"
    for i, split in enumerate(("train", "train", "val", "test")):
        write(root / split / ("a", "b")[i % 2] / f"good{i}.mp4", *sample(i))
    return root


@pytest.fixture
def faulty(folder: Path) -> Path:
    frames, wave = sample(20, 3.0)
    train = folder / "train" / "a"
    (train / "empty.mp4").touch()
    (train / "text.mp4").write_text("this is no video")
    write(train / "silent.mp4", frames[:16], wave[:16000] * 0)
    write(train / "longer.mp4", frames, wave[:16000])
    write(train / "one.mp4", frames[:1], wave[:1000])
    write(train / "tiny.mp4", frames[:16, :8, :8], wave[:16000])
    mute(train / "mute.mp4", sample(21)[0])
    shutil.copy(folder / "test" / "b" / "good3.mp4", train / "leak.mp4")
    write(train / "other.mp4", *sample(22))
    (train / "other.mp4").rename(train / "other.avi")
    write(train / "short.mp4", frames, wave)
    # The index of a "faststart" file still promises three seconds when the rest is gone.
    with (
        av.open(str(train / "short.mp4")) as source,
        av.open(str(train / "cut.mp4"), "w", options={"movflags": "faststart"}) as out,
    ):
        streams = {s.index: out.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
    (train / "short.mp4").unlink()
    whole = (train / "cut.mp4").read_bytes()
    (train / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    return folder


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["data", *words])
    return int(end.value.code or 0)


def test_nothing_is_wrong_with_a_sound_folder(folder: Path, monkeypatch, tmp_path: Path, capsys) -> None:
    monkeypatch.setenv("SSL_AV_CACHE", str(tmp_path / "cache"))
    assert run("check", "folder", "--root", str(folder), "--jobs", "1") == 0
    assert "0 errors, 0 warnings" in capsys.readouterr().out


def test_every_planted_fault_is_found(faulty: Path, monkeypatch, tmp_path: Path, capsys) -> None:
    monkeypatch.setenv("SSL_AV_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "found.json"
    assert run("check", "folder", "--root", str(faulty), "--jobs", "1", "--json", str(out)) == 1
    found = {(f["code"], Path(f["path"]).name) for f in json.loads(out.read_text())["findings"]}
    planted = {
        ("empty", "empty.mp4"), ("unreadable", "text.mp4"), ("silent", "silent.mp4"),
        ("length_mismatch", "longer.mp4"), ("one_frame", "one.mp4"), ("tiny_picture", "tiny.mp4"),
        ("no_audio", "mute.mp4"), ("wrong_extension", "other.avi"), ("truncated", "cut.mp4"),
    }  # fmt: skip
    assert planted <= found
    assert {code for code, name in found if name in ("leak.mp4", "good3.mp4")} == {"duplicate", "leakage"}
    assert not {pair for pair in found if pair[1] in ("good0.mp4", "good1.mp4", "good2.mp4")}
    table = capsys.readouterr().out
    assert all(code in table for code, _ in planted)


def test_fast_does_not_decode(faulty: Path, monkeypatch, tmp_path: Path, capsys) -> None:
    monkeypatch.setenv("SSL_AV_CACHE", str(tmp_path / "cache"))
    assert run("check", "folder", "--root", str(faulty), "--fast") == 1
    text = capsys.readouterr().out
    assert "empty" in text
    assert "silent" not in text


def test_table_faults(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.mp4"
    write(outside, *sample(9))
    good = "train/a/good0.mp4"
    rows = [
        Row(good, 0, "train"), Row(good, 0, "test"), Row("train/b/good1.mp4", 5, "train"),
        Row(str(outside), 1, "test"), Row("gone.mp4", 0, "train"),
    ]  # fmt: skip
    manifest = build_manifest(rows, ("a", "b"), folder, create_reader())
    found = {(f.code, f.path) for f in check_manifest(manifest, fast=True)}
    assert found == {
        ("missing", "gone.mp4"), ("leakage", good), ("label_out_of_range", "train/b/good1.mp4"),
        ("outside_root", str(outside)), ("class_missing_in_train", "b"),
    }  # fmt: skip
    assert {code for code, _ in found} <= set(CODES)


def test_a_saved_manifest_is_checked(folder: Path, monkeypatch, tmp_path: Path, capsys) -> None:
    monkeypatch.setenv("SSL_AV_CACHE", str(tmp_path / "cache"))
    kept = tmp_path / "kept.arrow"
    assert run("prepare", "folder", "--root", str(folder), "--out", str(kept)) == 0
    assert Manifest.load(kept).hash in capsys.readouterr().out
    assert run("check", str(kept), "--jobs", "1") == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("check", "nowhere.arrow"), "nowhere.arrow"),
        (("check", "foldr"), "folder"),
        (("check", "folder", "--root", ".", "--jobs", "0"), "--jobs 0"),
        (("prepare", "folder", "--root", ".", "--out", "x.txt"), ".arrow"),
        (("prepare", "folder"), "--data.root"),
    ],
)
def test_wrong_input_is_one_line(words: tuple[str, ...], says: str, capsys) -> None:
    assert run(*words) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
