"""Records as flat names and numbers, which is what W&B's tables, charts and filters work with."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

Flat = dict[str, float | int | str]

PARTS = ("results", "cost", "collapse", "diagnostics", "parameters")
"""Parts of a record that are numbers by name."""


def flat(record: Mapping[str, Any]) -> Flat:
    """``results/linear-svm/video/top1``, ``cost/train_seconds``, ``spent/samples``, ``protocol/linear-svm`` …

    Lists (folds, classes) and what is null, NaN or infinite are left out; a protocol that was skipped says so under
    ``skipped/NAME``.

    Args:
        record: of one run.
    """
    out: Flat = {"status": str(record.get("status"))}
    parts = {name: record.get(name) or {} for name in PARTS}
    parts["spent"] = (record.get("budget") or {}).get("spent") or {}
    for name, values in parts.items():
        out |= dict(_numbers(name, values))
    for name, about in (record.get("protocols") or {}).items():
        if isinstance(about, Mapping) and about.get("hash"):
            out[f"protocol/{name}"] = f"{about.get('version')} {about['hash']}"
    for name, found in (record.get("results") or {}).items():
        if isinstance(found, Mapping) and "skipped" in found:
            out[f"skipped/{name}"] = str(found["skipped"])
    data = record.get("data") or {}
    for key in ("name", "hash", "chance", "skipped_total"):
        if data.get(key) is not None:
            out[f"data/{key}"] = data[key]
    return out


def _numbers(prefix: str, value: Any) -> Iterator[tuple[str, float | int]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers(f"{prefix}/{key}", inner)
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        yield prefix, value
