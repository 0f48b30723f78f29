"""HMDB51 by its official lists."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from ssl_av.data.datasets import create_dataset
from ssl_av.data.manifest import Row
from ssl_av.errors import UserError

ODD = "Geena_und_die_Radschl_ge___;-)_#1_cartwheel_f_cm_np1_fr_med_2.avi"


@pytest.mark.parametrize("fold", [1, 2, 3])
def test_official_numbers(fold: int, shared: Path) -> None:
    dataset = create_dataset("hmdb51", root=shared / "clips", lists=shared / "splits" / "hmdb51", fold=fold)
    rows, classes = dataset.rows()
    assert (len(classes), classes[0], classes[-1]) == (51, "brush_hair", "wave")
    counts = Counter((row.label, row.split) for row in rows)
    assert counts == {(label, split): n for label in range(51) for split, n in (("train", 70), ("test", 30))}
    here = [row for row in rows if (shared / "clips" / row.path).is_file()]
    assert 1 <= len(here) <= 3
    assert {classes[row.label] for row in here} <= {"wave", "cartwheel"}


def test_names_and_tags(make) -> None:
    lists = "testTrainMulti_7030_splits"
    root = make(
        f"hmdb51_org/cartwheel/{ODD}",
        {
            f"{lists}/cartwheel_test_split1.txt": f"{ODD} 1 \n(Rad)Schlag_die_Bank!.avi 2 \nunused.avi 0 \n",
            f"{lists}/wave_test_split1.txt": "a.avi 2 \r\n",
            f"{lists}/wave_test_split2.txt": "a.avi 1 \n",
        },
    )
    rows, classes = create_dataset("hmdb51", root=root).rows()
    assert classes == ("cartwheel", "wave")
    assert rows == [
        Row(f"hmdb51_org/cartwheel/{ODD}", 0, "train"),
        Row("cartwheel/(Rad)Schlag_die_Bank!.avi", 0, "test"),
        Row("wave/a.avi", 1, "test"),
    ]
    with pytest.raises(UserError, match=r"no <class>_test_split3\.txt in"):
        create_dataset("hmdb51", root=root, fold=3).rows()


@pytest.mark.parametrize("line", ["a.avi 3", "a.avi", "1", "../a.avi 1", "/a.avi 2"])
def test_mistakes_in_lists(line: str, make) -> None:
    root = make("wave/a.avi", {"wave_test_split1.txt": f"a.avi 1 \n{line} \n"})
    with pytest.raises(UserError, match=r"wave_test_split1\.txt, line 2: "):
        create_dataset("hmdb51", root=root).rows()
