"""Records: what every run of a suite did, spent and reached, one JSON line a run.

`records.jsonl` is only ever appended to, so a suite that is killed and resumed loses at most the line
that was being written. A later line for the same row (or method) and seed replaces the earlier one when read.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssl_av.bench.shape import RECORD, misshapen
from ssl_av.errors import UserError
from ssl_av.secret import hide
from ssl_av.text import parse_json, printable
from ssl_av.whole import only_a_file

FILE = "records.jsonl"

Record = dict[str, Any]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reading:
    """What `records.jsonl` held.

    Attributes:
        records: the last record of every (row or method, seed), in order of first appearance.
        unreadable: numbers of the lines (from 1) that are not whole records, e.g. cut off by a kill.
        replaced: how many records a later one for the same row and seed replaced.
    """

    records: tuple[Record, ...]
    unreadable: tuple[int, ...] = ()
    replaced: int = 0


def read_records(folder: Path | str) -> Reading:
    """Read `folder`/records.jsonl, keeping count of what could not be read.

    Raises:
        UserError: the folder or the file is not there.
    """
    file = Path(folder) / FILE
    if not file.is_file():
        raise UserError(f"no {FILE} in '{folder}': give the folder of a suite that `ssl-av bench` wrote")
    latest: dict[tuple[str, int], Record] = {}
    unreadable: list[int] = []
    replaced = 0
    # A cut-off line may end inside a multi-byte character; it must not take the whole file with it.
    lines = file.read_text(encoding="utf-8", errors="replace").split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        record = _parse(line)
        if record is None:
            unreadable.append(number)
            continue
        key = (row_name(record), int(record.get("seed") or 0))
        replaced += key in latest
        latest[key] = record
    if unreadable:
        where = ", ".join(map(str, unreadable))
        log.warning("%s: %d unreadable line(s) ignored (line %s)", file, len(unreadable), where)
    return Reading(tuple(latest.values()), tuple(unreadable), replaced)


def load_records(folder: Path | str) -> list[Record]:
    """The records of a suite; see `read_records`, which also counts the lines that were ignored."""
    return list(read_records(folder).records)


def append_record(folder: Path | str, record: Mapping[str, Any]) -> None:
    """Append one record to `folder`/records.jsonl: one write, flushed to the disk before returning.

    Values that JSON does not know are written as what they mean: numpy and torch scalars as numbers,
    paths as text, NaN and infinities as null (so that any JSON reader can read the file).

    Raises:
        ValueError: the record names no method.
    """
    if not isinstance(record.get("method"), str):
        raise ValueError("a record needs the name of its method under 'method'")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    line = json.dumps(hide(plain(record)), ensure_ascii=False, allow_nan=False) + "\n"
    only_a_file(folder / FILE)
    with open(folder / FILE, "ab+", buffering=0) as file:  # unbuffered: a long record is still one write
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":  # an earlier write was cut off: do not glue this record to it
                line = "\n" + line
        data = line.encode("utf-8")
        written = file.write(data)
        if written < len(data):  # a full disk writes a part and raises only on the next try
            file.write(data[written:])
        os.fsync(file.fileno())


def row_name(record: Mapping[str, Any]) -> str:
    """What a record's suite calls its run: the row, else the method (`ssl_av.config.RunConfig.name`)."""
    return str(record.get("row") or record["method"])


def plain(value: Any) -> Any:
    """The same value in what strict JSON can hold; NaN and infinities become None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "tolist"):  # numpy and torch, scalars and arrays
        return plain(value.tolist())
    return str(value)


def _parse(line: str) -> Record | None:
    try:
        record = parse_json(line)
    except ValueError:
        return None
    if wrong := misshapen(record, RECORD):
        log.warning("a line is not a record of a run: %s", printable(wrong[:200]))
        return None
    found: Record = record
    return found if isinstance(found.get("seed", 0), int | None) else None


def find(record: Mapping[str, Any], *path: str) -> tuple[float | None, str]:
    """The finite number at a path of a record, or the reason why there is none.

    Returns:
        (number, "") or (None, reason); the reason is the record's own where a protocol on the way was
        skipped (``{"skipped": reason}``).
    """
    here: Any = record
    for name in path:
        if not isinstance(here, Mapping):
            return None, "not recorded"
        if "skipped" in here and name not in here:
            return None, f"skipped: {here['skipped']}"
        if name not in here:
            return None, "not recorded"
        here = here[name]
    if isinstance(here, Mapping) and "skipped" in here:
        return None, f"skipped: {here['skipped']}"
    if isinstance(here, bool) or not isinstance(here, int | float):
        return None, "no finite number" if here is None else "not a number"
    if not math.isfinite(here):
        return None, "no finite number"
    return float(here), ""
