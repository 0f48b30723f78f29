"""Official lists, and names on the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ssl_av.data.datasets._files import NameIndex
from ssl_av.data.datasets._lists import below, find_list, places, read_lines, read_table
from ssl_av.data.datasets._youtube import ClipIndex
from ssl_av.errors import UserError

FILE = Path("list.txt")


@pytest.mark.parametrize(
    "path", ["../x.avi", "a/../../x.avi", "/etc/x.avi", "C:\\x.avi", "\\x.avi", "a\\..\\..\\b", ""]
)
def test_a_list_cannot_lead_out_of_the_root(path: str) -> None:
    with pytest.raises(UserError, match=r"list\.txt, line 7: .* leads out of the folder"):
        below(path, FILE, 7)


def test_below_keeps_odd_names() -> None:
    for path in ("a/b.avi", "..a/b..avi", "#1(x);/~y.avi", "-a.mp4"):
        assert below(path, FILE, 1) == path
    assert below("a\\b.avi", FILE, 1) == "a/b.avi"


def test_lines(make) -> None:
    root = make({"crlf": "\ufeffa 1\r\n\r\n  b 2 \r\n", "bytes": "\udce9.avi 1\n"})
    assert list(read_lines(root / "crlf")) == [(1, "a 1"), (3, "b 2")]
    assert list(read_lines(root / "bytes")) == [(1, "\udce9.avi 1")]
    with pytest.raises(UserError, match="none: cannot be read"):
        list(read_lines(root / "none"))


def test_tables(make) -> None:
    root = make({"t": '# x\n\na, 1, "b, ""c"""\r\n', "open": 'a,b\nc,"d\n', "latin": "a\n\udce9\n"})
    assert list(read_table(root / "t", comment="#")) == [(3, ["a", "1", 'b, "c"'])]
    with pytest.raises(UserError, match="open, line 2: not a readable csv"):
        list(read_table(root / "open"))
    with pytest.raises(UserError, match=r"latin, line \d: not a readable csv"):
        list(read_table(root / "latin"))


def test_where_lists_are_looked_for(make) -> None:
    root = make({"lists/a.txt": "", "b.txt": "", "other/lists/c.txt": ""})
    usual = places(root, None, ("lists",))
    assert find_list(usual, "a.txt") == root / "lists" / "a.txt"
    assert find_list(usual, "x.txt", "b.txt") == root / "b.txt"
    assert find_list(places(root, root / "other", ("lists",)), "c.txt") == root / "other" / "lists" / "c.txt"
    with pytest.raises(UserError, match=r"no c\.txt in .*, .*lists; give the folder .* --data\.lists DIR"):
        find_list(usual, "c.txt")
    with pytest.raises(UserError, match=r"--data\.lists .*none: no such folder"):
        places(root, root / "none", ())


def test_files_by_name(make) -> None:
    files = NameIndex(
        make("UCF-101/HandStandPushups/v_HandStandPushups_g01_c01.MP4", "b/x.wav", "a/x.mp4", "a/x.avi")
    )
    found = files.find("HandstandPushups/v_HandStandPushups_g01_c01.avi")
    assert found == "UCF-101/HandStandPushups/v_HandStandPushups_g01_c01.MP4"
    assert files.find("a/x.avi") == "a/x.avi"
    assert files.find("b/x.avi") == "b/x.wav"
    assert files.find("a/y.avi") is None
    assert (files.size, files.found) == (4, 3)


@pytest.mark.parametrize(
    "name",
    [
        "-bcdefgh_jk.mp4",
        "-bcdefgh_jk_30.mp4",
        "-bcdefgh_jk_000030.mkv",
        "-bcdefgh_jk_000030_000040.mp4",
        "-bcdefgh_jk_30000_40000.mp4",
        "-bcdefgh_jk_30.000_40.000.mp4",
        "-bcdefgh_jk_30_480p.mp4",
        "Y-bcdefgh_jk.wav",
        "Y-bcdefgh_jk_30.000_40.000.flac",
        "train/any class/-bcdefgh_jk.webm",
    ],
)
def test_clips_in_any_naming(name: str, make) -> None:
    clips = ClipIndex(make(name, "other.mp4"))
    assert clips.find("-bcdefgh_jk", 30.0) == name
    assert clips.find("-bcdefgh_jK", 30.0) is None  # ids have a case
    assert clips.find("bcdefgh_jk_", 30.0) is None


def test_clips_of_other_times_are_other_clips(make) -> None:
    clips = ClipIndex(make("abcdefghijk_000030_000040.mp4", "abcdefghijk_000050_000060.mp4"))
    assert clips.find("abcdefghijk", 30.0) == "abcdefghijk_000030_000040.mp4"
    assert clips.find("abcdefghijk", 50.4) == "abcdefghijk_000050_000060.mp4"
    assert clips.find("abcdefghijk", 40.0) is None


def test_ids_that_begin_with_y(make) -> None:
    clips = ClipIndex(make("Yabcdefghij.mp4", "YYabcdefghi_.wav", "Yabcdefghij__30.mp4"))
    assert clips.find("Yabcdefghij", 0.0) == "Yabcdefghij.mp4"
    assert clips.find("Yabcdefghi_", 0.0) == "YYabcdefghi_.wav"
    assert clips.find("abcdefghij_", 30.0) == "Yabcdefghij__30.mp4"


def test_the_best_of_several_clips(make) -> None:
    name = "abcdefghijk_000001_000011"
    root = make(f"val/{name}.mp4", f"train/{name}.mp4", f"audio/train/{name}.wav")
    assert ClipIndex(root).find("abcdefghijk", 1.0, ("train",)) == f"train/{name}.mp4"
    make(f"replacement/replacement_for_corrupted_k400/{name}.mp4")
    assert ClipIndex(root).find("abcdefghijk", 1.0, ("train",)).startswith("replacement/")


def test_the_disk_is_not_asked_for_every_name(make, monkeypatch) -> None:
    root = make("a/b.mp4")
    files = NameIndex(root)
    monkeypatch.setattr(os, "stat", None)
    monkeypatch.setattr(os, "scandir", None)
    assert [files.find("a/b.mp4"), files.find("a/c.mp4")] == ["a/b.mp4", None]
