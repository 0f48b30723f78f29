"""Preparing goes on where it stopped, and tells what has decayed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ssl_av.cli import main
from ssl_av.data.manifest import Row, build_manifest
from ssl_av.data.media import MediaError, MediaInfo, create_reader
from ssl_av.data.prepare import summary
from ssl_av.data.synthav import render_file


class Counting:
    """A reader that counts what it opens, and stops after some."""

    name = "pyav"

    def __init__(self, until: int = 1000) -> None:
        self.opened: list[str] = []
        self.until = until

    def probe(self, path: str) -> MediaInfo:
        if len(self.opened) == self.until:
            raise KeyboardInterrupt
        self.opened.append(os.path.basename(path))
        return create_reader().probe(path)


@pytest.fixture
def videos(tmp_path: Path) -> list[Row]:
    for i in range(4):
        render_file(tmp_path / f"{i}.mp4", 0, "train", i)
    (tmp_path / "broken.mp4").write_text("no video")
    return [
        *(Row(f"{i}.mp4", i % 2, "train") for i in range(4)),
        Row("broken.mp4"),
        Row("gone.mp4", 0, "test"),
    ]


def test_only_the_rest_is_opened_after_an_interruption(videos: list[Row], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with pytest.raises(KeyboardInterrupt):
        build_manifest(videos, ("a", "b"), tmp_path, Counting(until=2), cache=cache)
    journal = next((cache / "probed").glob("*.jsonl"))
    journal.write_text(journal.read_text() + '["3.mp4", [1')  # killed in the middle of a line
    second = Counting()
    manifest = build_manifest(videos, ("a", "b"), tmp_path, second, cache=cache)
    assert sorted(second.opened) == ["2.mp4", "3.mp4", "broken.mp4", "gone.mp4"]
    assert len(manifest) == 4
    third = Counting()
    longer = [*videos, Row("more.mp4", 1, "test")]
    render_file(tmp_path / "more.mp4", 0, "test", 1)
    assert len(build_manifest(longer, ("a", "b"), tmp_path, third, cache=cache)) == 5
    assert third.opened == ["gone.mp4", "more.mp4"]


def test_damaged_answers_are_asked_again(videos: list[Row], tmp_path: Path) -> None:
    whole = build_manifest(videos, ("a", "b"), tmp_path, Counting(), cache=tmp_path / "cache")
    (journal,) = (tmp_path / "cache" / "probed").glob("*.jsonl")
    lines = journal.read_bytes().splitlines(keepends=True)
    seconds = f'"duration": {whole[1].duration}'.encode()
    assert seconds in lines[1]
    lines[0] = b"\xff\xfe\0" + lines[0]
    lines[1] = lines[1].replace(seconds, b'"duration": 3.5')
    lines[2] = b"[" * 100_000 + b"\n"
    journal.write_bytes(b"".join(lines))
    for manifest in (tmp_path / "cache").glob("*.arrow"):
        manifest.unlink()
    again = Counting()
    found = build_manifest(videos, ("a", "b"), tmp_path, again, cache=tmp_path / "cache")
    assert sorted(again.opened) == ["0.mp4", "1.mp4", "2.mp4", "gone.mp4"]
    assert [found[i] for i in range(4)] == [whole[i] for i in range(4)]
    lines = journal.read_text(errors="replace").splitlines()
    told = [line for line in lines if line.startswith('["') and '"duration": 3.5' not in line]
    journal.write_text("\n".join(json.dumps(json.loads(line)[:3]) for line in told))
    for manifest in (tmp_path / "cache").glob("*.arrow"):
        manifest.unlink()
    third = Counting()
    build_manifest(videos, ("a", "b"), tmp_path, third, cache=tmp_path / "cache")
    assert third.opened == ["gone.mp4"], "those of before there were checksums"


def test_a_changed_file_is_opened_again(videos: list[Row], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    build_manifest(videos, ("a", "b"), tmp_path, Counting(), cache=cache)
    render_file(tmp_path / "1.mp4", 1, "train", 1)
    again = Counting()
    build_manifest(videos, ("a", "b"), tmp_path, again, cache=cache)
    assert again.opened == ["1.mp4", "gone.mp4"]


def test_missing_files_are_counted_apart(videos: list[Row], tmp_path: Path) -> None:
    manifest = build_manifest(videos, ("a", "b"), tmp_path, create_reader())
    counts = summary(manifest)
    assert (counts["listed"], counts["missing"], counts["unreadable"], counts["readable"]) == (6, 1, 1, 4)


def test_several_labels_stay(videos: list[Row], tmp_path: Path) -> None:
    rows = [Row("0.mp4", split="train", labels=(0, 2)), Row("1.mp4", split="train", labels=(1,))]
    manifest = build_manifest(rows, ("a", "b", "c"), tmp_path, create_reader(), cache=tmp_path / "cache")
    assert [manifest[i].labels for i in range(2)] == [(0, 2), (1,)]
    other = [Row("0.mp4", split="train", labels=(0, 1)), rows[1]]
    assert build_manifest(other, ("a", "b", "c"), tmp_path, create_reader()).hash != manifest.hash


def test_command_says_what_is_here(videos: list[Row], tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("SSL_AV_CACHE", str(tmp_path / "cache"))
    with pytest.raises(SystemExit) as end:
        main(["data", "prepare", "folder", "--root", str(tmp_path)])
    assert not end.value.code
    text = capsys.readouterr().out
    assert "broken.mp4" in text
    assert "manifest " in text


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a file that nobody writes to")
def test_a_pipe_is_not_waited_for(videos: list[Row], tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("SSL_AV_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "hanging"
    root.mkdir()
    for i in range(3):
        (tmp_path / f"{i}.mp4").rename(root / f"{i}.mp4")
    os.mkfifo(root / "late.mp4")
    with pytest.raises(SystemExit) as end:
        main(["data", "prepare", "folder", "--root", str(root), "--jobs", "1", "--timeout", "4"])
    assert not end.value.code
    assert "unreadable: late.mp4: is no file but a pipe" in capsys.readouterr().out


def test_what_may_lie_in_the_machine_is_tried_again_when_asked(videos: list[Row], tmp_path: Path) -> None:
    class Overloaded(Counting):
        def probe(self, path: str) -> MediaInfo:
            raise MediaError("took longer than 4 s")

    cache, rows = tmp_path / "cache", videos[:2]
    assert len(build_manifest(rows, ("a", "b"), tmp_path, Overloaded(), cache=cache)) == 0
    # The runs of a suite must see the same files: it is as it was, until someone prepares anew.
    assert len(build_manifest(rows, ("a", "b"), tmp_path, Counting(), cache=cache)) == 0
    assert len(build_manifest(rows, ("a", "b"), tmp_path, Counting(), cache=cache, again=True)) == 2
    assert len(build_manifest(rows, ("a", "b"), tmp_path, Counting(), cache=cache)) == 2


def test_all_that_is_left_out_can_be_written_down(
    videos: list[Row], tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("SSL_AV_CACHE", str(tmp_path / "cache"))
    (tmp_path / "t.csv").write_text("path\n" + "".join(f"{row.path}\n" for row in videos))
    words = ["data", "prepare", "csv", "--file", str(tmp_path / "t.csv"), "--jobs", "1"]
    with pytest.raises(SystemExit) as end:
        main([*words, "--skipped", str(tmp_path / "skipped.csv")])
    assert not end.value.code
    text = " ".join(capsys.readouterr().out.split())
    assert "listed 6 missing 1 here 5 unreadable 1 readable 4 without sound 0 silent 0" in text
    assert "missing: gone.mp4" in text
    lines = (tmp_path / "skipped.csv").read_text().splitlines()
    assert lines == [
        "path,reason",
        "broken.mp4,invalid data found when processing input",
        "gone.mp4,no such file",
    ]
    with pytest.raises(SystemExit):
        main([*words, "--skipped", str(tmp_path / "none" / "skipped.csv")])
    assert "--skipped" in capsys.readouterr().err
