"""Whether two suites, or two runs, came to the same: records, last checkpoints and logs, to the last bit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from ssl_av.bench.records import read_records, row_name
from ssl_av.checks import differences
from ssl_av.training.logs import read_rows
from ssl_av.training.resume import last_checkpoint

TIMES = frozenset(
    ["started", "finished", "cost", "seconds", "joules", "gpu_hours", "resumed_at", "data_wait"]
)
"""Names of what depends on the clock, wherever it stands."""


def timeless(value: Any) -> Any:
    """Without what depends on the clock."""
    if isinstance(value, Mapping):
        return {k: timeless(v) for k, v in value.items() if k not in TIMES}
    return [timeless(v) for v in value] if isinstance(value, list | tuple) else value


def unequal(whole: Path, soaked: Path) -> Iterator[str]:
    """In what two suites differ."""
    old, new = (
        {f"{row_name(r)}-seed{r['seed']}": r for r in read_records(f).records} for f in (whole, soaked)
    )
    if old.keys() != new.keys():
        yield f"records of {sorted(new)} instead of {sorted(old)}"
    for name in old.keys() & new.keys():
        yield from (
            f"{name}: record: {line}" for line in differences(timeless(old[name]), timeless(new[name]))
        )
        yield from (f"{name}: {line}" for line in unequal_runs(whole / name, soaked / name))


def unequal_runs(whole: Path, soaked: Path) -> Iterator[str]:
    """In what two runs' last checkpoints and logs differ."""
    a, b = (torch.load(last_checkpoint(f), weights_only=True) for f in (whole, soaked))
    for tree in (a, b):
        tree.pop("loops", None)  # counts of hooks, not of steps
    yield from (f"last.ckpt: {where}" for where in unequal_trees(timeless(a), timeless(b)))
    logs = [f / "metrics.csv" for f in (whole, soaked)]
    if logs[0].exists():
        a, b = (timeless(read_rows(log)[1]) for log in logs)
        if a != b:
            yield f"metrics.csv: {len(a)} rows left alone, {len(b)} rows killed, which differ"


def unequal_trees(a: Any, b: Any, path: str = "") -> Iterator[str]:
    """Where two nested values differ, tensors to the last bit."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for key in a.keys() | b.keys():
            yield from unequal_trees(a.get(key), b.get(key), f"{path}.{key}")
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for k, pair in enumerate(zip(a, b, strict=True)):
            yield from unequal_trees(*pair, f"{path}.{k}")
    elif isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        if a.dtype != b.dtype or not torch.equal(a, b):
            yield path
    elif a != b:
        yield path
