"""Reads W&B's offline files: LevelDB's log format with a header of seven bytes, a protocol buffer a record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

BLOCK, HEADER = 32_768, 7
FULL, LAST = 1, 4


def read(path: Path) -> Iterator[Record]:
    """The records of an offline run, in order."""
    data, at, whole = path.read_bytes(), HEADER, b""
    assert data[:4] == b":W&B"
    while at + HEADER <= len(data):
        if BLOCK - at % BLOCK < HEADER:  # too little left in the block for a header: it is filled up
            at += BLOCK - at % BLOCK
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        whole += data[at + HEADER : at + HEADER + length]
        at += HEADER + length
        if kind in (FULL, LAST):
            record = Record()
            record.ParseFromString(whole)
            yield record
            whole = b""


def summary(records: list[Record]) -> dict[str, Any]:
    """What the run's summary is in the end."""
    out: dict[str, Any] = {}
    for record in records:
        for item in (*record.summary.update, *record.history.item):
            out["/".join(item.nested_key) or item.key] = json.loads(item.value_json)
    return out
