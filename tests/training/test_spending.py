"""Runs on a few rendered clips: what a budget buys each method, and where it ends."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl

from ssl_av.config import RunConfig
from ssl_av.data.manifest import Manifest
from ssl_av.data.prepare import prepare_manifest
from ssl_av.quiet import quiet
from ssl_av.resolve import resolve_suite
from ssl_av.runs.run import build_method, execute
from ssl_av.training import accounting
from ssl_av.training.resume import last_checkpoint
from ssl_av.training.spending import Plan

DATA = {"train": 24, "val": 8, "test": 8, "batch_size": 8, "num_workers": 0, "pack": "none"}
SIZES = {
    "inputs": {"frames": 4, "size": 24},
    "networks": {"video_args": {"width": 4}, "audio_args": {"width": 4}},
    "evaluation": {"protocols": [], "probes": 0},
    "methods": {
        "avid": {"negatives": 8, "hidden": 16},
        "cma": {"negatives": 8, "positives": 2, "hidden": 16},
    },
}
Run = Callable[..., RunConfig]


@pytest.fixture(scope="module")
def run() -> Run:
    """``run("avid", "steps=3")`` is a run of seconds."""

    def config(method: str, budget: str, **own: Any) -> RunConfig:
        suite = resolve_suite("tiny", None, dict(DATA), {**SIZES, "budget": budget})
        found = suite.run_config(method, 0)
        return dataclasses.replace(found, method={**found.method, **own})

    return config


@pytest.fixture(scope="module")
def manifest(run: Run, tmp_path_factory: pytest.TempPathFactory):
    """The clips, rendered once."""
    quiet()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_AV_CACHE", str(tmp_path_factory.mktemp("cache")))
        config = run("avid", "steps=1")
        yield prepare_manifest(config.data["name"], config.dataset_args, config.loading, progress=False)


def test_the_same_samples_are_the_same_steps_and_the_same_flops_are_not(
    run: Run, manifest: Manifest, tmp_path: Path
):
    def plan(method: str, budget: str) -> Plan:
        return Plan.of(
            config := run(method, budget),
            partial(build_method, config, manifest),
            len(manifest.split("train")),
            True,
        )

    methods = ("avid", "brave", "crisscross")
    by_samples = {m: plan(m, "samples=36") for m in methods}
    assert {m: p.steps for m, p in by_samples.items()} == dict.fromkeys(methods, 4), "no fifth batch of 8"
    each = {m: p.flops or 0 for m, p in by_samples.items()}
    # room for six steps of AVID, and nearly for a seventh
    budget = 6.9 * each["avid"]
    steps = {m: plan(m, f"flops={budget}").steps for m in methods}
    assert steps == {m: int(budget // each[m]) for m in methods}
    assert steps["avid"] == 6
    assert steps["crisscross"] == 3, "twice the views, half of the steps"
    assert (steps["brave"] or 9) < 6, "its sound is longer and its heads are wider"

    record = execute(run("crisscross", f"flops={budget}"), manifest, tmp_path)
    spent = record["budget"]["spent"]
    assert (spent["steps"], spent["samples"], spent["clips"]) == (3, 24, 4 * 24)
    assert spent["flops"] == 3 * record["cost"]["flops_per_step"] == 3 * each["crisscross"]
    assert spent["flops"] <= budget < spent["flops"] + each["crisscross"]


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock on which every action of the training takes a second: a step has five."""
    seconds = itertools.count()
    monkeypatch.setattr(accounting, "time", SimpleNamespace(perf_counter=lambda: float(next(seconds))))


def test_minutes_end_with_the_step_and_two_stages_share_them(
    run: Run, manifest: Manifest, tmp_path: Path, ticking: None
):
    record = execute(run("cma", "minutes=1"), manifest, tmp_path)
    spent = record["budget"]["spent"]
    assert (spent["steps"], spent["samples"], spent["seconds"]) == (12, 96, 60.0)
    assert record["stages"] == [
        {"name": "avid", "steps": 6, "samples": 48}, {"name": "cma", "steps": 6, "samples": 48},
    ]  # fmt: skip
    assert spent["gpu_hours"] is None
    assert spent["flops"] == 12 * record["cost"]["flops_per_step"]


class Kill(pl.Callback):
    """Ends a training in its seventh step."""

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == 6:
            raise RuntimeError("killed")


def test_a_run_of_minutes_that_was_killed_ends_where_it_would_have_ended(
    run: Run, manifest: Manifest, tmp_path: Path, ticking: None
):
    config = run("avid", "minutes=1")
    with pytest.raises(RuntimeError, match="killed"):
        execute(config, manifest, tmp_path, callbacks=[Kill()])
    record = execute(config, manifest, tmp_path, resume=last_checkpoint(tmp_path))
    spent = record["budget"]["spent"]
    assert (spent["steps"], spent["samples"], spent["seconds"]) == (12, 96, 60.0)
    assert [step for step, _ in record["curves"]["loss"]] == list(range(1, 13))


def test_accumulated_batches_are_one_step(run: Run, manifest: Manifest, tmp_path: Path):
    config = dataclasses.replace(run("avid", "samples=50"), trainer={"accumulate_grad_batches": 3})
    record = execute(config, manifest, tmp_path)
    spent = record["budget"]["spent"]
    assert (spent["steps"], spent["samples"]) == (2, 48)
    assert spent["flops"] == 2 * record["cost"]["flops_per_step"]


def test_an_untrained_network_spends_nothing(run: Run, manifest: Manifest, tmp_path: Path):
    record = execute(run("random", "flops=1e12"), manifest, tmp_path)
    spent = record["budget"]["spent"]
    assert {k: v for k, v in spent.items() if v} == {}
    assert record["cost"]["flops_per_step"] is None
