"""Kinetics by its official csv files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from ssl_av.data.datasets import create_dataset
from ssl_av.data.manifest import Row
from ssl_av.errors import UserError

HEADER = "label,youtube_id,time_start,time_end,split\n"
LISTS = {
    "annotations/train.csv": HEADER
    + '"bowling",-nc7ljnlFQ0,1,11,train\n"testifying",abcdefghijk,100,110,train\n',
    "annotations/validate.csv": HEADER + "bowling,--y6_abcdef,12,22,validate\n",
    "annotations/test.csv": "youtube_id,time_start,time_end,split\nzzzzzzzzzzz,0,10,test\n",
}


def test_official_numbers(shared: Path) -> None:
    lists, root = shared / "splits" / "kinetics400", shared / "clips"
    rows, classes = create_dataset("kinetics400", root=root, lists=lists).rows()
    assert Counter(row.split for row in rows) == {"test": 19906}
    assert list(classes) == (lists / "label_map_k400.txt").read_text().splitlines()
    here = [row for row in rows if (root / row.path).is_file()]
    assert {(row.path, classes[row.label]) for row in here} == {
        ("original/R6llTwEh07w.mp4", "using segway"),
        ("original/WUzgd7C1pWA.mp4", "using segway"),
    }
    assert rows[0].path == "val/abseiling/0wR5jVB-WPk_000417_000427.mp4"
    rows, _ = create_dataset("kinetics400", root=root, lists=lists, test="test").rows()
    assert Counter((row.split, row.label >= 0) for row in rows) == {
        ("val", True): 19906,
        ("test", False): 38685,
    }


@pytest.mark.parametrize("name", ["kinetics400", "kinetics600", "kinetics700"])
def test_layouts(name: str, make) -> None:
    root = make(
        LISTS,
        "train/-nc7ljnlFQ0_000001_000011.mp4",
        "replacement/replacement_for_corrupted_k400/-nc7ljnlFQ0_000001_000011.mp4",
        "val/bowling/--y6_abcdef_000012_000022.mkv",
        "test/zzzzzzzzzzz_000000_000010.mp4",
    )
    rows, classes = create_dataset(name, root=root).rows()
    assert classes == ("bowling", "testifying")
    train = [
        Row("replacement/replacement_for_corrupted_k400/-nc7ljnlFQ0_000001_000011.mp4", 0, "train"),
        Row("train/testifying/abcdefghijk_000100_000110.mp4", 1, "train"),  # not there: as it would be called
    ]
    assert rows == [*train, Row("val/bowling/--y6_abcdef_000012_000022.mkv", 0, "test")]
    rows, _ = create_dataset(name, root=root, test="test").rows()
    assert rows == [
        *train,
        Row("val/bowling/--y6_abcdef_000012_000022.mkv", 0, "val"),
        Row("test/zzzzzzzzzzz_000000_000010.mp4", -1, "test"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label,id\n", r"val\.csv, line 1: the header has no youtube_id and no time_start and no time_end"),
        (HEADER + "a,../../../x,1,11,val\n", r"val\.csv, line 2: not label,youtube_id"),
        (HEADER + "a,abcdefghijk,1,11,val\nb,abcdefghijk,one,11,val\n", r"val\.csv, line 3: not label"),
        (HEADER + "a,abcdefghijk,1\n", r"val\.csv, line 2: not label"),
        (HEADER + "a,abcdefghijk,-1,9,val\n", r"val\.csv, line 2: not label"),
        (HEADER + "../a,abcdefghijk,1,11,val\n", r"val\.csv, line 2: '\.\./a' cannot be the name of a class"),
        (HEADER, r"none of the 0 that"),
    ],
)
def test_mistakes_in_lists(text: str, message: str, make) -> None:
    with pytest.raises(UserError, match=message):
        create_dataset("kinetics400", root=make({"val.csv": text}, "abcdefghijk.mp4")).rows()


def test_mistakes(make) -> None:
    root = make(LISTS, "elsewhere/clip.mp4")
    with pytest.raises(UserError, match="none of the 3 that"):
        create_dataset("kinetics400", root=root).rows()
    with pytest.raises(UserError, match=r"--data\.test 'tset'; did you mean test"):
        create_dataset("kinetics400", root=root, test="tset").rows()
    with pytest.raises(UserError, match="no list of the split 'val'"):
        create_dataset("kinetics400", root=root, lists=root / "elsewhere").rows()
    make({"kinetics_val.csv": HEADER})
    with pytest.raises(
        UserError, match=r"two lists of the split 'val': .*kinetics_val\.csv and .*validate\.csv"
    ):
        create_dataset("kinetics400", root=root).rows()
