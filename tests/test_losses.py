"""Each equation against plain arithmetic in float64, and which argument receives a gradient."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ssl_av.losses import info_nce, nce, negative_cosine, regression


def rows(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_regression_is_the_mean_squared_distance_of_directions():
    p, t = rows(0, 5, 7), rows(1, 5, 7)
    expected = np.mean([sum((a - b) ** 2) for a, b in zip(unit(p.numpy()), unit(t.numpy()), strict=True)])
    assert regression(p, t).item() == pytest.approx(expected, rel=1e-5)


def test_regression_equals_two_minus_two_cosines():
    p, t = rows(0, 5, 7), rows(1, 5, 7)
    assert regression(p, t).item() == pytest.approx(2 + 2 * negative_cosine(p, t).item(), rel=1e-5)


@pytest.mark.parametrize("loss", [regression, negative_cosine])
def test_only_the_prediction_receives_a_gradient(loss):
    p, t = rows(0, 4, 3).requires_grad_(), rows(1, 4, 3).requires_grad_()
    loss(p, t).backward()
    assert p.grad is not None
    assert p.grad.abs().sum() > 0
    assert t.grad is None


@pytest.mark.parametrize("loss", [regression, negative_cosine])
def test_scale_of_either_side_does_not_matter(loss):
    p, t = rows(0, 4, 3), rows(1, 4, 3)
    assert loss(3 * p, 0.1 * t).item() == pytest.approx(loss(p, t).item(), rel=1e-5)


def test_negative_cosine_of_equal_rows_is_minus_one():
    p = rows(0, 4, 3)
    assert negative_cosine(p, p).item() == pytest.approx(-1.0, rel=1e-6)


def test_info_nce_against_a_plain_softmax():
    q, k, tau = rows(0, 4, 6), rows(1, 9, 6), 0.2
    a, b = unit(q.numpy()), unit(k.numpy())
    expected = 0.0
    for i in range(4):
        scores = [math.exp(float(a[i] @ b[j]) / tau) for j in range(9)]
        expected -= math.log(scores[i] / sum(scores)) / 4
    assert info_nce(q, k, tau).item() == pytest.approx(expected, rel=1e-5)


def test_info_nce_is_not_symmetric_but_both_sides_learn():
    q, k = rows(0, 4, 6).requires_grad_(), rows(1, 4, 6).requires_grad_()
    loss = info_nce(q, k, 0.1)
    assert loss.item() != pytest.approx(info_nce(k, q, 0.1).item(), rel=1e-3)
    loss.backward()
    assert q.grad is not None
    assert k.grad is not None


def test_info_nce_refuses_fewer_keys_than_queries():
    with pytest.raises(ValueError, match="3 keys for 4 queries"):
        info_nce(rows(0, 4, 6), rows(1, 3, 6), 0.1)


def test_nce_against_the_probabilities_of_the_paper():
    positive, negative, z, n = rows(0, 3, 2), rows(1, 3, 5), 2.2045, 1000
    k = negative.shape[1]

    def is_data(logit: float) -> float:  # eq. 1 and P(D=1) of AVID 3.2, N and all
        p = math.exp(logit) / (n * z)
        return p / (p + k / n)

    expected = 0.0
    for i in range(3):
        expected += np.mean([-math.log(is_data(x)) for x in positive[i].tolist()]) / 3
        expected += sum(-math.log(1 - is_data(x)) for x in negative[i].tolist()) / 3
    assert nce(positive, negative, z).item() == pytest.approx(expected, rel=1e-5)
    assert nce(positive, negative, torch.tensor(z)).item() == pytest.approx(expected, rel=1e-5)


def test_nce_does_not_overflow_at_the_temperature_of_the_paper():
    logits = torch.full((2, 1), 1 / 0.07)
    assert torch.isfinite(nce(logits, logits.expand(2, 4096) * 5, 2.2))


def test_losses_are_float32_inside():
    p, t = rows(0, 4, 3).half(), rows(1, 4, 3).half()
    assert regression(p, t).dtype == torch.float32
    assert info_nce(p, t, 0.1).dtype == torch.float32
    assert nce(p, t, 1.0).dtype == torch.float32


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"\[4, 3\] and \[4, 2\]"):
        regression(rows(0, 4, 3), rows(1, 4, 2))
    with pytest.raises(ValueError, match=r"positive \[B, P\]"):
        nce(rows(0, 4), rows(1, 4, 2), 1.0)
