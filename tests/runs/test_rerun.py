"""What `ssl-av rerun` reads and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from ssl_av.config import Budget, RunConfig
from ssl_av.errors import UserError
from ssl_av.runs.rerun import _compare, config_of, read_record

RUN = RunConfig({"name": "avid"}, {"name": "synthav"}, Budget(steps=2))


@pytest.mark.parametrize(
    ("text", "says"),
    [(None, "give a record.json"), ("{", "is not JSON"), ("[]", "no record"), ("{}", "no record")],
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


def test_the_same_to_the_last_bit_or_not(capsys: pytest.CaptureFixture[str]) -> None:
    old = {"results": {"knn": {"video": {"top1": 0.5}}}, "curves": {"loss": [(1, 0.25)]}}
    assert _compare(json.loads(json.dumps(old)), old, Console()) == 0
    new = {"results": {"knn": {"video": {"top1": 0.5000001}}}, "curves": {"loss": [(1, 0.25)]}}
    assert _compare(old, new, Console()) == 1
    assert "results.knn.video.top1 (0.5 there, 0.5000001 here)" in capsys.readouterr().out
