"""What is refused before a command begins, and that nothing is left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssl_av.checks import check_folder, check_resume, check_trainer, differences
from ssl_av.config import Budget, RunConfig
from ssl_av.errors import UserError

RUN = RunConfig({"name": "avid", "dim": 8}, {"name": "synthav", "num_workers": 1}, Budget(steps=2))


def test_a_folder_that_can_be_made_is_not_made(tmp_path: Path) -> None:
    check_folder("--out", tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_below_a_file_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="cannot be written"):
        check_folder("--out", tmp_path / "file" / "b")
    assert (tmp_path / "file").read_text() == "mine"


def test_leaves_are_named() -> None:
    old, new = {"inputs": {"size": 64, "fps": 8}, "seed": 0}, {"inputs": {"size": 112, "fps": 8}, "seed": 0}
    assert list(differences(old, new)) == ["inputs.size (64 there, 112 here)"]


def saved(folder: Path, config: RunConfig) -> Path:
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "last.ckpt").touch()
    config.save(folder / "config.yaml")
    return folder


def test_resume_of_the_same_run_with_another_budget_and_more_workers(tmp_path: Path) -> None:
    saved(tmp_path, RUN)
    check_resume(
        tmp_path, RunConfig(RUN.method, {**RUN.data, "num_workers": 4, "make_flow": True}, Budget(steps=9))
    )


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (
            RunConfig({"name": "brave", "dim": 8}, RUN.data, RUN.budget),
            'method.name \\("avid" there, "brave" here',
        ),
        (RunConfig({"name": "avid", "dim": 16}, RUN.data, RUN.budget), "method.dim \\(8 there, 16 here"),
        (RunConfig(RUN.method, {"name": "folder"}, RUN.budget), "data.name"),
        (RunConfig(RUN.method, RUN.data, RUN.budget, seed=1), "seed \\(0 there, 1 here"),
    ],
)
def test_resume_of_another_run(config: RunConfig, says: str, tmp_path: Path) -> None:
    before = (saved(tmp_path, RUN) / "config.yaml").read_text()
    with pytest.raises(UserError, match=says):
        check_resume(tmp_path, config)
    assert (tmp_path / "config.yaml").read_text() == before


def test_the_trainer_says_what_it_does_not_take() -> None:
    check_trainer({"precision": "bf16-mixed", "enable_progress_bar": True})
    with pytest.raises(UserError, match=r"--trainer\.\*: .*abacus"):
        check_trainer({"accelerator": "abacus"})
