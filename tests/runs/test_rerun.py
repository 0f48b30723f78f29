"""What `ssl-av rerun` reads and refuses."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ssl_av.config import Budget, RunConfig
from ssl_av.data.datasets import create_dataset
from ssl_av.data.loading import Loading
from ssl_av.data.manifest import Manifest, build_manifest
from ssl_av.data.media import create_reader
from ssl_av.data.synthav import render_file
from ssl_av.errors import UserError
from ssl_av.runs.rerun import _compare, config_of, data_of, read_record

RUN = RunConfig({"name": "avid"}, {"name": "synthav"}, Budget(steps=2))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "no such file"),
        ("{", "is not JSON"),
        ("[]", "give a record.json"),
        ("[" * 999, "levels deep"),
        ("{}", "no record"),
    ],
)
def test_what_is_no_record(text: str | None, says: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "record.json").write_text(text)
    with pytest.raises(UserError, match=says):
        read_record(tmp_path)


def test_the_settings_lie_in_the_record_or_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    assert config_of(file, {"config": RUN.to_dict()}) == RUN
    with pytest.raises(UserError, match="does not say with which settings"):
        config_of(file, {})
    RUN.save(tmp_path / "config.yaml")
    assert config_of(file, {}) == RUN
    with pytest.raises(UserError, match="are not those of a run"):
        config_of(file, {"config": {"method": {}}})


def opened_here(name: str, args: dict[str, Any], loading: Loading) -> Manifest:
    """`prepare_manifest` without processes."""
    dataset = create_dataset(name, **args)
    return build_manifest(*dataset.rows(), dataset.root, create_reader("pyav"))


def test_the_data_of_a_suites_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its manifest lies in the suite's folder: files that are gone since are seen all the same."""
    monkeypatch.setattr("ssl_av.data.prepare.prepare_manifest", opened_here)
    root, names = tmp_path / "videos", [(s, k) for s in ("train", "val", "test") for k in "ab"]
    for number, (split, label) in enumerate(names):
        (root / split / label).mkdir(parents=True)
        render_file(root / split / label / "0.mp4", 0, "train", number)
    shutil.copy(root / "train" / "a" / "0.mp4", root / "train" / "a" / "1.mp4")
    data = {"name": "folder", "root": str(root), "num_workers": 0, "batch_size": 2}
    run = replace(RUN, method={"name": "supervised"}, data=data)
    manifest = opened_here("folder", run.dataset_args, run.loading)
    manifest.save(tmp_path / "suite" / "manifest.arrow")
    file, record = tmp_path / "suite" / "run" / "record.json", {"data": {"hash": manifest.hash}}
    assert data_of(file, record, run, False).hash == manifest.hash
    (root / "train" / "a" / "1.mp4").unlink()
    with pytest.raises(UserError, match="the data 'folder' are others than then"):
        data_of(file, record, run, False)
    assert len(data_of(file, record, run, True)) == 6
    root.rename(tmp_path / "moved")
    with pytest.raises(UserError, match="what its suite was trained from is gone"):
        data_of(file, record, run, False)


def test_the_same_to_the_last_bit_or_not(capsys: pytest.CaptureFixture[str]) -> None:
    old = {"results": {"knn": {"video": {"top1": 0.5}}}, "curves": {"loss": [(1, 0.25)]}}
    assert _compare(json.loads(json.dumps(old)), old, Console()) == 0
    new = {"results": {"knn": {"video": {"top1": 0.5000001}}}, "curves": {"loss": [(1, 0.25)]}}
    assert _compare(old, new, Console()) == 1
    assert "results.knn.video.top1 (0.5 there, 0.5000001 here)" in capsys.readouterr().out
