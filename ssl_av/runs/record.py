"""What a run leaves behind about itself: its record, and how the record describes its data."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ssl_av.config import RunConfig
from ssl_av.data.manifest import Manifest
from ssl_av.data.pack import describe_pack
from ssl_av.data.prepare import summary
from ssl_av.data.probing import MISSING
from ssl_av.secret import hide
from ssl_av.whole import whole_file

Record = dict[str, Any]

NAMED = 1000
"""Files that a record names at most; of a decayed data set of millions it gives the number."""


def describe(manifest: Manifest, config: RunConfig, skipped: dict[str, str]) -> dict[str, Any]:
    """The data's part of a record; ``skipped`` (path → reason) is what only failed when it was read."""
    counts = {s: len(manifest.split(s)) for s in ("train", "val", "test")}
    classes = len(manifest.classes)
    # Of a part of a data set: guessing is among the classes that are there.
    occurring = len(np.unique(manifest.labels[manifest.labels >= 0])) or classes
    here = summary(manifest)
    # Only so many are named: those that are there and cannot be used come before those that are gone.
    lost = [{"path": p, "reason": r} for p, r in sorted(skipped.items())]
    for is_missing in (False, True):
        lost += [asdict(s) for s in manifest.skipped.where(MISSING, is_missing)[:NAMED]]
    return {
        "name": config.data["name"],
        "hash": manifest.hash,
        **counts,
        "classes": classes,
        "chance": 1 / occurring if classes else None,
        "reader": config.loading.reader,
        **describe_pack(manifest.root),
        "listed": here["listed"],
        "missing": here["missing"],
        "skipped_total": len(skipped) + len(manifest.skipped),
        "skipped": lost[:NAMED],
    }


def write_record(record: Record, out: Path) -> None:
    """The run's record.json."""
    write_json(record, out / "record.json")


def write_json(values: Record, path: Path) -> None:
    """Writes a file whole or not at all, and no secret in it."""
    with whole_file(path) as file:
        json.dump(hide(values), file, indent=1)
