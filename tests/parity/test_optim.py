"""Several steps of LARS and LARC against arithmetic in numpy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from ssl_av.methods.settings import Optim
from ssl_av.optim import LARC, LARS, create_optimizer

Array = NDArray[np.float64]
#: a network's tensors: weights, a bias, one that starts at zero
SHAPES = ((6, 4), (4,), (2, 3, 3), (5,))


def tensors(seed: int) -> list[Array]:
    rng = np.random.default_rng(seed)
    values = [rng.standard_normal(shape) for shape in SHAPES]
    if seed == 0:
        values[3][:] = 0.0
    return values


def gradients(steps: int) -> Iterator[list[Array]]:
    """Of all sizes, and one that is zero."""
    for k in range(steps):
        grads = [10.0 ** (k % 3 - 1) * g for g in tensors(100 + k)]
        if k == 2:
            grads[2][:] = 0.0
        yield grads


def lars_in_numpy(
    weights: list[Array], steps: list[list[Array]], rates: Sequence[float], *, decay: float = 0.0,
    momentum: float = 0.9, trust: float = 0.001, nesterov: bool = True, adapt: bool = True, inside: bool = False,
) -> list[Array]:  # fmt: skip
    """d = g + β w; d ← η ‖w‖/‖d‖ d; v ← m v + (γ) d; w ← w - (γ) v, or of d + m v."""
    weights = [w.copy() for w in weights]
    velocity = [np.zeros_like(w) for w in weights]
    for grads, rate in zip(steps, rates, strict=True):
        for i, g in enumerate(grads):
            d = g + decay * weights[i]
            w_norm, d_norm = np.sqrt((weights[i] ** 2).sum()), np.sqrt((d**2).sum())
            if adapt and w_norm > 0 and d_norm > 0:
                d = d * trust * w_norm / d_norm
            if inside:
                d = rate * d
            velocity[i] = momentum * velocity[i] + d
            move = d + momentum * velocity[i] if nesterov else velocity[i]
            weights[i] = weights[i] - (move if inside else rate * move)
    return weights


def larc_in_numpy(
    weights: list[Array], steps: list[list[Array]], rates: Sequence[float], *, decay: float = 0.0,
    trust: float = 0.001, clip: bool = True, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
) -> list[Array]:  # fmt: skip
    """apex's LARC, then Adam (Kingma and Ba, algorithm 1)."""
    weights = [w.copy() for w in weights]
    first, second = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]
    for t, (grads, rate) in enumerate(zip(steps, rates, strict=True), start=1):
        for i, g in enumerate(grads):
            w_norm, g_norm = np.sqrt((weights[i] ** 2).sum()), np.sqrt((g**2).sum())
            if w_norm != 0 and g_norm != 0:
                local = trust * w_norm / (g_norm + w_norm * decay + 1e-8)
                if clip:
                    local = min(local / rate, 1)
                g = (g + decay * weights[i]) * local
            first[i] = betas[0] * first[i] + (1 - betas[0]) * g
            second[i] = betas[1] * second[i] + (1 - betas[1]) * g**2
            m, v = first[i] / (1 - betas[0] ** t), second[i] / (1 - betas[1] ** t)
            weights[i] = weights[i] - rate * m / (np.sqrt(v) + eps)
    return weights


def run(
    make: Callable[[list[nn.Parameter]], torch.optim.Optimizer],
    steps: list[list[Array]],
    rates: Sequence[float],
) -> list[Array]:
    """The same steps with an optimiser."""
    params = [nn.Parameter(torch.from_numpy(w)) for w in tensors(0)]
    optimizer = make(params)
    for grads, rate in zip(steps, rates, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = rate
        for p, g in zip(params, grads, strict=True):
            p.grad = torch.from_numpy(g.copy())
        optimizer.step()
    return [p.detach().numpy() for p in params]


def close(got: list[Array], expected: list[Array], rtol: float = 1e-10) -> None:
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * 1e-2)


CONSTANT, CHANGING = [0.3] * 8, [0.1, 0.2, 0.3, 0.3, 0.25, 0.2, 0.1, 0.05]


@pytest.mark.parametrize("rates", [CONSTANT, CHANGING])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"weight_decay": 0.01},
        {"weight_decay": 0.5, "nesterov": False},
        {"momentum": 0.5, "trust": 0.02},
        {"weight_decay": 0.01, "adapt": False},
        {"weight_decay": 0.01, "lr_in_momentum": True},
        {"weight_decay": 0.01, "lr_in_momentum": True, "nesterov": False},
    ],
)
def test_lars(settings: dict[str, Any], rates: list[float]) -> None:
    steps = list(gradients(8))
    names = {"weight_decay": "decay", "lr_in_momentum": "inside"}
    expected = lars_in_numpy(tensors(0), steps, rates, **{names.get(k, k): v for k, v in settings.items()})
    close(run(lambda params: LARS(params, lr=1.0, **settings), steps, rates), expected)


