"""Any table as a data set."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssl_av.data.datasets import create_dataset
from ssl_av.data.datasets.csv import CsvDataset
from ssl_av.data.manifest import Row
from ssl_av.errors import UserError


def table(folder: Path, text: str, name: str = "t.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_columns_are_found_by_their_usual_names(tmp_path: Path) -> None:
    file = table(tmp_path, "id,File,label,split\n1,a.mp4,dog,train\n2,b.mp4,cat,valid\n3,c.mp4,,test\n\n")
    rows, classes = CsvDataset(file).rows()
    assert classes == ("cat", "dog")
    assert rows == [Row("a.mp4", 1, "train"), Row("b.mp4", 0, "val"), Row("c.mp4", -1, "test")]
    assert CsvDataset(file).root == tmp_path


def test_columns_by_name(tmp_path: Path) -> None:
    file = table(tmp_path, "where,path,what,part\nx.mp4,wrong,10,TRAIN\ny.mp4,wrong,9,\n")
    (tmp_path / "videos").mkdir()
    dataset = create_dataset(
        "csv", file=str(file), root=tmp_path / "videos", path="where", label="what", split="part"
    )
    rows, classes = dataset.rows()
    assert dataset.root == tmp_path / "videos"
    assert classes == ("9", "10")
    assert rows == [Row("x.mp4", 1, "train"), Row("y.mp4", 0, "")]


def test_only_paths(tmp_path: Path) -> None:
    assert CsvDataset(table(tmp_path, "video\n-a.mp4\nb/ü.mp4\n")).rows() == (
        [Row("-a.mp4"), Row("b/ü.mp4")],
        (),
    )


def test_pieces_of_files(tmp_path: Path) -> None:
    rows, _ = CsvDataset(table(tmp_path, "path,start,end\na.mp4,1.5,4\na.mp4,,\n")).rows()
    assert rows == [Row("a.mp4", start=1.5, end=4.0), Row("a.mp4")]
    with pytest.raises(UserError, match="line 2: end 'x' is not a number"):
        CsvDataset(table(tmp_path, "path,end\na.mp4,x\n")).rows()


@pytest.mark.parametrize("sign", ["\t", ";"])
def test_other_signs_quotes_and_marks(sign: str, tmp_path: Path) -> None:
    text = f'\ufeffpath{sign}label\r\n"a, b.mp4"{sign}"""x"""\r\n'
    assert CsvDataset(table(tmp_path, text, "t.tsv")).rows() == ([Row("a, b.mp4", 0)], ('"x"',))


@pytest.mark.parametrize(
    ("text", "kw", "message"),
    [
        ("path,labl\na.mp4,x\n", {"label": "label"}, "column for --data.label .* 'label'; did you mean labl"),
        ("clips,label\na.mp4,x\n", {}, "name its column of paths by --data.path .it has clips, label"),
        ("path,split\na.mp4,trian\n", {}, "line 2: split 'trian' is none of train, val, test"),
        ("path,label\na.mp4\n", {}, "line 2: 1 cells, the header has 2"),
        ("path,label\n,x\n", {}, "line 2: no path in column 'path'"),
        ("path,label\n", {}, "has no rows"),
        (
            "path\na.mp4\n../b.mp4\n",
            {},
            r"line 3: '\.\./b\.mp4' leads out of the root .*; --data\.root names",
        ),
        ("path\na/../../b.mp4\n", {}, "line 2: .* leads out of the root"),
        ("path\n/etc/passwd\n", {}, "line 2: '/etc/passwd' leads out of the root"),
        ("", {}, "is empty"),
    ],
)
def test_mistakes(text: str, kw: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        CsvDataset(table(tmp_path, text), **kw).rows()


def test_no_table(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is a folder; name the table; in it: .*t\.csv"):
        CsvDataset(table(tmp_path, "path\na\n").parent).rows()
    with pytest.raises(UserError, match=r"--data\.file .*none\.csv: no such file"):
        CsvDataset(tmp_path / "none.csv").rows()
    with pytest.raises(UserError, match=r"--data\.root .*none: no such folder"):
        CsvDataset(table(tmp_path, "path\na\n"), root=tmp_path / "none").rows()
    (tmp_path / "latin.csv").write_bytes(b"path\n\xe9.mp4\n")
    with pytest.raises(UserError, match="not a readable CSV file"):
        CsvDataset(tmp_path / "latin.csv").rows()
    with pytest.raises(UserError, match=r"needs --data\.file"):
        create_dataset("csv")


def test_real_tables(shared: Path) -> None:
    rows, classes = CsvDataset(shared / "grid" / "labels.csv", label="digit").rows()
    assert (len(rows), len(classes)) == (900, 10)
    assert [sum(row.split == split for row in rows) for split in ("train", "test")] == [720, 180]
    rows, classes = CsvDataset(shared / "esc50" / "meta" / "esc50.csv").rows()
    assert (len(rows), len(classes)) == (2000, 50)
    rows, _ = CsvDataset(shared / "clips" / "clips.csv").rows()
    assert all((shared / "clips" / row.path).is_file() for row in rows)


def test_several_labels_in_a_cell(tmp_path: Path) -> None:
    file = table(tmp_path, "path,label\na.mp4,dog | cat|dog\nb.mp4,cat\nc.mp4,\n")
    dataset = create_dataset("csv", file=file, label_separator="|")
    assert dataset.label_type == "multi"
    rows, classes = dataset.rows()
    assert classes == ("cat", "dog")
    assert rows == [Row("a.mp4", labels=(1, 0)), Row("b.mp4", labels=(0,)), Row("c.mp4")]
    single = create_dataset("csv", file=file)
    assert single.label_type == "single"
    assert single.rows()[1] == ("cat", "dog | cat|dog")
    with pytest.raises(UserError, match=r"name its column of labels by --data\.label \(it has path, what\)"):
        create_dataset("csv", file=table(tmp_path, "path,what\na,b\n"), label_separator="|").rows()


def test_absolute_paths_lie_below_the_root(tmp_path: Path) -> None:
    file = table(tmp_path, f"path\n{tmp_path}/a.mp4\n")
    assert CsvDataset(file).rows()[0] == [Row(f"{tmp_path}/a.mp4")]
    assert CsvDataset(file, root=Path("/")).rows()[0] == [Row(f"{tmp_path}/a.mp4")]
