"""Embeddings written for others come back as they were, whatever their names hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.feather
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_av.errors import UserError
from ssl_av.evaluation.export import Embeddings, escape, load_embeddings, save_embeddings, unescape

IDS = ["a.mp4", "b, 'c'\n\"d\".mp4", "\\x41\\.wav", "caf\udce9.mp4", "ü/日本.mp4", "=SUM(A1)", ""]
CLASSES = ['play, "loud"', "läuft\n", "=1+1"]


def table(dtype: type = np.float32) -> Embeddings:
    rng = np.random.default_rng(0)
    vectors = {"video": rng.normal(size=(7, 5)).astype(dtype), "audio": rng.normal(size=(7, 3)).astype(dtype)}
    return Embeddings(IDS, vectors, np.array([0, 1, 2, -1, 0, 1, 2]), CLASSES, {"split": "test", "n": 7})


@pytest.mark.parametrize("ending", [".npz", ".parquet", ".arrow", ".feather"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_comes_back_as_it_was(tmp_path: Path, ending: str, dtype: type):
    path = save_embeddings(table(dtype), tmp_path / "new folder" / f"e{ending}")
    back = load_embeddings(path)
    assert list(back.ids) == IDS
    assert list(back.classes) == CLASSES
    assert back.about == {"split": "test", "n": 7}
    assert back.labels.tolist() == table().labels.tolist()
    for name, x in table(dtype).vectors.items():
        assert back.vectors[name].dtype == dtype
        assert np.array_equal(back.vectors[name], x)
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # no rest of the writing


@pytest.mark.parametrize("ending", [".npz", ".parquet", ".arrow"])
def test_several_labels_a_sample_and_the_splits(tmp_path: Path, ending: str):
    several = np.array([[True, False, True], [False, False, False]])
    x = {"audio": np.eye(2, dtype=np.float32)}
    given = Embeddings(["a", "b"], x, several, CLASSES, splits=["train", "test"])
    back = load_embeddings(save_embeddings(given, tmp_path / f"e{ending}"))
    assert back.labels.dtype == bool
    assert np.array_equal(back.labels, several)
    assert list(back.splits) == ["train", "test"]
    with pytest.raises(ValueError, match="need the names"):
        save_embeddings(Embeddings(["a", "b"], x, several), tmp_path / f"e{ending}")


@pytest.mark.parametrize("ending", [".npz", ".parquet", ".arrow"])
def test_no_rows(tmp_path: Path, ending: str):
    empty = Embeddings([], {"video": np.empty((0, 4), np.float32)}, np.empty(0, np.int64))
    back = load_embeddings(save_embeddings(empty, tmp_path / f"e{ending}"))
    assert len(back) == 0
    assert back.vectors["video"].shape == (0, 4)


def test_others_read_it_without_us(tmp_path: Path):
    held = np.load(save_embeddings(table(), tmp_path / "e.npz"), allow_pickle=False)
    assert held["video"].shape == (7, 5)
    assert held["id"][0] == "a.mp4"
    assert held["classes"][held["label"][1]] == CLASSES[1]
    rows = pyarrow.parquet.read_table(save_embeddings(table(), tmp_path / "e.parquet")).to_pylist()
    assert rows[1]["class"] == CLASSES[1]
    assert rows[3]["class"] is None
    assert rows[3]["id"] == "caf\\xe9.mp4"
    assert rows[2]["video"] == pytest.approx(table().vectors["video"][2].tolist())
    assert pyarrow.feather.read_table(save_embeddings(table(), tmp_path / "e.arrow")).num_rows == 7


@settings(max_examples=60, deadline=None)
@given(st.text() | st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape")))
def test_escaping_is_undone(name: str):
    try:
        name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half of a pair: no file has such a name
        return
    assert unescape(escape(name)) == name.encode("utf-8", "surrogateescape").decode(
        "utf-8", "surrogateescape"
    )
    escape(name).encode("utf-8")


def test_wrong_input(tmp_path: Path):
    with pytest.raises(UserError, match=r"did you mean \.parquet"):
        save_embeddings(table(), tmp_path / "e.parqet")
    with pytest.raises(UserError, match="no such file"):
        load_embeddings(tmp_path / "e.npz")
    (tmp_path / "f").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        save_embeddings(table(), tmp_path / "f" / "e.npz")
    for ending in (".npz", ".parquet", ".arrow"):
        (tmp_path / f"bad{ending}").write_bytes(b"not a table")
        with pytest.raises(UserError, match="not a table of embeddings"):
            load_embeddings(tmp_path / f"bad{ending}")
    np.savez(tmp_path / "other.npz", x=np.arange(3))
    with pytest.raises(UserError, match="not a table of embeddings"):
        load_embeddings(tmp_path / "other.npz")
    pyarrow.parquet.write_table(pyarrow.table({"x": [1]}), tmp_path / "other.parquet")
    with pytest.raises(UserError, match="not a table of embeddings"):
        load_embeddings(tmp_path / "other.parquet")


@pytest.mark.parametrize("name", ["label", "../video", "a/b", ""])
def test_names_that_would_do_harm(tmp_path: Path, name: str):
    x = np.zeros((1, 2), np.float32)
    with pytest.raises(ValueError, match="cannot be named"):
        save_embeddings(Embeddings(["a"], {name: x}, np.array([0])), tmp_path / "e.npz")


def test_parts_that_do_not_fit(tmp_path: Path):
    x = np.zeros((2, 2), np.float32)
    with pytest.raises(ValueError, match="do not fit"):
        save_embeddings(Embeddings(["a"], {"video": x}, np.array([0])), tmp_path / "e.npz")
    with pytest.raises(ValueError, match="outside of 1 classes"):
        save_embeddings(Embeddings(["a", "b"], {"video": x}, np.array([0, 1]), ["one"]), tmp_path / "e.npz")
