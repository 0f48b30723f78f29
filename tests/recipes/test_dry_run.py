"""`ssl-av fit --dry-run`: every recipe, and what the numbers mean."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from ssl_av.cli import run
from ssl_av.config import RunConfig
from ssl_av.errors import UserError
from ssl_av.recipes import load_recipe, recipe_names
from ssl_av.runs import cost
from ssl_av.runs.cost import Cost, measure
from ssl_av.runs.dry_run import training_samples

Resolve = Callable[..., RunConfig]
#: forward and backward of one video in 10⁹ operations, counted by hand or from the papers: STiCA's table 1d has
#: 77.7 GFLOPS (multiplications) for the cross-modal forward; 10⁶ parameters of all networks
KNOWN = {"stica/cross": (2 * 3 * 77.7, 37.2), "stica/cross-transformer": (2 * 3 * 77.8, 42.4)}


@pytest.fixture(scope="module")
def once() -> Callable[..., Any]:
    """One step for recipes whose networks and views are the same: two seconds each."""
    real, seen = cost.one_step, {}

    def step(method: Any, batch: dict[str, torch.Tensor]) -> Any:
        networks = [(n, p.shape) for n, p in method.named_parameters()]
        key = repr(
            (method.name, networks, {n: t.shape for n, t in batch.items()}, method.settings.get("terms"))
        )
        if key not in seen:
            seen[key] = real(method, batch)
        return seen[key]

    return step


@pytest.mark.slow
@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_can_be_built_and_counted(name: str, resolved: Resolve, once, monkeypatch):
    monkeypatch.setattr(cost, "one_step", once)
    config, recipe = resolved(name), load_recipe(name)
    assert config.recipe == name
    found = measure(config, training_samples(config, recipe))
    assert found.parameters["total"] > 4e6
    assert found.steps > 1000
    assert found.samples == found.steps * found.batch_size
    assert found.flops > 1e9 * found.batch_size
    assert found.memory(64) < found.memory(8) < found.memory()
    assert 1 < found.hours(10) < 1e6
    if name in KNOWN:
        giga, millions = KNOWN[name]
        assert found.flops / found.batch_size / 1e9 == pytest.approx(giga, rel=0.02)
        assert found.parameters["total"] / 1e6 == pytest.approx(millions, rel=0.01)


def test_a_step_is_counted_as_by_hand():
    """One convolution's worth of network would do, but the networks are the methods': AVID's heads are plain layers."""
    small = RunConfig(
        method={
            "name": "avid", "dim": 4, "hidden": 6, "inputs": {"frames": 4, "size": 32, "front_end": "small"},
            "networks": {
                "video": "r2plus1d_10", "video_args": {"width": 4}, "audio": "conv9_audio", "audio_args": {"width": 4},
            },
        },
        data={"name": "synthav", "batch_size": 8, "num_workers": 0},
        budget=load_budget(samples=100),
    )  # fmt: skip
    eight = measure(small, 50)
    assert (eight.steps, eight.samples, eight.batch_size) == (12, 96, 8)
    assert eight.parameters["projectors.video"] == 32 * 6 + 6 + 6 * 6 + 6 + 6 * 4 + 4
    assert sum(v for k, v in eight.parameters.items() if k != "total") == eight.parameters["total"]
    assert eight.state == 2 * 4 * eight.parameters["total"], "Adam keeps two values"
    four = measure(RunConfig(small.method, {**small.data, "batch_size": 4}, small.budget), 50)
    assert eight.flops == 2 * four.flops
    assert eight.activations == pytest.approx(2 * four.activations, rel=0.01)
    gathered = measure(replace(small, trainer={"accumulate_grad_batches": 2}), 50)
    assert (gathered.steps, gathered.samples, gathered.batch_size) == (6, 96, 16)
    assert (gathered.flops, gathered.activations) == (2 * eight.flops, eight.activations)
    # the memory bank: two modalities × 50 rows × 4 floats more for 50 more samples
    more = measure(small, 100)
    assert more.buffers - eight.buffers == 2 * 50 * 4 * 4


def load_budget(**units: int) -> Any:
    from ssl_av.config import Budget

    return Budget(**units)


def test_the_meta_device_counts_what_a_real_step_does():
    """The bytes that autograd keeps and the operations, on the CPU and on the meta device."""
    from ssl_av.methods import create_method

    def make() -> Any:
        return create_method(
            "avid", dim=4, hidden=6, inputs={"frames": 4, "size": 32, "front_end": "small"}, num_samples=9,
            networks={"video": "r2plus1d_10", "video_args": {"width": 4}, "audio_args": {"width": 4}},
        ).train()  # fmt: skip

    real = make()
    with torch.device("meta"):
        meta = make()
    shapes = {"video": (3, 3, 4, 32, 32), "audio": (3, 1, 60, 64)}
    flops, kept = cost.one_step(real, {n: torch.randn(s) for n, s in shapes.items()})
    same, kept_there = cost.one_step(meta, {n: torch.empty(s, device="meta") for n, s in shapes.items()})
    assert flops == same
    assert sum(kept_there) == pytest.approx(sum(kept), rel=0.05)


