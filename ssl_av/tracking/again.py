"""What W&B lacks of a run that goes on: a process that was killed had not yet sent, or written, all it was given.

W&B writes offline files in blocks of 32 KiB: of a killed process the last one is lost, of a short run all of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytorch_lightning.loggers import WandbLogger

STEP = "trainer/global_step"
"""Lightning's name for the step in W&B's history."""

BLOCK, HEADER = 32_768, 7
FULL, LAST = 1, 4
"""LevelDB's log format: blocks of parts, each with a checksum, a length and whether it ends what it is a part of."""


def send_missing(logger: WandbLogger, folder: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Logs the rows of metrics.csv that W&B does not have.

    Args:
        logger: of the run, which has begun.
        folder: of the run.
        rows: those of the steps that are done.
    """
    there = _written(folder, str(logger.version))
    # Online, a run that goes on is given its summary back, which ends with the last row that had arrived.
    last = logger.experiment.summary.get(STEP)
    arrived = last if isinstance(last, int | float) else -1
    for row in rows:
        step = int(row["step"])
        values = {key: float(cell) for key, cell in row.items() if key != "step" and cell}
        if step > arrived and not any(values.keys() <= keys for keys in there.get(step, ())):
            logger.log_metrics({k: int(v) if row[k].isdecimal() else v for k, v in values.items()}, step)


def _written(folder: Path, run: str) -> dict[int, list[set[str]]]:
    """The keys of each row in a run's offline files, by step."""
    found: dict[int, list[set[str]]] = {}
    for file in sorted((folder / "wandb").glob(f"offline-run-*-{run}/*.wandb")):
        for items in _history(file.read_bytes()) if file.is_file() else ():
            if STEP in items:
                found.setdefault(int(json.loads(items[STEP])), []).append(set(items))
    return found


def _history(data: bytes) -> Iterator[dict[str, str]]:
    """The rows of an offline file, as far as it is whole: values in JSON by key."""
    from google.protobuf.message import DecodeError
    from wandb.proto import wandb_internal_pb2

    at, whole = HEADER, b""
    while at + HEADER <= len(data):
        if BLOCK - at % BLOCK < HEADER:  # no room for another part's header: the block is filled up
            at += BLOCK - at % BLOCK
            continue
        end = at + HEADER + int.from_bytes(data[at + 4 : at + 6], "little")
        if end > len(data):
            return
        whole += data[at + HEADER : end]
        if data[at + 6] in (FULL, LAST):
            record = wandb_internal_pb2.Record()  # type: ignore[attr-defined]
            try:
                record.ParseFromString(whole)
            except DecodeError:
                return
            yield {"/".join(item.nested_key) or item.key: item.value_json for item in record.history.item}
            whole = b""
        at = end
