"""The logs of a training: metrics.csv always, W&B and TensorBoard where asked; each step once, however resumed."""

from __future__ import annotations

import csv
import os
import re
import sys
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger, Logger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from ssl_av.config import RunConfig
from ssl_av.tracking.runs import wandb_logger
from ssl_av.tracking.tensorboard import board_logger
from ssl_av.training.resume import Peek
from ssl_av.whole import only_a_file, whole_file

STEP = re.compile(r"[0-9]{1,12}")


def loggers(config: RunConfig, out: Path, done: Peek) -> list[Logger]:
    """The loggers of a run.

    Args:
        config: the run.
        out: its folder.
        done: what it goes on from; what is logged of later steps, by a process that was killed, is dropped.
    """
    found: list[Logger] = [_csv(out, done)]
    if tracked := wandb_logger(config, out, done.wandb):
        found.append(tracked)
    if config.tensorboard:
        found.append(board_logger(out, done.steps))
    return found


def _csv(out: Path, done: Peek) -> CSVLogger:
    """metrics.csv, going on after its rows of the steps that are done."""
    logger = CSVLogger(out, name=None, version="")
    path = out / "metrics.csv"
    if getattr(rank_zero_only, "rank", 0) == 0:
        rows: list[dict[str, str]] = []
        if os.path.lexists(path):
            only_a_file(path)
            columns, rows = read_rows(path)
            rows = [row for row in rows if int(row["step"]) < done.steps]
            # Sorted, as Lightning has them: it adds rows in that order.
            _write(path, sorted(columns), rows)
        missing = (done.steps // done.log_every if done.log_every else 0) - len({r["step"] for r in rows})
        if missing > 0:
            print(
                f"ssl-av: warning: {path} lacks {missing} rows of the {done.steps} steps that are done: "
                "it was damaged or taken away",
                file=sys.stderr,
            )
    out.mkdir(parents=True, exist_ok=True)
    logger._experiment = _Rows(str(out))
    return logger


def read_rows(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The columns and the whole rows of a metrics.csv; a last line that was cut off is none, nor is a damaged one."""
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = iter(text[: text.rfind("\n") + 1].splitlines())
    columns = next(lines, "").split(",")
    rows = []
    for line in lines if "step" in columns else ():
        cells = line.split(",")  # numbers, none of which is quoted
        row = dict(zip(columns, cells, strict=False))
        if len(cells) == len(columns) and STEP.fullmatch(row["step"]):
            rows.append(row)
    return columns if "step" in columns else [], rows


def _write(path: Path, columns: list[str], rows: list[dict[str, Any]]) -> None:
    with whole_file(path) as file:
        writer = csv.DictWriter(file, fieldnames=columns)
        writer.writeheader()
        writer.writerows(rows)


class _Rows(ExperimentWriter):
    """Lightning's rows, added to those that are there; a new column does not put the file at risk."""

    def __init__(self, log_dir: str) -> None:
        super().__init__(log_dir)
        path = Path(self.metrics_file_path)
        if path.is_file():
            self.metrics_keys = read_rows(path)[0]

    def _check_log_dir_exists(self) -> None:
        """The rows of an interrupted training are wanted: Lightning would delete them here."""

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        path = Path(self.metrics_file_path)
        _write(path, fieldnames, read_rows(path)[1])
