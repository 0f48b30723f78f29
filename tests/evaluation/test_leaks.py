"""No test sample is learned from, unless that is wanted and told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tiny_esc import plant_esc

from ssl_av.data.datasets.pack import PackDataset
from ssl_av.data.loading import Loading
from ssl_av.data.manifest import Manifest
from ssl_av.data.pack import Pack
from ssl_av.data.pack.build import build_pack
from ssl_av.data.prepare import prepare_manifest
from ssl_av.errors import UserError
from ssl_av.evaluation.folds import official_folds
from ssl_av.evaluation.leaks import Unseen, as_files, leaks, learned_from
from ssl_av.evaluation.protocols import load_protocol

LOADING = Loading(batch_size=8, num_workers=0)


@pytest.fixture(autouse=True)
def cache_of_manifests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_AV_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """20 sounds of two classes in five folds."""
    return plant_esc(tmp_path / "ESC", classes=2, each=2)


def table(root: Path, name: str, lines: list[str]) -> dict[str, str]:
    """A table beside the sounds."""
    file = root / "audio" / name
    file.write_text("\n".join(["path,label,split,start,end", *lines]) + "\n")
    return {"name": "csv", "file": str(file)}


def manifest(data: dict[str, str]) -> Manifest:
    found = learned_from(data, LOADING)
    assert found is not None
    return found


def rest(root: Path) -> list[str]:
    """Lines of samples that nobody tests."""
    return [f"{f.name},{f.stem[-1]},train,," for f in sorted((root / "audio").glob("[345]-*.wav"))]


def test_a_file_in_both_splits_is_refused(root: Path, capsys: pytest.CaptureFixture[str]):
    data = table(
        root, "t.csv", [*rest(root), "1-0-A-0.wav,0,train,,", "1-0-A-0.wav,0,test,,", "1-1-A-1.wav,1,test,,"]
    )
    with pytest.raises(UserError, match=r"1 of the 2 test samples of 'csv' stand in the training split") as e:
        official_folds(data, LOADING, ["audio"], [load_protocol("knn")], guard=Unseen())
    assert "1-0-A-0.wav" in str(e.value)
    assert "--evaluation.leaks tell" in str(e.value)
    guard = Unseen("tell")
    official_folds(data, LOADING, ["audio"], [load_protocol("knn")], guard=guard)
    assert guard.record()["leaks"]["training"] == 1
    assert "warning" in capsys.readouterr().err


def test_so_are_overlapping_pieces_of_it_and_apart_ones_are_not(root: Path):
    def refused(start: float, split: str) -> bool:
        lines = [*rest(root), f"1-0-A-0.wav,0,{split},{start},0.5", "1-0-A-0.wav,0,test,0,0.25"]
        try:
            Unseen().check(manifest(table(root, f"{start}{split}.csv", lines)), "csv")
        except UserError:
            return True
        return False

    assert refused(0.1, "train")
    assert refused(0.1, "val")  # numbers are chosen there, and it is learned from in the end
    assert not refused(0.25, "train")


def test_a_copy_under_another_name_is_left_out_but_not_of_an_official_list(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    copy = root / "audio" / "5-9-A-0.wav"
    shutil.copy(root / "audio" / "1-0-A-0.wav", copy)
    data = table(root, "t.csv", [*rest(root), "1-0-A-0.wav,0,test,,", "1-1-A-1.wav,1,test,,"])
    whole = prepare_manifest("csv", {"file": data["file"]}, LOADING)
    guard = Unseen()
    guard.check(whole, "csv")
    assert set(whole.columns("path")["path"]) - set(guard.without(whole).columns("path")["path"]) == {
        copy.name
    }
    (left,) = guard.record()["leaks"]["named"]
    assert (left["path"], left["of"], left["copy"]) == ("1-0-A-0.wav", str(copy.resolve()), True)
    assert "1 training samples of 'csv' are copies of test samples" in capsys.readouterr().err
    fold = official_folds(data, LOADING, ["audio"], [load_protocol("knn")], guard=Unseen())[0]
    assert len(fold.manifest) == len(whole) - 1
    build_pack(
        whole, Pack("csv", whole.hash, len(whole), form="frames", rate=8000), pack := root.parent / "pack"
    )
    packed = PackDataset(pack).manifest()
    assert guard.without(packed).labels.tolist() == guard.without(whole).labels.tolist()
    by_itself = Unseen()
    by_itself.check(packed, "pack")
    assert by_itself.without(packed).labels.tolist() == guard.without(whole).labels.tolist()
    unmeasured = Unseen(measured=False)
    unmeasured.check(whole, "csv")
    assert len(unmeasured.without(whole)) == len(whole) - 1
    told = Unseen("tell")
    told.check(whole, "csv")
    assert len(told.without(whole)) == len(whole)

    with (root / "meta" / "esc50.csv").open("a") as file:
        file.write("5-9-A-0.wav,5,0,class0,True,x,A\n")
    there = manifest({"name": "esc50", "root": str(root)})
    guard = Unseen()
    guard.check(there, "esc50")
    assert [(leak.path, leak.copy) for leak in guard.told] == [("audio/1-0-A-0.wav", True)]
    assert len(guard.without(there)) == len(there)


def test_what_was_pretrained_on_is_not_tested_whatever_the_data_are_called(root: Path):
    lines = [
        *rest(root),
        *(f"{f.name},{f.stem[-1]},train,," for f in sorted((root / "audio").glob("2-*.wav"))),
    ]
    before = manifest(table(root, "pretraining.csv", [*lines, "1-0-A-0.wav,0,test,,"]))
    first, second = (prepare_manifest("esc50", {"root": str(root), "fold": k}, LOADING) for k in (1, 2))
    Unseen(learned=before).check(first, "esc50")
    with pytest.raises(
        UserError, match=r"4 of the 4 test samples of 'esc50' are among those .* pretrained on"
    ):
        Unseen(learned=before).check(second, "esc50")
    moved = shutil.copytree(root, root.parent / "elsewhere")
    there = prepare_manifest("esc50", {"root": str(moved), "fold": 2}, LOADING)
    found = leaks(before.split("train"), there.split("test"), "pretraining")
    assert len(found) == len(there.split("test"))
    assert all(leak.copy for leak in found)


def test_what_was_pretrained_on_in_a_pack_is_not_tested(root: Path, capsys: pytest.CaptureFixture[str]):
    files = prepare_manifest("esc50", {"root": str(root), "fold": 1}, LOADING)
    build_pack(
        files,
        Pack("esc50", files.hash, len(files), form="frames", rate=8000, per_shard=3),
        pack := root.parent / "p",
    )
    before = manifest({"name": "pack", "root": str(pack)})
    Unseen(learned=before).check(files, "esc50")
    second = prepare_manifest("esc50", {"root": str(root), "fold": 2}, LOADING)
    assert len(leaks(as_files(before).split("train"), second.split("test"), "pretraining")) in (3, 4)
    with pytest.raises(UserError, match=r"of the 4 test samples of 'esc50' are among those .* pretrained on"):
        Unseen(learned=before).check(second, "esc50")
    assert "which files" not in capsys.readouterr().err
    (pack / "source.arrow").unlink()  # as packs were
    Unseen(learned=before).check(second, "esc50")
    assert "does not say which files it was made from" in capsys.readouterr().err


def test_many_files_are_looked_through_a_part_at_a_time(root: Path, monkeypatch: pytest.MonkeyPatch):
    data = table(
        root, "t.csv", [*rest(root), *rest(root)[:2], "5-1-A-1.wav,1,test,,", "1-1-A-1.wav,1,test,,"]
    )
    whole = manifest(data)
    train, test = whole.split("train"), whole.split("test")
    few = leaks(train, test, "training")
    monkeypatch.setattr("ssl_av.evaluation.leaks.AT_ONCE", 3)
    assert leaks(train, test, "training") == few
    monkeypatch.setattr("ssl_av.evaluation.leaks.MOST", 2)
    assert leaks(train, test, "training") == few
    assert [leak.path for leak in few] == ["5-1-A-1.wav"]


def test_wrong_policy_and_data_that_are_gone(tmp_path: Path):
    with pytest.raises(UserError, match="did you mean tell"):
        Unseen("tel")
    assert learned_from({"name": "synthav", "root": str(tmp_path / "none")}, LOADING) is None
    assert learned_from(None, LOADING) is None
    assert not (tmp_path / "none").exists()
