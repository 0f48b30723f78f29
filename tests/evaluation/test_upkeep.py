"""`ssl-av data features`: how much room features take, and which of them go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_esc import plant_esc

from ssl_av.cli import main, run
from ssl_av.evaluation.upkeep import kept_below
from ssl_av.lock import locked


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Statistics of a few sounds, measured; their features lie under `there`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSL_AV_CACHE", str(tmp_path / "cache"))
    plant_esc(tmp_path / "ESC", each=2)
    return tmp_path / "there"


MEASURE = [
    "eval", "statistics", "--data", "esc50", "--data.root", "ESC", "--data.fold", "1", "--data.num_workers", "0",
    "--evaluation.clips", "1", "--method.inputs.audio_seconds", "0.5", "--protocols", "knn", "--out", "there",
]  # fmt: skip


def states() -> list[str]:
    return sorted(kept.state for kept in kept_below(Path("there")))


@pytest.mark.slow
def test_features_are_told_and_what_is_of_no_use_goes(measured: Path, capsys: pytest.CaptureFixture[str]):
    assert run(MEASURE) == 0
    (measured / "notes.txt").write_text("not ours")
    assert states() == ["usable"]
    assert run(["data", "features", "there"]) == 0
    said = capsys.readouterr().out
    assert "1 in all" in said
    assert [kept.samples for kept in kept_below(measured)] == [36]  # kNN has no need of validation
    assert run(["data", "features", "there", "--remove", "stale"]) == 0
    assert "0 bytes removed" in capsys.readouterr().out

    one = kept_below(measured)[0].folder
    two = one.with_name("f" * 16)
    (two / ".0123456789abcdef.part").mkdir(parents=True)
    for meta in one.glob("*/columns.json"):
        meta.write_text(json.dumps(json.loads(meta.read_text()) | {"code": "0.1"}))
    assert states() == ["made by other code", "unfinished"]
    with locked(one):
        assert run(["data", "features", ".", "--remove", "stale"]) == 0
    assert states() == ["made by other code", "unfinished"]
    assert run(["data", "features", ".", "--remove", "stale"]) == 0
    assert states() == ["unfinished"]
    assert run(["data", "features", "there", "--remove", "unfinished"]) == 0
    assert (measured / "notes.txt").exists()
    assert not (measured / "features").exists()
    assert run(["data", "features", "there"]) == 0
    assert "no features in there" in capsys.readouterr().out

    assert run([*MEASURE, "--evaluation.keep_features", "false"]) == 0
    assert states() == []
    assert run(MEASURE) == 0
    (measured.parent / "ESC").rename(measured.parent / "elsewhere")
    assert states() == ["their files have gone"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere"], "nowhere: no such folder"),
        ([".", "--remove", "stal"], "did you mean stale"),
        ([".", "--delete"], "unknown option '--delete'"),
    ],
)
def test_wrong_words(words: list[str], says: str, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["data", "features", *words])
    lines = capsys.readouterr().err.strip().splitlines()
    assert (ended.value.code, len(lines)) == (2, 1)
    assert says in lines[0]


def test_a_folder_that_only_looks_like_it_stays(tmp_path: Path):
    theirs = tmp_path / "features" / ("0" * 16)
    (theirs / ("1" * 16)).mkdir(parents=True)
    (theirs / "letters.txt").write_text("mine")
    assert kept_below(tmp_path) == []
