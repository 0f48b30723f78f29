"""VGGSound by its official lists."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from ssl_av.data.datasets import create_dataset
from ssl_av.data.manifest import Row
from ssl_av.errors import UserError

WHOLE = '---g-f_I2yQ,1,people marching,test\r\n--0PQM4-hqg,30,"heart sounds, heartbeat",train\r\n'


def test_official_numbers(shared: Path) -> None:
    root = shared / "clips"
    rows, classes = create_dataset("vggsound", root=root, lists=shared / "splits" / "vggsound").rows()
    assert Counter(row.split for row in rows) == {"test": 15446}
    assert len(classes) == 309
    assert "heart sounds, heartbeat" in classes
    here = {row.path for row in rows if (root / row.path).is_file()}
    assert len(here) == 15
    assert "wild/-0pJqpNjft4_000267.mp4" in here


def test_both_forms_of_the_lists(make) -> None:
    root = make(
        "clips/--0PQM4-hqg_000030.mp4", {"vggsound.csv": WHOLE, "test.csv": "---g-f_I2yQ_000001.mp4,x\n"}
    )
    rows, classes = create_dataset("vggsound", root=root).rows()
    assert classes == ("heart sounds, heartbeat", "people marching")
    assert rows == [
        Row("---g-f_I2yQ_000001.mp4", 1, "test"),
        Row("clips/--0PQM4-hqg_000030.mp4", 0, "train"),
    ]
    (root / "vggsound.csv").unlink()
    make({"train.csv": "--0PQM4-hqg_000030.mp4,y\r\n"})
    rows, classes = create_dataset("vggsound", root=root).rows()
    assert classes == ("x", "y")
    assert rows == [Row("clips/--0PQM4-hqg_000030.mp4", 1, "train"), Row("---g-f_I2yQ_000001.mp4", 0, "test")]


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("vggsound.csv", "--0PQM4-hqg,30,dog", "line 2: not an id, start, class and train or test"),
        ("vggsound.csv", "--0PQM4-hqg,30,dog,val", "line 2: not an id, start"),
        ("vggsound.csv", "../../../x.y,30,dog,test", "line 2: not an id, start"),
        ("vggsound.csv", "--0PQM4-hqg,x,dog,test", "line 2: 'x' is not a number of seconds"),
        ("test.csv", "../--0PQM4-hqg_000030.mp4,dog", "line 2: not <id>_<start>.mp4 and a class"),
        ("test.csv", "--0PQM4-hqg_000030.mp4", "line 2: not <id>_<start>.mp4 and a class"),
    ],
)
def test_mistakes_in_lists(name: str, line: str, message: str, make) -> None:
    first = WHOLE.splitlines()[0] if name == "vggsound.csv" else "---g-f_I2yQ_000001.mp4,x"
    root = make("---g-f_I2yQ_000001.mp4", {name: f"{first}\n{line}\n"})
    with pytest.raises(UserError, match=message):
        create_dataset("vggsound", root=root).rows()


def test_mistakes(make) -> None:
    with pytest.raises(UserError, match=r"no vggsound\.csv or test\.csv or train\.csv in .*data; give"):
        create_dataset("vggsound", root=make("a.mp4")).rows()
    with pytest.raises(UserError, match="none of the 2 that"):
        create_dataset("vggsound", root=make({"vggsound.csv": WHOLE})).rows()
