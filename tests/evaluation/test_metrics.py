"""Recall, neighbours and collapse against plain arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ssl_av.evaluation.metrics import effective_rank, feature_std, knn_predict, recall_at


def test_recall_against_sorting_by_hand():
    g = torch.Generator().manual_seed(0)
    query, gallery = torch.randn(9, 5, generator=g), torch.randn(30, 5, generator=g)
    ql, gl = torch.arange(9) % 3, torch.arange(30) % 3
    found = recall_at(query, gallery, ql[:, None] == gl[None], ks=(1, 5, 20))
    q, k = query.numpy(), gallery.numpy()
    for n in (1, 5, 20):
        hits = 0
        for i in range(9):
            cosine = k @ q[i] / np.linalg.norm(k, axis=1) / np.linalg.norm(q[i])
            hits += any(gl[j] == ql[i] for j in np.argsort(-cosine)[:n])
        assert found[f"r{n}"] == pytest.approx(hits / 9)


def test_recall_with_a_gallery_smaller_than_k():
    x = torch.eye(3)
    assert recall_at(x, x, torch.eye(3, dtype=torch.bool)) == {"r1": 1.0, "r5": 1.0, "r20": 1.0}
    assert recall_at(x, x, torch.eye(3, dtype=torch.bool).flip(0))["r1"] == pytest.approx(1 / 3)


def test_knn_votes_are_weighted_by_similarity():
    gallery = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.78, 0.626]])
    labels = torch.tensor([0, 1, 1])
    query = torch.tensor([[1.0, 0.05]])
    # a low temperature: the nearest alone decides; a high one: the two others outvote it
    assert knn_predict(query, gallery, labels, 2, k=3, temperature=0.01).argmax().item() == 0
    assert knn_predict(query, gallery, labels, 2, k=3, temperature=10.0).argmax().item() == 1
    c = torch.nn.functional.cosine_similarity(query, gallery)
    votes = torch.exp((c - c.max()) / 0.07)
    scores = knn_predict(query, gallery, labels, 2, k=3)
    assert torch.allclose(scores, torch.stack([votes[0], votes[1] + votes[2]])[None], atol=1e-5)


def test_knn_does_not_overflow():
    x = torch.ones(4, 3)
    assert torch.isfinite(knn_predict(x, x, torch.zeros(4, dtype=torch.long), 2, temperature=1e-3)).all()


def test_collapse_measures_at_both_ends():
    torch.manual_seed(0)
    spread, collapsed = torch.randn(2000, 32), torch.ones(2000, 32) + 1e-6 * torch.randn(2000, 32)
    assert feature_std(spread) == pytest.approx(1.0, abs=0.03)
    assert feature_std(collapsed) < 1e-4
    assert effective_rank(spread) == pytest.approx(32, rel=0.02)
    assert effective_rank(collapsed) == pytest.approx(1.0, abs=0.01)
    assert effective_rank(torch.zeros(4, 3)) == 1.0


def test_effective_rank_of_known_singular_values():
    s = np.array([3.0, 1.0])
    p = s / s.sum()
    x = torch.diag(torch.tensor([3.0, 1.0]))
    assert effective_rank(x) == pytest.approx(float(np.exp(-(p * np.log(p)).sum())), rel=1e-4)
