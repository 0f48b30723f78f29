"""W&B that fails: told before the training, and never at a run's cost after it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ssl_av.config import Budget, RunConfig
from ssl_av.errors import UserError
from ssl_av.tracking import runs


class Broken:
    """A logger whose client does not reach W&B."""

    @property
    def experiment(self) -> Any:
        raise ConnectionError("no\nnetwork")


def config(mode: str) -> RunConfig:
    return RunConfig(method={"name": "random"}, data={"name": "synthav"}, budget=Budget(steps=1), wandb=mode)


def test_before_the_training_it_is_a_line() -> None:
    with pytest.raises(UserError, match="W&B did not begin the run: no network; --wandb offline"):
        runs.begin_run(Broken())  # type: ignore[arg-type]


def test_after_it_the_run_is_not_lost(
    monkeypatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(runs, "wandb_logger", lambda *_: Broken())
    runs.finish_run(config("online"), {}, tmp_path)
    assert capsys.readouterr().err.count("W&B has not got all of") == 1


def test_off_leaves_nothing(tmp_path: Path) -> None:
    runs.finish_run(config("off"), {}, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_begins_has_an_id_of_its_own(tmp_path: Path) -> None:
    first = runs.wandb_logger(config("offline"), tmp_path, None)
    assert runs.run_id(tmp_path) == first.version
    again = runs.wandb_logger(config("offline"), tmp_path, first.version)
    assert again.version == first.version == runs.run_id(tmp_path)
    other = runs.wandb_logger(config("offline"), tmp_path, None)
    assert other.version != first.version
    assert runs.run_id(tmp_path) == other.version
