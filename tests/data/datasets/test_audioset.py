"""AudioSet by its official lists."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from ssl_av.data.datasets import create_dataset
from ssl_av.data.manifest import Row
from ssl_av.errors import UserError

HEAD = (
    "# Segments csv created Sun Mar  5 10:54:31 2017\n# num_ytids=2, num_segs=2\n"
    "# YTID, start_seconds, end_seconds, positive_labels\n"
)
INDICES = 'index,mid,display_name\n0,/m/09x0r,"Speech"\n1,/m/05zppz,"Male speech, man speaking"\n'
LISTS = {
    "class_labels_indices.csv": INDICES,
    "balanced_train_segments.csv": HEAD + '-bcdefghijk, 30.000, 40.000, "/m/05zppz,/m/09x0r"\n',
    "unbalanced_train_segments.csv": HEAD + 'bbcdefghijk, 0.000, 9.000, "/m/09x0r"\n',
    "eval_segments.csv": HEAD + 'cbcdefghijk, 20.300, 30.300, "/m/09x0r"\n',
}


def test_official_numbers(shared: Path) -> None:
    root = shared / "clips"
    dataset = create_dataset("audioset", root=root, lists=shared / "splits" / "audioset", train="balanced")
    rows, classes = dataset.rows()
    assert dataset.label_type == "multi"
    assert Counter(row.split for row in rows) == {"train": 22160, "test": 20371}
    labels: Counter[str] = Counter()
    for row in rows:
        labels[row.split] += len(row.labels)
    assert labels == {"train": 52882, "test": 51804}  # num_positive_labels in the lists' own headers
    assert (len(classes), classes[1]) == (527, "Male speech, man speaking")
    assert {label for row in rows for label in row.labels} == set(range(527))
    assert {row.label for row in rows} == {-1}
    here = [row.path for row in rows if (root / row.path).is_file()]
    assert "wild/-1pRmoJIGQc_10000_20000.mp4" in here


def test_parts_and_namings(make) -> None:
    root = make(LISTS, "balanced_train_segments/video/-bcdefghijk_30000_40000.mp4", "Ycbcdefghijk.wav")
    balanced = Row("balanced_train_segments/video/-bcdefghijk_30000_40000.mp4", -1, "train", labels=(1, 0))
    unbalanced = Row("unbalanced_train_segments/bbcdefghijk.mp4", -1, "train", labels=(0,))
    test = Row("Ycbcdefghijk.wav", -1, "test", labels=(0,))
    assert create_dataset("audioset", root=root).rows()[0] == [balanced, unbalanced, test]
    assert create_dataset("audioset", root=root, train="balanced").rows()[0] == [balanced, test]
    assert create_dataset("audioset", root=root, train="unbalanced").rows()[0] == [unbalanced, test]


def test_segments_of_whole_videos(make) -> None:
    root = make(LISTS, "cbcdefghijk.mp4")
    rows, _ = create_dataset("audioset", root=root, train="balanced", whole=True).rows()
    assert rows[1] == Row("cbcdefghijk.mp4", -1, "test", 20.3, 30.3, (0,))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "eval_segments",
            HEAD + 'cbcdefghijk, 20.3, "/m/09x0r"\n',
            r"eval_segments\.csv, line 4: not an id, start",
        ),
        ("eval_segments", HEAD + '../x, 20.3, 30.3, "/m/09x0r"\n', r"eval_segments\.csv, line 4: not an id"),
        ("eval_segments", HEAD + "cbcdefghijk, 20.3, 30.3, /m/09x0r,/m/05zppz\n", r"line 4: not an id"),
        (
            "eval_segments",
            HEAD + 'cbcdefghijk, 2, 3, "/m/0"\n',
            r"line 4: label '/m/0' is not in class_labels_ind",
        ),
        (
            "class_labels_indices",
            "0,/m/09x0r,Speech\n2,/m/05zppz,Male\n",
            r"indices\.csv, line 2: not the index 1",
        ),
    ],
)
def test_mistakes_in_lists(name: str, text: str, message: str, make) -> None:
    with pytest.raises(UserError, match=message):
        create_dataset("audioset", root=make(LISTS, {f"{name}.csv": text}, "cbcdefghijk.mp4")).rows()


def test_mistakes(make) -> None:
    root = make(LISTS)
    with pytest.raises(UserError, match=r"holds 0 videos .* none of the 3 "):
        create_dataset("audioset", root=root).rows()
    with pytest.raises(UserError, match=r"--data\.train 'balance'; did you mean balanced"):
        create_dataset("audioset", root=root, train="balance").rows()
    (root / "unbalanced_train_segments.csv").unlink()
    with pytest.raises(UserError, match=r"no unbalanced_train_segments\.csv in"):
        create_dataset("audioset", root=root).rows()
