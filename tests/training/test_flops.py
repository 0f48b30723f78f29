"""The operations that are counted are those of a step."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from ssl_av.config import merge
from ssl_av.methods import create_method
from ssl_av.training import flops
from ssl_av.training.flops import meta_batch, step_flops

SMALL = {
    "inputs": {"frames": 4, "size": 32, "front_end": "small", "audio_seconds": 1.0},
    "networks": {
        "video": "r2plus1d_10", "video_args": {"width": 8}, "audio": "resnet9_audio", "audio_args": {"width": 8},
    },
}  # fmt: skip
OWN: dict[str, dict[str, Any]] = {
    "brave": {"hidden": 64, "broad_seconds": 1.0},
    "stica": {
        "crops": {"medium_space": [1, 1], "medium_time": [1, 1], "small_space": [1, 1], "small_time": [1, 1]}
    },
    "crisscross": {"projector": 32, "predictor": 32, "inputs": {"augment": "avid"}},
    "avid": {"negatives": 8, "num_samples": 32, "hidden": 32},
    "cma": {"negatives": 8, "positives": 2, "num_samples": 32},
    "supervised": {"num_classes": 3},
}


def make(name: str) -> Any:
    return create_method(name, **merge(SMALL, OWN[name]))


@pytest.mark.parametrize("name", OWN)
def test_the_count_is_that_of_a_real_step_but_for_the_loss(name: str):
    """A forward, a loss and a backward on numbers, under torch's counter: the loss is a hundredth at most."""
    counted = step_flops(lambda: make(name), 4)
    method = make(name).train()
    method.log = lambda *args, **kw: None
    batch = {n: torch.randn(t.shape) for n, t in meta_batch(method, 4).items()}
    batch |= {"index": torch.arange(4), "label": torch.arange(4) % 3}
    with FlopCounterMode(display=False) as counter:
        method.loss(method(batch), batch)["loss"].backward()
    assert counted is not None
    assert counter.get_total_flops() == pytest.approx(counted, rel=0.01)


def test_norms_by_their_shapes_cost_and_keep_what_torchs_own_do(monkeypatch):
    def counted() -> tuple[int, list[int]]:
        with torch.device("meta"):
            method = make("crisscross").train()
        return flops.one_step(method, meta_batch(method, 4))

    ours = counted()
    monkeypatch.setattr(flops, "_NormsByShape", contextlib.nullcontext)
    assert ours == counted()


def test_counting_draws_no_random_number():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    step_flops(lambda: make("avid"), 4)
    assert torch.equal(torch.get_rng_state(), before)


def test_two_views_of_each_modality_cost_twice_what_one_does():
    one, two = step_flops(lambda: make("avid"), 4), step_flops(lambda: make("crisscross"), 4)
    assert one is not None
    assert two == pytest.approx(2 * one, rel=0.05)


def test_a_method_that_decides_on_values_cannot_be_counted(monkeypatch):
    from ssl_av.methods.avid import AVID

    def forward(self: Any, batch: Any) -> Any:
        return {"video": batch["video"] * batch["video"].max().item()}

    monkeypatch.setattr(AVID, "forward", forward)
    assert step_flops(lambda: make("avid"), 4) is None
