"""Trainings of seconds on a dozen rendered files, with everything that a run has."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from small_methods import EXTRA, SMALL
from trainings import Photograph

from ssl_av.config import Budget, Evaluation, RunConfig
from ssl_av.data.manifest import Manifest, Row, build_manifest
from ssl_av.data.media import create_reader
from ssl_av.data.synthav import render_file
from ssl_av.evaluation.callbacks import Collapse
from ssl_av.runs.run import execute
from ssl_av.training.safety import Safety

STEPS = 6


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Twelve training samples of two classes, three batches of four an epoch; four to validate, two to test."""
    root = tmp_path_factory.mktemp("clips")
    rows = []
    for split, count in (("train", 12), ("val", 4), ("test", 2)):
        for i in range(count):
            path = root / f"{split}{i}.mp4"
            render_file(path, 0, split, i)
            rows.append(Row(str(path), i % 2, split))
    return build_manifest(rows, ("a", "b"), root, create_reader())


Config = Callable[..., RunConfig]


@pytest.fixture(scope="session")
def config_of() -> Config:
    """``config_of("avid", workers=1, keep=3)``: six steps of a small method, saved every second step."""

    def make(name: str, workers: int = 0, trainer: Any = None, probes: int = 3, **safety: Any) -> RunConfig:
        own = {k: v for k, v in EXTRA[name].items() if not k.startswith("num_")}
        if "negatives" in own:
            own["negatives"] = 5
        if name == "cma":
            own["renew_steps"] = 2
        optim = {"name": "adamw", "lr": 1e-3, "warmup": 0.3, "schedule": "cosine"}
        return RunConfig(
            method={"name": name, **SMALL, **own, "optim": optim},
            data={
                "name": "clips",
                "batch_size": 4,
                "num_workers": workers,
                "decode_size": 32,
                "threads": 1,
            },
            budget=Budget(steps=STEPS),
            evaluation=Evaluation(protocols=(), clips=1, probes=probes),
            trainer={"accelerator": "cpu", **(trainer or {})},
            safety=Safety(**{"checkpoint_every": "steps=2", **safety}),
        )

    return make


@pytest.fixture(autouse=True)
def _collapse_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """In trainings of a few steps too, and within an epoch: at the first step after three."""
    size, _, *more = Collapse.__init__.__defaults__
    monkeypatch.setattr(Collapse.__init__, "__defaults__", (size, 4, *more))


@pytest.fixture(scope="session")
def undisturbed(clips: Manifest, config_of: Config, tmp_path_factory) -> Callable[[str], Path]:
    """``undisturbed("avid")``: the folder ``whole`` of a run, beside its photographs ``3`` and ``5``."""

    @cache
    def run(name: str) -> Path:
        copies = tmp_path_factory.mktemp(name)
        execute(
            config_of(name), clips, copies / "whole", callbacks=[Photograph(copies / "whole", copies, (3, 5))]
        )
        return copies

    return run


def same(a: Any, b: Any) -> bool:
    """To the last bit, however nested."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


@pytest.fixture
def state_of() -> Callable[[Path], dict[str, Any]]:
    """What a run's last checkpoint holds, without the clock and the note of where it was resumed."""

    def read(folder: Path) -> dict[str, Any]:
        found = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
        del found["callbacks"]["Accounting"]["seconds"], found["callbacks"]["Checkpoints"]["resumed_at"]
        del found["loops"]
        return found

    return read


@pytest.fixture
def alike() -> Callable[[dict[str, Any], dict[str, Any]], list[str]]:
    """The parts in which two checkpoints differ."""

    def compare(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
        assert a.keys() == b.keys()
        parts = {k for k in a if k not in ("callbacks", "state_dict") and not same(a[k], b[k])}
        for group in ("callbacks", "state_dict"):
            parts |= {f"{group}.{k}" for k in a[group] if not same(a[group][k], b[group].get(k))}
        return sorted(parts)

    return compare
