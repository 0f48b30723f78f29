"""GRID by the names of its files; talker 1 is real."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from ssl_av.data.datasets import create_dataset
from ssl_av.data.datasets.grid import WORDS
from ssl_av.data.manifest import Row
from ssl_av.data.tools import run_tool
from ssl_av.errors import UserError
from ssl_av.evaluation.places import read_places


def splits(root: Path, **kw) -> dict[str, str]:
    return {row.path: row.split for row in create_dataset("grid", root=root, **kw).rows()[0]}


def test_the_names_spell_the_words_of_the_table(shared: Path) -> None:
    root = shared / "grid"
    with (root / "labels.csv").open() as text:
        table = {line["file"]: line for line in csv.DictReader(text)}
    for word in WORDS:
        rows, classes = create_dataset("grid", root=root, word=word).rows()
        assert {row.path: classes[row.label] for row in rows} == {
            path: line[word] for path, line in table.items()
        }
        parts = Counter(row.split for row in rows)
        assert parts == {"train": 630, "val": 90, "test": 180}
        assert {row.path for row in rows if row.split == "test"} == {
            path for path, line in table.items() if line["split"] == "test"
        }
    assert len(classes) == 4
    assert create_dataset("grid", root=root, word="digit").rows()[1][:3] == ("zero", "one", "two")


def test_every_word_has_the_same_division(shared: Path) -> None:
    for root in (shared / "grid", shared / "grid" / "video"):  # with and without a table
        assert splits(root, word="digit") == splits(root, word="adverb")
    assert Counter(splits(root).values()) == {"train": 630, "val": 90, "test": 180}


def test_the_layouts_of_the_corpus_are_one(make) -> None:
    root = make(
        "video/s1.mpg_vcd/bbaf2n.mpg",
        "audio/s1_50kHz/bbaf2n.wav",  # the same utterance: the video is taken
        "audio/s1_50kHz/LWIZZS.wav",
        "s2_bbaf2n.mp4",
        "s2/alignments/bbaf2n.align",
        "prbx3a.avi",
        "notes.mp4",
        "s3_bbaf2.mp4",
        "s3_bbaw2n.mp4",  # nobody says w
    )
    rows, classes = create_dataset("grid", root=root, word="digit").rows()
    assert [(row.path, classes[row.label]) for row in rows] == [
        ("prbx3a.avi", "three"),
        ("video/s1.mpg_vcd/bbaf2n.mpg", "two"),
        ("audio/s1_50kHz/LWIZZS.wav", "zero"),
        ("s2_bbaf2n.mp4", "two"),
    ]


def test_the_table_says_what_is_listed(make) -> None:
    table = "file,split,mood\ns1/bbaf2n.mpg,Train,x\ns1/bbaf3s.mpg,,x\ns2/bbaf2n.mpg,test,x\n"
    root = make({"labels.csv": table}, "videos/s1/bbaf2n.mp4", "videos/s3/bbaf2n.mp4")
    rows, _ = create_dataset("grid", root=root, word="digit").rows()
    assert rows == [
        Row("videos/s1/bbaf2n.mp4", 2, "train"),
        Row("s1/bbaf3s.mpg", 3, "train"),  # a lone one without a split trains
        Row("s2/bbaf2n.mpg", 2, "test"),  # missing: another talker's is not it
    ]
    make({"labels.csv": table.replace("split", "part")})
    assert set(splits(root)) == {"videos/s1/bbaf2n.mp4", "videos/s3/bbaf2n.mp4"}


def test_talkers_test_who_never_train(make) -> None:
    root = make(*(f"s{k}/bbaf{d}n.mpg" for k in (1, 2, 20) for d in range(1, 9)))
    assert Counter((path[:3], split) for path, split in splits(root).items())[("s20", "test")] == 2
    found = Counter((path.split("/")[0], split) for path, split in splits(root, test_talkers=["s20"]).items())
    assert found == {
        ("s1", "train"): 7,
        ("s1", "val"): 1,
        ("s2", "train"): 7,
        ("s2", "val"): 1,
        ("s20", "test"): 8,
    }
    for talkers, message in (
        (("s3",), r"unknown talker in --data\.test_talkers 's3'; did you mean"),
        (("s1", "s2", "s20"), "leaves nobody to train on"),
    ):
        with pytest.raises(UserError, match=message):
            create_dataset("grid", root=root, test_talkers=talkers).rows()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("split\ntest\n", r"labels\.csv, line 1: the header has a split, but no file"),
        ("file,split\ns1_bbaf2n.mp4\n", r"line 2: 1 cells, the header has 2"),
        ("file,split\n../s1_bbaf2n.mp4,test\n", "line 2: .* leads out"),
        ("file,split\ns1_bbaf2n.mp4,often\n", r"line 2: split 'often' is none of train, val, test"),
        ("file,split\na.mp4,test\n", r"line 2: 'a\.mp4' does not spell a sentence"),
        ("file,split\ns1_bbaf2n.mp4,test\ns1/bbaf2n.mp4,train\n", r"line 3: .* is the utterance of 's1_bbaf2n\.mp4'"),
        ("file,split\ns2_bbaf2n.mp4,test\n", r"holds 1 utterances, but none of the 1 that .*labels\.csv lists"),
    ],
)  # fmt: skip
def test_mistakes_in_the_table(text: str, message: str, make) -> None:
    with pytest.raises(UserError, match=message):
        create_dataset("grid", root=make({"labels.csv": text}, "s1_bbaf2n.mp4")).rows()


def test_mistakes(make) -> None:
    with pytest.raises(UserError, match=r"names spell a sentence of GRID, such as s1/bbaf2n\.mpg"):
        create_dataset("grid", root=make("a.mp4")).rows()
    with pytest.raises(UserError, match=r"unknown value of --data\.word 'colour'; did you mean color"):
        create_dataset("grid", root=make("s1_bbaf2n.mp4"), word="colour").rows()
    with pytest.raises(UserError, match="no such folder"):
        create_dataset("grid", root="nowhere").rows()


def test_words_of_the_command_line(
    shared: Path, capsys: pytest.CaptureFixture[str], tmp_path, monkeypatch
) -> None:
    assert read_places("grid:GRID+word=digit+as=digits+test_talkers=[s1,s2]") == (
        {"name": "grid", "as": "digits", "root": "GRID", "word": "digit", "test_talkers": ["s1", "s2"]},
    )
    monkeypatch.setenv("SSL_AV_CACHE", str(tmp_path))
    for path in sorted((shared / "grid" / "video").iterdir())[:12]:
        (tmp_path / path.name).symlink_to(path)
    assert run_tool(["check", "grid", "--root", str(tmp_path), "--word", "digit"]) == 0
    assert "12" in capsys.readouterr().out
