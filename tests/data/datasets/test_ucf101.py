"""UCF101 by its official lists."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from ssl_av.data.datasets import create_dataset
from ssl_av.data.manifest import Row
from ssl_av.errors import UserError

LISTS = {
    "ucfTrainTestlist/classInd.txt": "1 Archery\r\n2 HandstandPushups\r\n",
    "ucfTrainTestlist/trainlist01.txt": "Archery/v_Archery_g08_c01.avi 1\r\n"
    "HandstandPushups/v_HandStandPushups_g01_c01.avi 2\r\n",
    "ucfTrainTestlist/testlist01.txt": "Archery/v_Archery_g01_c01.avi\r\n",
}


@pytest.mark.parametrize(("fold", "train", "test"), [(1, 9537, 3783), (2, 9586, 3734), (3, 9624, 3696)])
def test_official_numbers(fold: int, train: int, test: int, shared: Path) -> None:
    root = shared / "ucf101_mini"
    dataset = create_dataset("ucf101", root=root, lists=shared / "splits" / "ucf101", fold=fold)
    rows, classes = dataset.rows()
    assert Counter(row.split for row in rows) == {"train": train, "test": test}
    assert len({row.path for row in rows}) == 13320
    assert (len(classes), classes[0], classes[100]) == (101, "ApplyEyeMakeup", "YoYo")
    here = [row for row in rows if (root / row.path).is_file()]
    assert Counter(row.split for row in here) == {"train": 96, "test": 42}
    assert {classes[row.label] for row in here} == {"BabyCrawling", "Punch", "PushUps"}
    assert all(row.path.startswith(classes[row.label] + "/") for row in rows)


def test_layouts_and_spellings(make) -> None:
    root = make(LISTS, "UCF-101/HandStandPushups/v_HandstandPushups_g01_c01.avi", "v_Archery_g08_c01.mp4")
    rows, classes = create_dataset("ucf101", root=root).rows()
    assert classes == ("Archery", "HandstandPushups")
    assert rows == [
        Row("v_Archery_g08_c01.mp4", 0, "train"),
        Row("UCF-101/HandStandPushups/v_HandstandPushups_g01_c01.avi", 1, "train"),
        Row("Archery/v_Archery_g01_c01.avi", 0, "test"),  # not there: as it would be called
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("classInd.txt", "1 Archery\n3 Punch\n", r"classInd\.txt, line 2: '3 Punch' is not '2 <Class>'"),
        ("trainlist01.txt", "Archery/v.avi 1\nArchery/v.avi 2\n", r"line 2: 'Archery' is class 1, not 2"),
        ("trainlist01.txt", "Archery/v.avi 1\nArcher/v.avi 1\n", r"line 2: .* one of the classes"),
        ("testlist01.txt", "../Archery/v.avi\n", r"testlist01\.txt, line 1: .* one of the classes"),
        ("testlist01.txt", "Archery/../../v.avi\n", r"testlist01\.txt, line 1: .* leads out"),
    ],
)
def test_mistakes_in_lists(name: str, text: str, message: str, make) -> None:
    root = make(LISTS, {f"ucfTrainTestlist/{name}": text}, "v_Archery_g08_c01.avi")
    with pytest.raises(UserError, match=message):
        create_dataset("ucf101", root=root).rows()


def test_mistakes(make) -> None:
    root = make(LISTS, "other/clip.avi")
    with pytest.raises(
        UserError, match=r"holds 1 videos .* none of the 3 .* such as Archery/v_Archery_g08_c01\.avi"
    ):
        create_dataset("ucf101", root=root).rows()
    with pytest.raises(UserError, match=r"--data\.fold 4: there are the official folds 1 to 3"):
        create_dataset("ucf101", root=root, fold=4).rows()
    with pytest.raises(UserError, match=r"no trainlist02\.txt in .*ucfTrainTestlist; give"):
        create_dataset("ucf101", root=root, fold=2).rows()
    with pytest.raises(UserError, match=r"--data\.root .*none: no such folder"):
        create_dataset("ucf101", root=root / "none", lists=root / "ucfTrainTestlist").rows()
