"""The logs of a training: metrics.csv always, W&B and TensorBoard where asked; each step once, however resumed."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger, Logger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from ssl_av.config import RunConfig
from ssl_av.tracking.runs import wandb_logger
from ssl_av.tracking.tensorboard import board_logger
from ssl_av.whole import whole_file


def loggers(config: RunConfig, out: Path, step: int, run: str | None) -> list[Logger]:
    """The loggers of a run.

    Args:
        config: the run.
        out: its folder.
        step: steps that are done; what is logged of later ones, by a process that was killed, is dropped.
        run: id of its W&B run, where it has one.
    """
    found: list[Logger] = [_csv(out, step)]
    if tracked := wandb_logger(config, out, run):
        found.append(tracked)
    if config.tensorboard:
        found.append(board_logger(out, step))
    return found


def _csv(out: Path, step: int) -> CSVLogger:
    """metrics.csv, going on after its rows of the first ``step`` steps."""
    logger = CSVLogger(out, name=None, version="")
    path = out / "metrics.csv"
    if path.is_file() and getattr(rank_zero_only, "rank", 0) == 0:
        columns, rows = read_rows(path)
        # Sorted, as Lightning has them: it adds rows in that order.
        _write(path, sorted(columns), [row for row in rows if int(row["step"]) < step])
    out.mkdir(parents=True, exist_ok=True)
    logger._experiment = _Rows(str(out))
    return logger


def read_rows(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The columns and the whole rows of a metrics.csv; a last line that was cut off is none."""
    text = path.read_text(encoding="utf-8")
    lines = csv.DictReader(text[: text.rfind("\n") + 1].splitlines())
    return list(lines.fieldnames or []), [row for row in lines if (row.get("step") or "").isdecimal()]


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
