"""metrics.csv after an interruption: every step once, whatever was on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssl_av.config import Budget, RunConfig
from ssl_av.training.logs import loggers, read_rows

RUN = RunConfig({"name": "avid"}, {"name": "synthav"}, Budget(steps=9))


@pytest.mark.parametrize("tail", ["", "5,0.5", "1"])
def test_rows_after_the_checkpoint_and_half_a_row_are_dropped(tail: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("step,loss\n0,1.0\n1,0.9\n2,0.8\n3,0.7\n" + tail)
    logger = loggers(RUN, tmp_path, 3, None)[0]
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
    logger = loggers(RUN, tmp_path, 0, None)[0]
    logger.log_metrics({"loss": 1.0}, 0)
    logger.save()
    assert read_rows(tmp_path / "metrics.csv")[1] == [{"step": "0", "loss": "1.0"}]
