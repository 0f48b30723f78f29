"""Kinetics-Sound by its two class lists."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from ssl_av.data.datasets import create_dataset
from ssl_av.data.datasets.kinetics_sound import class_list
from ssl_av.data.manifest import Row
from ssl_av.errors import UserError

HEADER = "label,youtube_id,time_start,time_end,split\n"


def test_class_lists_are_of_kinetics400(shared: Path) -> None:
    known = set((shared / "splits" / "kinetics400" / "label_map_k400.txt").read_text().splitlines())
    of32, of34 = class_list(32), class_list(34)
    assert (len(of32), len(set(of32)), len(of34), len(set(of34))) == (32, 32, 31, 31)
    assert set(of32) <= known
    assert set(of32) - set(of34) == {"strumming guitar"}
    assert set(of34) <= set(of32)
    with pytest.raises(UserError, match=r"--data\.classes '31'"):
        class_list(31)


def test_the_original_list_names_34_classes() -> None:
    import ssl_av.data.datasets.kinetics_sound as module

    text = Path(module.__file__).with_name("kinetics_sound_34.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(lines) == 34
    assert [line for line in lines if line.endswith("=")] == ["typing =", "fingerpicking =", "patting ="]


def test_same_classes_and_numbers_as_another_suite(shared: Path) -> None:
    """AV-SUPERB's lists, which were made without ours, against the official labels of the same clips."""
    lists = shared / "splits" / "kinetics400"
    lines = (shared / "splits" / "kinetics_sounds" / "val_data_path.csv").read_text().splitlines()
    theirs = {path: int(number) for path, number in (line.rsplit(",", 1) for line in lines)}
    dataset = create_dataset("kinetics_sound", root=shared / "clips", lists=lists)
    clips = [clip for clip in dataset.listed() if clip.label in class_list(32)]
    ours = {f"val/{c.id}_{c.start:06d}_{c.end:06d}.mp4": class_list(32).index(c.label) for c in clips}
    assert ours == theirs
    assert len(ours) == 1594


def test_rows(make) -> None:
    val = (
        HEADER
        + "tickling,abcdefghijk,1,11,val\nabseiling,bbcdefghijk,1,11,val\nstrumming guitar,cbcdefghijk,1,11,val\n"
    )
    root = make({"val.csv": val}, "abcdefghijk_000001_000011.mp4", "bbcdefghijk_000001_000011.mp4")
    rows, classes = create_dataset("kinetics_sound", root=root).rows()
    assert classes == class_list(32)
    assert rows == [
        Row("abcdefghijk_000001_000011.mp4", 31, "test"),
        Row("val/strumming guitar/cbcdefghijk_000001_000011.mp4", 27, "test"),
    ]
    rows, classes = create_dataset("kinetics_sound", root=root, classes=34).rows()
    assert rows == [Row("abcdefghijk_000001_000011.mp4", classes.index("tickling"), "test")]
    assert Counter(row.split for row in rows) == {"test": 1}