def test_the_rate_inside_the_momentum_matters_only_where_it_changes() -> None:
    steps = list(gradients(8))
    for rates, equal in ((CONSTANT, True), (CHANGING, False)):
        inside = lars_in_numpy(tensors(0), steps, rates, inside=True)[0]
        assert np.allclose(inside, lars_in_numpy(tensors(0), steps, rates)[0], rtol=1e-9) is equal


def test_without_decay_lars_is_timms() -> None:
    """With decay it is not: timm divides by ‖g‖ + β‖w‖, BYOL and BraVe by ‖g + βw‖."""
    from timm.optim import Lars

    steps = list(gradients(8))
    for decay in (0.0, 0.1):
        ours = run(lambda params, wd=decay: LARS(params, lr=1.0, weight_decay=wd), steps, CHANGING)
        theirs = run(
            lambda params, wd=decay: Lars(
                params, momentum=0.9, nesterov=True, weight_decay=wd, always_adapt=True
            ),
            steps,
            CHANGING,
        )
        same = all(np.allclose(a, b, rtol=1e-6, atol=0) for a, b in zip(ours, theirs, strict=True))
        assert same is (decay == 0)


@pytest.mark.parametrize("rates", [[0.01] * 8, [r / 100 for r in CHANGING]])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"weight_decay": 1e-4},
        {"weight_decay": 0.5},
        {"weight_decay": 0.1, "trust": 0.1},  # here it clips
        {"weight_decay": 0.1, "clip": False},
        {"betas": (0.8, 0.95), "eps": 1e-3},
    ],
)
def test_larc(settings: dict[str, Any], rates: list[float]) -> None:
    steps = list(gradients(8))
    expected = larc_in_numpy(
        tensors(0), steps, rates, **{{"weight_decay": "decay"}.get(k, k): v for k, v in settings.items()}
    )
    close(run(lambda params: LARC(params, **settings), steps, rates), expected, rtol=1e-9)


@pytest.mark.parametrize("kind", [LARS, LARC])
def test_neighbours_and_types_do_not_matter(kind: type[torch.optim.Optimizer]) -> None:
    """Tensors are updated in lists, cut where a CPU's cache ends: each on its own gives the same."""
    generator = torch.Generator().manual_seed(0)
    shapes, types = [(300, 500), (7,), (600, 500), (3, 3), (2**18 + 1,)], [torch.float32, torch.float64]
    start = [torch.randn(s, generator=generator).to(t) for t in types for s in shapes]
    grads = [[torch.randn(p.shape, generator=generator).to(p.dtype) for p in start] for _ in range(3)]
    together, alone = ([nn.Parameter(p.clone()) for p in start] for _ in range(2))
    optimizers = [kind(together, lr=0.1, weight_decay=0.01)]  # type: ignore[call-arg]
    optimizers += [kind([p], lr=0.1, weight_decay=0.01) for p in alone]  # type: ignore[call-arg]
    for step in grads:
        for params in (together, alone):
            for p, g in zip(params, step, strict=True):
                p.grad = g.clone()
        for optimizer in optimizers:
            optimizer.step()
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)


def test_a_whole_training_as_brave_states_it() -> None:
    """Weights adapted and decayed, biases neither, the predictor ten times as fast, all on the schedule."""
    torch.manual_seed(0)
    body, head = nn.Linear(3, 4).double(), nn.Linear(4, 2).double()
    settings = Optim(
        name="lars", lr=1.0, weight_decay=0.01, warmup="3 steps", warmup_start=0.0, schedule="cosine",
        predictor_scale=10, lr_in_momentum=True,
    )  # fmt: skip
    made = create_optimizer(settings, nn.ModuleList([body, head]), [head], total_steps=10)
    optimizer, scheduler = made["optimizer"], made["lr_scheduler"]["scheduler"]
    params = [body.weight, body.bias, head.weight, head.bias]
    start = [p.detach().numpy().copy() for p in params]
    rng = np.random.default_rng(1)
    steps = [[rng.standard_normal(tuple(p.shape)) for p in params] for _ in range(10)]
    for grads in steps:
        for p, g in zip(params, grads, strict=True):
            p.grad = torch.from_numpy(g)
        optimizer.step()
        scheduler.step()
    rates = [s / 3 if s < 3 else 0.5 * (1 + np.cos(np.pi * (s - 3) / 7)) for s in range(10)]
    for i, p in enumerate(params):
        scaled = [(10 if i >= 2 else 1) * r for r in rates]
        is_weight = i in (0, 2)
        (expected,) = lars_in_numpy(
            [start[i]], [[g[i]] for g in steps], scaled, decay=0.01 if is_weight else 0.0, adapt=is_weight,
            inside=True,
        )  # fmt: skip
        np.testing.assert_allclose(p.detach().numpy(), expected, rtol=1e-10)