def test_a_budget_of_minutes_is_known_in_time_and_guessed_in_steps(capsys: pytest.CaptureFixture[str]):
    cost = Cost(
        parameters={"total": 10}, buffers=0, samples=None, steps=None, batch_size=10, flops=36 * 10**12, activations=1,
        largest=1, state=0, mixed=False, minutes=3.0,
    )  # fmt: skip
    guessed = cost.by_the_clock(0.5)
    assert (guessed.steps, guessed.samples) == (360, 3600)
    assert guessed.by_the_clock(9.0) is guessed, "what is counted stays"
    assert cost.by_the_clock(36.0).hours(1.0) == pytest.approx(0.05), "three minutes"
    words = ["--budget", "minutes=3", "--tflops", "2", "--method.inputs.size", "32"]
    assert run(["fit", "--method", "crisscross", "--dry-run", *words]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert re.search(r"steps about [\d,]+ of 32 videos, at 2 TFLOP/s sustained \(--tflops\): known only", out)
    assert "GPU-hours 0.05 at 2 TFLOP/s" in out


def test_memory_and_hours_are_what_they_are_said_to_be():
    found = Cost(
        parameters={"total": 10}, buffers=3, samples=20, steps=2, batch_size=10, flops=36 * 10**14, activations=1000,
        largest=100, state=80, mixed=False,
    )  # fmt: skip
    assert found.memory() == 8 * 10 + 80 + 3 + 1000 + 200
    assert found.memory(devices=4) == 8 * 10 + 80 + 3 + 300
    assert found.hours(1.0) == pytest.approx(2.0)
    assert found.hours(10.0) == pytest.approx(0.2)


def test_it_says_what_matters_without_data_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    words = ["--method.inputs.size", "64", "--data.batch_size", "24", "--devices", "8", "--tflops", "5"]
    assert run(["fit", "--recipe", "avid/kinetics400", "--dry-run", *words]) == 0
    out = capsys.readouterr().out
    assert "recipe: avid/kinetics400" in out
    assert "AVID, tables 2, 3, 4: Cross-AVID, Kinetics" in out
    assert "video 3 × 8 × 64 × 64" in out
    assert "backbones.video 15,379,136" in out
    assert "3,000,000 of 24 videos" in out
    assert "each of 8 GPUs" in out
    assert "5 TFLOP/s" in out
    assert not list(tmp_path.iterdir())
    assert run(["fit", "--method", "crisscross", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "480 videos" in out
    assert "300 of 32 videos" in out


def test_the_size_of_the_training_split_is_the_papers_or_what_is_listed(resolved: Resolve, tmp_path):
    recipe = load_recipe("avid/analysis-cross")
    assert training_samples(resolved("avid/analysis-cross"), recipe) == 100_000
    assert training_samples(resolved("avid/analysis-cross"), None) == 1_800_000
    other = resolved("avid/analysis-cross", "--data", "kinetics600")
    assert training_samples(other, recipe) == 362_000
    small = resolved("avid/analysis-cross", "--data", "synthav", "--data.train", "24")
    assert training_samples(small, recipe) == 24
    table = tmp_path / "mine.csv"
    table.write_text("path,split\n" + "".join(f"{i}.mp4,{'train' if i < 7 else 'test'}\n" for i in range(9)))
    mine = resolved(
        "avid/analysis-cross", "--data", "csv", "--data.file", str(table), "--data.root", str(tmp_path)
    )
    assert training_samples(mine, recipe) == 7


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--recipe", "avid/kinetics40", "--dry-run"], "did you mean avid/kinetics400"),
        (["--recipe", "avid/kinetics400", "--dry-run", "--tflops", "0"], "above 0"),
        (["--recipe", "avid/kinetics400", "--dry-run", "--devices", "0"], "at least 1"),
        (["--recipe", "avid/kinetics400", "--method", "brave", "--dry-run"], "is of avid, not of brave"),
        (["--recipe", "avid/kinetics400", "--suite", "tiny"], "give one of them"),
        (["--recipe", "avid/kinetics400", "--method.negative", "3"], "did you mean --method.negatives"),
        (["--method", "avid", "--shrink"], "give --recipe"),
        (["--method", "avid", "--data", "csv", "--dry-run"], "needs --data.file"),
    ],
)
def test_mistakes_are_said_in_one_line(words, said):
    with pytest.raises(UserError, match=said) as error:
        run(["fit", *words])
    assert "\n" not in str(error.value)
