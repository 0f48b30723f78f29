"""Chunked neighbours against brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ssl_av.errors import UserError
from ssl_av.evaluation.neighbours import hits, knn_scores, nearest

CHUNKS = [(1024, 32_768), (7, 11), (5, 100)]


def drawn(n: int, d: int = 8, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def plain_knn(query, gallery, labels, classes, k, temperature) -> torch.Tensor:
    """All similarities at once."""
    cosine = torch.nn.functional.normalize(query) @ torch.nn.functional.normalize(gallery).T
    value, index = cosine.topk(min(k, len(gallery)), dim=1)
    weight = torch.exp((value - value[:, :1]) / temperature)
    return torch.zeros(len(query), classes).scatter_add_(1, labels[index], weight)


def plain_recall(query, gallery, match) -> dict[str, float]:
    cosine = torch.nn.functional.normalize(query) @ torch.nn.functional.normalize(gallery).T
    found = match.gather(1, cosine.argsort(dim=1, descending=True))
    return {f"r{k}": found[:, :k].any(dim=1).float().mean().item() for k in (1, 5, 20)}


@pytest.mark.parametrize("chunk", CHUNKS)
def test_the_nearest_are_those_of_a_full_sort(chunk: tuple[int, int]):
    query, gallery = drawn(23), drawn(60, seed=1)
    cosine, index = nearest(query, gallery, 9, chunk=chunk)
    q, g = query.double().numpy(), gallery.double().numpy()
    for i in range(23):
        by_hand = g @ q[i] / np.linalg.norm(g, axis=1) / np.linalg.norm(q[i])
        order = np.argsort(-by_hand)[:9]
        assert index[i].tolist() == order.tolist()
        assert cosine[i].numpy() == pytest.approx(by_hand[order], abs=1e-5)


@pytest.mark.parametrize("chunk", CHUNKS)
def test_of_equals_the_first_is_nearer(chunk: tuple[int, int]):
    # axes: cosines are exactly 0 or 1, so ties are ties in any chunk
    gallery = torch.eye(4).repeat(6, 1)
    _, index = nearest(torch.eye(4)[:2], gallery, 8, chunk=chunk)
    assert index[0].tolist() == [0, 4, 8, 12, 16, 20, 1, 2]
    assert index[1].tolist() == [1, 5, 9, 13, 17, 21, 0, 2]


@pytest.mark.parametrize("chunk", CHUNKS)
def test_a_sample_is_not_its_own_neighbour(chunk: tuple[int, int]):
    x = drawn(30)
    _, index = nearest(x, x, 29, skip_self=True, chunk=chunk)
    for i in range(30):
        assert sorted(index[i].tolist()) == [j for j in range(30) if j != i]


def test_k_beyond_the_gallery_is_cut():
    assert nearest(drawn(3), drawn(5, seed=1), 99)[1].shape == (3, 5)
    assert nearest(drawn(3), drawn(3), 99, skip_self=True)[1].shape == (3, 2)
    assert nearest(drawn(0), drawn(5), 2)[1].shape == (0, 2)


@pytest.mark.parametrize("chunk", CHUNKS)
def test_knn_has_the_numbers_of_the_plain_function(chunk: tuple[int, int]):
    query, gallery, labels = drawn(40), drawn(90, seed=1), torch.arange(90) % 5
    for k, temperature in ((20, 0.07), (3, 1.0), (200, 0.2)):
        plain = plain_knn(query, gallery, labels, 5, k, temperature)
        torch.testing.assert_close(
            knn_scores(query, gallery, labels, 5, k, temperature, chunk=chunk), plain, atol=1e-5, rtol=1e-4
        )


def test_votes_by_hand():
    query, gallery, labels = drawn(10), drawn(25, seed=1), torch.arange(25) % 3
    scores = knn_scores(query, gallery, labels, 3, k=7, temperature=0.5)
    for i in range(10):
        c = torch.nn.functional.cosine_similarity(query[i : i + 1], gallery)
        near = c.argsort(descending=True)[:7]
        total = torch.zeros(3)
        for j in near:
            total[labels[j]] += torch.exp((c[j] - c.max()) / 0.5)
        torch.testing.assert_close(scores[i], total, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("chunk", CHUNKS)
def test_recall_by_class_and_by_instance_is_the_plain_functions(chunk: tuple[int, int]):
    query, gallery = drawn(30), drawn(50, seed=1)
    a, b = torch.arange(30) % 7, torch.arange(50) % 7
    found = hits(query, gallery, a, b, (1, 5, 20), chunk=chunk)
    plain = plain_recall(query, gallery, a[:, None] == b[None])
    assert {f"r{k}": float(v.float().mean()) for k, v in found.items()} == pytest.approx(plain)
    other = query + 2 * drawn(30, seed=2)
    one = torch.arange(30)
    found = hits(query, other, one, one, (1, 5, 20), chunk=chunk)
    plain = plain_recall(query, other, torch.eye(30, dtype=torch.bool))
    assert {f"r{k}": float(v.float().mean()) for k, v in found.items()} == pytest.approx(plain)
    assert 0 < plain["r1"] < plain["r5"]


def test_knn_does_not_overflow():
    x = torch.ones(4, 3)
    assert torch.isfinite(knn_scores(x, x, torch.zeros(4, dtype=torch.long), 2, temperature=1e-3)).all()


def test_a_k_above_the_gallery_is_the_gallery():
    found = hits(torch.eye(3), torch.eye(3), torch.arange(3), torch.arange(3).flip(0), (1, 20))
    assert found[1].tolist() == [False, True, False]
    assert found[20].tolist() == [True, True, True]


def test_what_is_held_at_once_is_bounded_by_the_chunk():
    held = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            held.extend(t.numel() for t in (out if isinstance(out, tuple) else (out,)) if hasattr(t, "numel"))
            return out

    query, gallery = drawn(200, 2), drawn(3000, 2, seed=1)
    with Watch():
        nearest(query, gallery, 5, chunk=(20, 100))
    # 200 x 3000 similarities are never there: the largest tensor is the features' own
    assert max(held) <= gallery.numel()


def test_what_is_wrong_is_said():
    x = drawn(5)
    bad = drawn(5)
    bad[3, 0] = float("nan")
    with pytest.raises(UserError, match="gallery sample 3 of 5"):
        nearest(x, bad, 2)
    with pytest.raises(UserError, match="query sample 3 of 5"):
        nearest(bad, x, 2)
    with pytest.raises(UserError, match="k = 0"):
        nearest(x, x, 0)
    with pytest.raises(UserError, match="one set"):
        nearest(x, drawn(4), 2, skip_self=True)
    with pytest.raises(UserError, match="without a label"):
        knn_scores(x, x, torch.tensor([0, 1, -1, 0, 1]), 2)
    with pytest.raises(UserError, match="temperature"):
        knn_scores(x, x, torch.zeros(5, dtype=torch.long), 2, temperature=0.0)
    with pytest.raises(UserError, match="positive k"):
        hits(x, x, torch.arange(5), torch.arange(5), (0, 1))
    with pytest.raises(UserError, match="one id a sample"):
        hits(x, x, torch.arange(4), torch.arange(5))
