"""Every paper's schedule: the rates of every step against its code's own formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ssl_av.methods.settings import Optim
from ssl_av.optim import create_optimizer, schedule

EPOCH = 7


def rates_of(settings: Optim, epochs: int) -> dict[str, list[float]]:
    """The rate of each parameter group at each step of a training."""
    body, head = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    made = create_optimizer(settings, nn.ModuleList([body, head]), [head], epochs * EPOCH, EPOCH)
    optimizer, scheduler = made["optimizer"], made["lr_scheduler"]["scheduler"]
    found: dict[str, list[float]] = {g["name"]: [] for g in optimizer.param_groups}
    for _ in range(epochs * EPOCH):
        for group in optimizer.param_groups:
            found[group["name"]].append(group["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_crisscross() -> None:
    """2 epochs from 0, in linspace; cosine from 2e-4 to 1e-4; the predictor constant at 2e-3 (its code, K400)."""
    found = rates_of(
        Optim(
            name="larc", lr=2e-4, weight_decay=1e-4, decay_all=True, warmup="2 epochs", warmup_start=0.0,
            warmup_inclusive=True, schedule="cosine", end=0.5, predictor_scale=10, predictor_constant=True,
        ),
        epochs=20,
    )  # fmt: skip
    decay = 18 * EPOCH
    cosine = 1e-4 + 0.5 * 1e-4 * (1 + np.cos(np.pi * np.arange(decay) / decay))
    np.testing.assert_allclose(
        found["base"], np.concatenate([np.linspace(0, 2e-4, 2 * EPOCH), cosine]), rtol=1e-10
    )
    np.testing.assert_allclose(found["predictor"], np.full(20 * EPOCH, 2e-3), rtol=1e-10)


def test_stica() -> None:
    """10 epochs from 0.01 to 0.64 in linspace, then constant (its code)."""
    found = rates_of(
        Optim(
            name="sgd", lr=0.64, weight_decay=1e-5, decay_all=True, warmup="10 epochs", warmup_start=0.01 / 0.64,
            warmup_inclusive=True,
        ),
        epochs=20,
    )  # fmt: skip
    expected = np.concatenate([np.linspace(0.01, 0.64, 10 * EPOCH), np.full(10 * EPOCH, 0.64)])
    np.testing.assert_allclose(found["base"], expected, rtol=1e-10)


def test_brave() -> None:
    """Linear from 0 in steps, cosine to 0 at the end, the predictor ten times that (BraVe A.1; its code)."""
    found = rates_of(
        Optim(
            name="lars", lr=4.8, weight_decay=0.01, warmup="5 steps", warmup_start=0.0, schedule="cosine",
            predictor_scale=10, lr_in_momentum=True,
        ),
        epochs=20,
    )  # fmt: skip
    s = np.arange(20 * EPOCH)
    cosine = 0.5 * (1 + np.cos(np.pi * (s - 5) / (20 * EPOCH - 5)))
    expected = 4.8 * np.where(s < 5, s / 5, cosine)
    np.testing.assert_allclose(found["base"], expected, rtol=1e-10)
    np.testing.assert_allclose(found["predictor"], 10 * expected, rtol=1e-10)


def test_avid() -> None:
    """Constant."""
    found = rates_of(Optim(name="adam", lr=2e-4, weight_decay=1e-5, decay_all=True), epochs=3)
    np.testing.assert_allclose(found["base"], np.full(3 * EPOCH, 2e-4))


@pytest.mark.parametrize("milestones", [("6 epochs", "10 epochs"), ("42 steps", "70 steps"), (0.5, 10 / 12)])
def test_multistep_is_torchs(milestones: tuple[float | str, ...]) -> None:
    """× 0.05 after 6 and 10 of 12 epochs (STiCA §4.3)."""
    found = rates_of(
        Optim(name="sgd", lr=0.02, schedule="multistep", milestones=milestones, gamma=0.05), epochs=12
    )
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.02)
    theirs = torch.optim.lr_scheduler.MultiStepLR(optimizer, [6 * EPOCH, 10 * EPOCH], gamma=0.05)
    expected = []
    for _ in range(12 * EPOCH):
        expected.append(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()
    np.testing.assert_allclose(found["base"], expected, rtol=1e-10)


def test_the_first_and_the_last_steps_of_each_form_of_warm_up() -> None:
    def rise(**form: Any) -> list[float]:
        return [schedule("constant", s, 100, "4 steps", **form) for s in range(6)]

    assert rise() == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])
    assert rise(inclusive=True) == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])
    assert rise(start=0.0) == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1])
    assert rise(start=0.1, inclusive=True) == pytest.approx([0.1, 0.4, 0.7, 1, 1, 1])
    assert rise(start=1.0) == [1] * 6
