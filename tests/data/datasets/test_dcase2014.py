"""The scenes of the first DCASE challenge by their official names."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from ssl_av.data.datasets import create_dataset
from ssl_av.data.datasets.dcase2014 import CLASSES
from ssl_av.data.manifest import Row
from ssl_av.errors import UserError


def test_the_ten_scenes(shared: Path) -> None:
    names = (shared / "splits" / "dcase2013_scenes" / "classes.txt").read_text().split()
    assert list(CLASSES) == names == sorted(names)


@pytest.mark.parametrize("above", ["", "scenes_stereo_testset/"])
def test_the_development_set_trains_and_the_test_set_tests(above: str, make) -> None:
    root = make(
        "scenes_stereo/bus01.wav",
        "scenes_stereo/tubestation10.wav",
        "scenes_stereo/readme.txt",
        f"{above}scenes_stereo_testset/bus01.wav",
        f"{above}scenes_stereo_testset/test_tube03.wav",
        "events/door01.wav",
    )
    rows, classes = create_dataset("dcase2014", root=root).rows()
    assert classes == CLASSES
    assert rows[:4] == [
        Row("scenes_stereo/bus01.wav", 0, "train"),
        Row("scenes_stereo/tubestation10.wav", 9, "train"),
        Row(f"{above}scenes_stereo_testset/bus01.wav", 0, "test"),
        Row(f"{above}scenes_stereo_testset/test_tube03.wav", 8, "test"),
    ]
    # A part holds ten sounds of each scene: what lacks is listed, though its number is not known.
    assert len(rows) == 200
    assert rows[4] == Row("scenes_stereo/busNN (2 of 10)", 0, "train")
    assert Counter((row.split, row.label) for row in rows) == dict.fromkeys(
        ((split, label) for split in ("train", "test") for label in range(10)), 10
    )
    assert len({row.path for row in rows}) == 200


def test_mistakes(make) -> None:
    root = make("scenes_stereo/bus01.wav")
    with pytest.raises(UserError, match="no sounds in a folder 'scenes_stereo_testset' in it or below it"):
        create_dataset("dcase2014", root=root).rows()
    make("scenes_stereo_testset/17.wav")
    with pytest.raises(UserError, match=r"17\.wav: not named <scene>NN\.wav with one of bus, busystreet"):
        create_dataset("dcase2014", root=root).rows()
