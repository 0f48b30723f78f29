"""The doctor finds what a folder of planted faults holds, and nothing in a sound one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from faults import Faults, good_folder, sample, write

from ssl_av.cli import main
from ssl_av.data.check import CODES, check_manifest
from ssl_av.data.manifest import Manifest, Row, build_manifest
from ssl_av.data.media import create_reader


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes in three splits, nothing wrong."""
    good_folder(tmp_path / "videos", {"train": 2, "val": 1, "test": 1})
    return tmp_path / "videos"


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["data", *words])
    return int(end.value.code or 0)


def test_nothing_is_wrong_with_a_sound_folder(folder: Path, monkeypatch, tmp_path: Path, capsys) -> None:
    monkeypatch.setenv("SSL_AV_CACHE", str(tmp_path / "cache"))
    assert run("check", "folder", "--root", str(folder), "--jobs", "1") == 0
    assert "0 errors, 0 warnings" in capsys.readouterr().out


@pytest.mark.slow
def test_every_planted_fault_is_found_and_no_other(
    faults: Faults, monkeypatch, tmp_path: Path, capsys
) -> None:
    monkeypatch.setenv("SSL_AV_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "found.json"
    words = (
        "check",
        "folder",
        "--root",
        str(faults.root),
        "--jobs",
        "2",
        "--timeout",
        "5",
        "--json",
        str(out),
    )
    assert run(*words) == 1
    found: dict[str, set[str]] = {}
    for finding in json.loads(out.read_text())["findings"]:
        found.setdefault(finding["path"], set()).add(finding["code"])
    assert found == faults.codes
    table = capsys.readouterr().out
    assert all(code in table for codes in faults.codes.values() for code in codes)


@pytest.mark.slow
def test_fast_does_not_decode(faults: Faults, monkeypatch, tmp_path: Path, capsys) -> None:
    monkeypatch.setenv("SSL_AV_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "found.json"
    words = ("check", "folder", "--root", str(faults.root), "--fast", "--timeout", "5", "--json", str(out))
    assert run(*words) == 1
    found = {finding["code"] for finding in json.loads(out.read_text())["findings"]}
    assert found == {"empty", "unreadable", "no_audio", "silent", "tiny_picture"}


def test_table_faults(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.mp4"
    write(outside, *sample(9))
    good, several = "train/a/good0.mp4", "val/b/good0.mp4"
    (folder / "link.mp4").symlink_to(outside)  # made by whoever owns the disk: no list can make one
    rows = [
        Row(good, 0, "train"), Row(good, 0, "test"), Row("train/b/good1.mp4", 5, "train"),
        Row(str(outside), 1, "test"), Row("a/../../x.mp4", 1, "test"), Row("gone.mp4", 0, "train"),
        Row(several, split="val", labels=(0, 7)), Row("link.mp4", 0, "test"),
    ]  # fmt: skip
    manifest = build_manifest(rows, ("a", "b"), folder, create_reader())
    found = {(f.code, f.path) for f in check_manifest(manifest, fast=True)}
    assert found == {
        ("missing", "gone.mp4"), ("leakage", good), ("label_out_of_range", "train/b/good1.mp4"),
        ("label_out_of_range", several), ("outside_root", outside.as_posix()),
        ("outside_root", (tmp_path / "x.mp4").as_posix()),
        ("class_missing_in_train", "b"),
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
        (("prepare", "folder", "--root", ".", "--timeout", "0"), "timeout"),
        (("check", "folder", "--root", ".", "--timeout", "-1"), "--timeout -1"),
    ],
)
def test_wrong_input_is_one_line(words: tuple[str, ...], says: str, capsys) -> None:
    assert run(*words) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
