"""Every row of every ablation suite trains; one suite is run whole, to the paper's table beside ours."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from ssl_av.bench import report
from ssl_av.bench.records import load_records, row_name
from ssl_av.bench.running import launch
from ssl_av.bench.suite import load_suite
from ssl_av.cli import run
from ssl_av.config import RunConfig
from ssl_av.data import once
from ssl_av.data.manifest import Manifest
from ssl_av.methods.base import Method
from ssl_av.options import list_configs
from ssl_av.recipes import load_recipe
from ssl_av.runs.run import build_method, execute
from ssl_av.training.flops import meta_batch

ABLATIONS = sorted(name for name in list_configs("suites") if name.startswith(("ablation-", "paper-")))
#: run whole; of the others only the batches and the results are made up
WHOLE = ("ablation-avid-table1",)
TOY = ["--shrink", "--budget", "steps=1", "--data.train", "12"]
#: a step at the papers' rates, for batches of 512, can take networks of 8 channels to infinity
FAST = ("stica", "brave")
ALL: list[Any] = [
    name if name in WHOLE else pytest.param(name, id=f"{name}, on made-up batches") for name in ABLATIONS
]


def a_step(config: RunConfig, manifest: Manifest) -> dict[str, Any]:
    """A record of a run whose networks, loss and optimiser are real; its batch and its results are made up."""
    pl.seed_everything(0, verbose=False)
    method = build_method(config, manifest)
    if method.trains:
        batch = {n: torch.randn(t.shape) for n, t in meta_batch(method, 4).items()}
        before = {m: [p.detach().clone() for p in net.parameters()] for m, net in method.backbones.items()}
        step(method, {**batch, "index": torch.arange(4), "label": torch.arange(4) % 2})
        for modality, old in before.items():
            new = list(method.net(modality).parameters())
            assert all(bool(torch.isfinite(p).all()) for p in new)
            assert any(not torch.equal(p, q) for p, q in zip(old, new, strict=True)), (
                f"{modality} has learned"
            )
    draw = np.random.default_rng(len(json.dumps(config.to_dict())))
    found = {side: {"top1": float(draw.uniform())} for side in method.backbones}
    return {
        "method": method.name, "seed": config.seed, "suite": config.suite, "recipe": config.recipe,
        "status": "completed", "error": None, "row": config.row,
        "results": {"linear-svm": found}, "cost": {"total_seconds": 1.0},
        "budget": {"asked": config.budget.asked(), "spent": {"steps": 1}},
    }  # fmt: skip


def step(method: Method, batch: dict[str, Any]) -> None:
    """One step by Lightning, on views that need no transform."""
    method.transform_batch = lambda batch: batch  # type: ignore[method-assign]
    off = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    trainer = pl.Trainer(max_steps=1, accelerator="cpu", **off)  # type: ignore[arg-type]
    trainer.fit(method, DataLoader([batch], batch_size=None))
    assert trainer.global_step == 1
    assert math.isfinite(float(trainer.callback_metrics["loss"]))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Runs in this process, and a run that several suites have only once; no figures."""
    done: dict[str, dict[str, Any]] = {}

    def one(config: RunConfig, manifest: Path, out: Path, *_: Any) -> dict[str, Any]:
        whole = config.suite.removesuffix("-shrunk") in WHOLE
        key = json.dumps({**config.to_dict(), "suite": whole, "row": ""})
        if key not in done:
            data = Manifest.load(manifest)
            done[key] = execute(config, data, out) if whole else a_step(config, data)
        record = {**done[key], "suite": config.suite, "row": config.row}
        return record if config.row else {k: v for k, v in record.items() if k != "row"}

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_AV_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(launch, "run_in_process", one)
        patch.setattr(report, "PLOTS", {})
        # tests/data/test_once.py makes it; batches that are made up need none
        patch.setattr(once, "_make_missing_flow", lambda *_: None)
        yield


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Experiment logs directory", "ignore:.*does not have many workers")
@pytest.mark.parametrize("name", ALL)
def test_an_ablation_runs_shrunk(name: str, here: None, tmp_path: Path):
    """From the command line to the report: all of its rows."""
    out, suite = tmp_path / "suite", load_suite(name)
    rows = list(suite.rows.values())
    slowly = [
        w for m in FAST if any(r.method == m for r in rows) for w in (f"--methods.{m}.optim.lr", "0.001")
    ]
    assert run(["bench", "--suite", name, *TOY, *slowly, "--out", str(out)]) == 0
    records = {row_name(r): r for r in load_records(out)}
    assert set(records) == {*suite.references, *(row.name for row in rows)}
    assert {r["status"] for r in records.values()} == {"completed"}
    for row in rows:
        assert records[row.name]["method"] == row.method
        assert records[row.name]["recipe"] == row.recipe
        measured = records[row.name]["results"]["linear-svm"]
        assert measured.keys() >= set(load_recipe(row.recipe).modalities)
        assert all(0 <= numbers["top1"] <= 1 for numbers in measured.values())
    text = (out / "report.md").read_text(encoding="utf-8")
    assert f"## {suite.paper['table']}, beside ours" in text
    for row in rows:
        assert f"| {row.label} " in text


def test_the_words_of_bench_about_rows(ssl_av, tmp_path: Path):
    listed = ssl_av("list", "suites")
    assert listed.returncode == 0
    for name in (*ABLATIONS, "tiny", "small", "paper-k400", "paper-audioset"):
        assert name in listed.stdout
    bad = ssl_av("bench", "--suite", "ablation-avid-table1", "--shrink", "--methods", "jont")
    assert bad.returncode == 2
    assert "unknown row or method 'jont'; did you mean joint" in bad.stderr
    none = ssl_av("bench", "--suite", "tiny", "--shrink")
    assert none.returncode == 2
    assert "has no rows that are recipes" in none.stderr
    assert not (tmp_path / "runs").exists()
