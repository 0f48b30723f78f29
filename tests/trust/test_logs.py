"""metrics.csv after an interruption: every step once, whatever was on disk."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from pytorch_lightning.loggers import Logger, WandbLogger

from ssl_av.config import Budget, RunConfig
from ssl_av.data.manifest import Manifest
from ssl_av.runs.run import execute
from ssl_av.training.logs import loggers, read_rows
from ssl_av.training.resume import Peek, last_checkpoint

RUN = RunConfig({"name": "avid"}, {"name": "synthav"}, Budget(steps=9))


@pytest.mark.parametrize("tail", ["", "5,0.5", "1"])
def test_rows_after_the_checkpoint_and_half_a_row_are_dropped(tail: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("step,loss\n0,1.0\n1,0.9\n2,0.8\n3,0.7\n" + tail)
    logger = loggers(RUN, tmp_path, Peek(3))[0]
    assert read_rows(path) == (
        ["loss", "step"],
        [{"step": str(i), "loss": f"{1 - i / 10}"} for i in range(3)],
    )
    logger.log_metrics({"loss": 0.75}, 3)
    logger.save()
    logger.log_metrics({"loss": 0.65, "val/probe": 0.5}, 4)
    logger.save()
    logger.finalize("success")
    columns, rows = read_rows(path)
    assert sorted(columns) == ["loss", "step", "val/probe"]
    assert [(r["step"], r["loss"], r["val/probe"]) for r in rows] == [
        ("0", "1.0", ""), ("1", "0.9", ""), ("2", "0.8", ""), ("3", "0.75", ""), ("4", "0.65", "0.5"),
    ]  # fmt: skip
    assert sorted(p.name for p in tmp_path.iterdir()) == ["hparams.yaml", "metrics.csv"] or [
        p.name for p in tmp_path.iterdir()
    ] == ["metrics.csv"]


def test_a_run_that_begins_has_no_rows(tmp_path: Path) -> None:
    logger = loggers(RUN, tmp_path, Peek())[0]
    logger.log_metrics({"loss": 1.0}, 0)
    logger.save()
    assert read_rows(tmp_path / "metrics.csv")[1] == [{"step": "0", "loss": "1.0"}]


@pytest.mark.parametrize(
    ("damage", "left"),
    [
        (b"", []),
        (b"\xff\xfe\0\n\0,\0\n", []),
        (b"step,loss\n0,1.0\n\0\0\n1,0.9,7\n\xff,0.8\n2,0.7\n" + b"9" * 200_000 + b"\n", ["0", "2"]),
        (b"loss\n1.0\n", []),
    ],
)
def test_damaged_rows_are_dropped_and_told(damage: bytes, left: list[str], tmp_path: Path, capsys) -> None:
    path = tmp_path / "metrics.csv"
    path.write_bytes(damage)
    logger = loggers(RUN, tmp_path, Peek(8, log_every=2))[0]
    told = f"ssl-av: warning: {path} lacks {4 - len(left)} rows of the 8 steps that are done: it was damaged"
    assert capsys.readouterr().err == f"{told} or taken away\n"
    logger.log_metrics({"loss": 0.5}, 9)
    logger.save()
    assert [row["step"] for row in read_rows(path)[1]] == [*left, "9"]


def test_no_rows_can_be_added_to_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "metrics.csv")  # it would be waited for
    with pytest.raises(FileExistsError):
        loggers(RUN, tmp_path, Peek())


class Sent(WandbLogger):
    """A logger of a W&B run that has begun, and of which W&B has nothing."""

    version, name = "abc", "avid-seed0"  # type: ignore[assignment]

    def __init__(self) -> None:
        Logger.__init__(self)
        self.summary: dict[str, Any] = {}
        self.sent: list[tuple[int, float]] = []

    @property
    def experiment(self) -> Any:
        return self

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        if "loss" in metrics:
            self.sent.append((int(step or 0), float(metrics["loss"])))

    def ignore(self, *args: Any) -> None: ...

    log_hyperparams = finalize = after_save_checkpoint = ignore  # type: ignore[assignment]


def test_wandb_has_every_step_of_a_training_that_goes_on(
    clips: Manifest, config_of, undisturbed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder, fake = shutil.copytree(undisturbed("avid") / "5", tmp_path / "run"), Sent()
    monkeypatch.setattr("ssl_av.training.trainer.loggers", lambda *about: [*loggers(*about), fake])
    execute(config_of("avid"), clips, folder, resume=last_checkpoint(folder))
    whole = [(int(row["step"]), float(row["loss"])) for row in read_rows(folder / "metrics.csv")[1]]
    assert [step for step, _ in whole] == [0, 1, 2, 3, 4, 5]
    assert fake.sent == whole
