"""Each loss against a transcription of the paper's equation in plain Python, its gradient against finite differences.

The transcriptions work on lists of Python floats (float64), element by element, and share no code with
`ssl_av.losses`, whose arithmetic is float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssl_av.losses import info_nce, nce, negative_cosine, regression

Array = NDArray[np.float64]
Rows = list[list[float]]


def rows(seed: int, *shape: int) -> Array:
    """Values that float32 has."""
    values = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return values.astype(np.float64)


def norm(x: list[float]) -> float:
    return math.sqrt(sum(a * a for a in x))


def cosine(x: list[float], y: list[float]) -> float:
    return sum(a * b for a, b in zip(x, y, strict=True)) / (norm(x) * norm(y))


def brave_2(h: Array, z: Array) -> float:
    """BraVe eq. 2–4: ‖ h/‖h‖ - sg[z/‖z‖] ‖², mean over the batch."""
    total = 0.0
    for p, t in zip(h.tolist(), z.tolist(), strict=True):
        total += sum((a / norm(p) - b / norm(t)) ** 2 for a, b in zip(p, t, strict=True))
    return total / len(h)


def crisscross_1(p: Array, z: Array) -> float:
    """CrissCross eq. 1: - p/‖p‖ · S(z)/‖S(z)‖, mean over the batch."""
    return -sum(cosine(a, b) for a, b in zip(p.tolist(), z.tolist(), strict=True)) / len(p)


def stica_1(x: Array, y: Array, tau: float = 0.1) -> float:
    """STiCA eq. 1: - log of exp(s(x_i, y_i)/τ) over the sum of exp(s(x_i, y_j)/τ), mean over i."""
    total = 0.0
    for i, query in enumerate(x.tolist()):
        scores = [math.exp(cosine(query, key) / tau) for key in y.tolist()]
        total -= math.log(scores[i] / sum(scores))
    return total / len(x)


def avid_1_2(positive: Array, negative: Array, z: float = 2.2045) -> float:
    """AVID eq. 1–2: P(D=1) = P/(P + K·P_n), P = exp(score)/(N·Z̄), P_n = 1/N; the K noise terms summed."""
    n, k = 1_800_000, negative.shape[1]

    def is_data(score: float) -> float:
        p = math.exp(score) / (n * z)
        return p / (p + k / n)

    total = 0.0
    for data, noise in zip(positive.tolist(), negative.tolist(), strict=True):
        total -= sum(math.log(is_data(s)) for s in data) / len(data)
        total -= sum(math.log(1 - is_data(s)) for s in noise)
    return total / len(positive)


def finite_differences(f: Callable[[Array], float], x: Array, step: float = 1e-5) -> Array:
    """Central differences of a function of one array."""
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        gradient[i] = (f(up) - f(down)) / (2 * step)
    return gradient


def gradients(loss: Callable[..., Tensor], *args: Array) -> list[Tensor | None]:
    inputs = [torch.from_numpy(a).requires_grad_() for a in args]
    loss(*inputs).backward()
    return [x.grad for x in inputs]


def close(got: Tensor | None, expected: Array) -> None:
    """To 1e-4 of the largest value."""
    assert got is not None
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-4, atol=1e-4 * float(np.abs(expected).max()))


PAIRS: list[tuple[Callable[..., Tensor], Callable[..., float]]] = [
    (regression, brave_2),
    (negative_cosine, crisscross_1),
]


@pytest.mark.parametrize(("loss", "equation"), PAIRS)
@pytest.mark.parametrize("shape", [(1, 3), (5, 7), (32, 128)])
@pytest.mark.parametrize("scale", [1e-2, 1.0, 1e2])
def test_regression_and_cosine(
    loss: Callable[..., Tensor], equation: Callable[..., float], shape: tuple[int, int], scale: float
) -> None:
    p, z = scale * rows(0, *shape), rows(1, *shape)
    got = loss(torch.from_numpy(p), torch.from_numpy(z))
    assert got.item() == pytest.approx(equation(p, z), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(("loss", "equation"), PAIRS)
def test_gradient_of_the_prediction_and_none_of_the_target(
    loss: Callable[..., Tensor], equation: Callable[..., float]
) -> None:
    p, z = rows(2, 4, 5), rows(3, 4, 5)
    of_prediction, of_target = gradients(loss, p, z)
    close(of_prediction, finite_differences(lambda x: equation(x, z), p))
    assert of_target is None


@pytest.mark.parametrize("tau", [0.07, 0.1, 0.5, 1.0])
@pytest.mark.parametrize(("queries", "keys"), [(1, 1), (4, 4), (4, 9), (16, 64)])
def test_info_nce(queries: int, keys: int, tau: float) -> None:
    x, y = rows(4, queries, 6), rows(5, keys, 6)
    got = info_nce(torch.from_numpy(x), torch.from_numpy(y), tau)
    assert got.item() == pytest.approx(stica_1(x, y, tau), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("keys", [4, 9])
def test_gradients_of_info_nce_on_both_sides(keys: int) -> None:
    x, y = rows(6, 4, 5), rows(7, keys, 5)
    of_query, of_keys = gradients(lambda q, k: info_nce(q, k, 0.1), x, y)
    close(of_query, finite_differences(lambda q: stica_1(q, y), x))
    close(of_keys, finite_differences(lambda k: stica_1(x, k), y))


def test_detached_keys_of_info_nce_receive_none() -> None:
    q, k = torch.from_numpy(rows(6, 4, 5)).requires_grad_(), torch.from_numpy(rows(7, 4, 5)).requires_grad_()
    info_nce(q, k.detach(), 0.1).backward()
    assert q.grad is not None
    assert k.grad is None


@pytest.mark.parametrize(("positives", "negatives"), [(1, 1), (1, 16), (3, 64)])
@pytest.mark.parametrize("z", [0.5, 2.2045, 40.0])
def test_nce(positives: int, negatives: int, z: float) -> None:
    p, n = 3 * rows(8, 4, positives), 3 * rows(9, 4, negatives)
    expected = avid_1_2(p, n, z)
    for partition in (z, torch.tensor(z), torch.tensor([z])):
        got = nce(torch.from_numpy(p), torch.from_numpy(n), partition)
        assert got.item() == pytest.approx(expected, rel=1e-4)


def test_gradients_of_nce() -> None:
    p, n = 2 * rows(10, 3, 2), 2 * rows(11, 3, 5)
    of_positive, of_negative = gradients(lambda a, b: nce(a, b, 2.2045), p, n)
    close(of_positive, finite_differences(lambda a: avid_1_2(a, n), p))
    close(of_negative, finite_differences(lambda b: avid_1_2(p, b), n))


HALVES = (torch.float16, torch.bfloat16)


@pytest.mark.parametrize("half", HALVES)
def test_half_precision_is_exact_arithmetic_on_rounded_values(half: torch.dtype) -> None:
    a, b = torch.from_numpy(rows(12, 6, 8)).to(half), torch.from_numpy(rows(13, 6, 8)).to(half)
    x, y = a.double().numpy(), b.double().numpy()
    for got, expected in (
        (regression(a, b), brave_2(x, y)),
        (negative_cosine(a, b), crisscross_1(x, y)),
        (info_nce(a, b, 0.1), stica_1(x, y)),
        (nce(a, b, 2.2045), avid_1_2(x, y)),
    ):
        assert got.dtype == torch.float32
        assert got.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("half", HALVES)
def test_gradients_come_back_in_half_precision(half: torch.dtype) -> None:
    a, b = torch.from_numpy(rows(12, 4, 8)).to(half), torch.from_numpy(rows(13, 4, 8)).to(half)
    query = a.clone().requires_grad_()
    info_nce(query, b, 0.1).backward()
    assert query.grad is not None
    assert query.grad.dtype == half
    expected = finite_differences(lambda q: stica_1(q, b.double().numpy()), a.double().numpy())
    step = 2 ** (-10 if half == torch.float16 else -7)
    np.testing.assert_allclose(
        query.grad.double().numpy(), expected, rtol=step, atol=step * float(np.abs(expected).max())
    )
