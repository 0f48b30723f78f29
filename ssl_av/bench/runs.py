"""What a run's folder in a suite says of it: done, to be continued, or to be begun."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ssl_av.config import RunConfig, load_yaml
from ssl_av.errors import UserError
from ssl_av.text import read_json
from ssl_av.training.resume import newest_whole

INDIFFERENT = {"data": ("num_workers", "make_flow"), "evaluation": ("figures", "map")}
"""Settings that change no result: how data come to be there and how fast they arrive, and what is drawn."""


def run_name(config: RunConfig) -> str:
    """The name of a run's folder."""
    return f"{config.name}-seed{config.seed}"


def finished(folder: Path, config: RunConfig) -> dict[str, Any] | None:
    """The record of this very run, if it was completed before."""
    try:
        record = read_json(folder / "record.json")
        same = load_yaml(folder / "config.yaml")
    except UserError:
        return None
    done = isinstance(record, dict) and record.get("status") == "completed" and is_same(same, config)
    return record if done else None


def checkpoint_of(folder: Path, config: RunConfig) -> Path | None:
    """The checkpoint that an interrupted run of this very configuration goes on from; None: it begins anew."""
    last = newest_whole(folder)
    if _is_over(folder) or last is None:
        return None
    try:
        same = is_same(load_yaml(folder / "config.yaml"), config)
    except UserError:  # without it nobody knows whose checkpoint this is
        return None
    return last if same else None


def _is_over(folder: Path) -> bool:
    """Whether nothing goes on here: a run is done, or it failed by a mistake in the code."""
    if not os.path.lexists(folder / "record.json"):
        return False
    try:
        record = read_json(folder / "record.json")
    except UserError:
        return True
    return not (isinstance(record, dict) and record.get("goes_on"))


def damage(folder: Path) -> Iterator[str]:
    """What there is to say of a run's folder that holds more than can be read: the run begins anew there."""
    has_record = os.path.lexists(folder / "record.json")
    begun = has_record or (folder / "checkpoints").is_dir()
    for name, read, there in (("record.json", read_json, has_record), ("config.yaml", load_yaml, begun)):
        try:
            if there:
                read(folder / name)
        except UserError as e:
            yield f"{e}; what was done in {folder} is not known without it: the run begins anew"


def is_same(old: Mapping[str, Any], config: RunConfig) -> bool:
    """Whether a run's config.yaml is this configuration, in all that changes a result."""
    return _settings(old) == _settings(config.to_dict())


def _settings(run: Mapping[str, Any]) -> dict[str, Any]:
    """What of a run's configuration makes its results."""
    found: dict[str, Any] = json.loads(
        json.dumps({k: v for k, v in run.items() if k not in ("wandb", "tensorboard", "suite", "safety")})
    )
    for group, names in INDIFFERENT.items():
        for name in names:
            found.get(group, {}).pop(name, None)
    return found
