"""W&B's rows of a run that was killed: those that its offline files lack are logged again, the others are not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

from ssl_av.tracking.again import BLOCK, HEADER, send_missing

ROWS = [
    {"step": "1", "loss": "0.5", "epoch": "0", "val/probe": ""},
    {"step": "3", "loss": "0.25", "epoch": "1", "val/probe": ""},
    {"step": "3", "loss": "", "epoch": "1", "val/probe": "0.125"},
    {"step": "5", "loss": "nan", "epoch": "2", "val/probe": ""},
]


class Logger:
    """What is used of Lightning's logger; online W&B gives the summary back."""

    version = "abc"

    def __init__(self, **summary: Any) -> None:
        self.experiment = self
        self.summary = {k.replace("_", "/", 1): v for k, v in summary.items()}
        self.sent: list[tuple[int, dict[str, Any]]] = []

    def log_metrics(self, values: dict[str, Any], step: int) -> None:
        self.sent.append((step, values))


def write(folder: Path, rows: list[dict[str, str]], filler: int = 0) -> Path:
    """An offline file of a run, records over the ends of blocks in parts."""
    data = b":W&B" + bytes(HEADER - 4)
    for row in rows:
        record = Record()
        record.history.item.add(key="filler", value_json=json.dumps("x" * filler))
        for key, cell in row.items():
            if cell:
                nested = ["trainer", "global_step"] if key == "step" else [key]
                record.history.item.add(nested_key=nested, value_json=cell)
        rest, first = record.SerializeToString(), True
        while rest or first:
            room = BLOCK - len(data) % BLOCK - HEADER
            if room < 0:
                data += bytes(room + HEADER)
                continue
            part, rest = rest[:room], rest[room:]
            kind = {(True, False): 1, (True, True): 2, (False, True): 3, (False, False): 4}[first, bool(rest)]
            data += bytes(4) + len(part).to_bytes(2, "little") + bytes([kind]) + part
            first = False
    home = folder / "wandb" / "offline-run-1-abc"
    home.mkdir(parents=True)
    (home / "run-abc.wandb").write_bytes(data)
    return home / "run-abc.wandb"


def sent(folder: Path, **summary: Any) -> list[tuple[int, list[str]]]:
    logger = Logger(**summary)
    send_missing(logger, folder, ROWS)  # type: ignore[arg-type]
    return [(step, sorted(values)) for step, values in logger.sent]


ALL = [(1, ["epoch", "loss"]), (3, ["epoch", "loss"]), (3, ["epoch", "val/probe"]), (5, ["epoch", "loss"])]


def test_what_offline_files_lack_is_logged_again(tmp_path: Path) -> None:
    assert sent(tmp_path) == ALL
    file = write(tmp_path, ROWS[:2], filler=BLOCK + 100)
    assert sent(tmp_path) == ALL[2:]
    whole = file.read_bytes()
    file.write_bytes(whole[:-30])  # cut off in the second record
    assert sent(tmp_path) == ALL[1:]
    for damage in (b"", bytes(len(whole)), b"\xff" * len(whole)):
        file.write_bytes(damage)
        assert sent(tmp_path) == ALL


def test_what_has_arrived_is_not_sent_again(tmp_path: Path) -> None:
    assert sent(tmp_path, trainer_global_step=3) == ALL[3:]


def test_values_are_those_of_then(tmp_path: Path) -> None:
    logger = Logger()
    send_missing(logger, tmp_path, ROWS[:1])  # type: ignore[arg-type]
    assert logger.sent == [(1, {"loss": 0.5, "epoch": 0})]
    assert isinstance(logger.sent[0][1]["epoch"], int)
