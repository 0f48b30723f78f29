"""Diagnostics against loops over pairs, and at points where the answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ssl_av.errors import UserError
from ssl_av.evaluation.diagnostics import (
    alignment,
    describe,
    late_fusion,
    mean_inner_product,
    modality_gap,
    precision_at,
    uniformity,
)
from ssl_av.memory import agreement_positives


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def draw(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def test_alignment_and_gap_against_loops():
    x, y = draw(20, 6), draw(20, 6, 1)
    u, v = unit(x.double().numpy()), unit(y.double().numpy())
    distances = [math.dist(a, b) for a, b in zip(u, v, strict=True)]
    assert alignment(x, y) == pytest.approx(np.mean(np.square(distances)))
    assert alignment(x, y, power=1) == pytest.approx(np.mean(distances))
    assert alignment(x, 3 * x) == pytest.approx(0)
    assert modality_gap(x, y) == pytest.approx(math.dist(u.mean(0), v.mean(0)))
    assert modality_gap(torch.ones(3, 2), -torch.ones(5, 2)) == pytest.approx(2)


@pytest.mark.parametrize("chunk", [3, 7, 100])
def test_uniformity_and_inner_products_against_loops(chunk: int):
    x = draw(25, 4)
    u = unit(x.double().numpy())
    kernel, inner = [], []
    for i in range(25):
        for j in range(i):
            kernel.append(math.exp(-2 * math.dist(u[i], u[j]) ** 2))
            inner.append(float(u[i] @ u[j]))
    assert uniformity(x, chunk=chunk) == pytest.approx(math.log(np.mean(kernel)))
    assert mean_inner_product(x) == pytest.approx(np.mean(inner))


def test_collapse_and_spread():
    same = torch.ones(10, 5)
    assert uniformity(same) == pytest.approx(0, abs=1e-9)
    assert mean_inner_product(same) == pytest.approx(1)
    spread = draw(2000, 64)
    assert uniformity(spread) == pytest.approx(-4, abs=0.2)  # -2t, less what a finite dimension leaves
    assert mean_inner_product(spread) == pytest.approx(0, abs=0.01)
    # AVID's observation: a common direction in all memories is a mean inner product above 0.
    shifted = torch.nn.functional.normalize(spread, dim=1) + 0.547 * torch.nn.functional.normalize(
        draw(1, 64, 3)
    )
    assert mean_inner_product(shifted) == pytest.approx(0.23, abs=0.01)


def test_precision_against_a_loop():
    labels = torch.tensor([0, 0, 1, 1, -1, 0, 2])
    positives = torch.tensor(
        [[1, 2, 4], [0, 5, 3], [3, 0, 1], [2, 6, -1], [0, 1, 2], [4, 1, 0], [-1, -1, -1]]
    )
    found = precision_at(positives, labels, (1, 2, 3))
    for k in (1, 2, 3):
        rows = []
        for i, row in enumerate(positives.tolist()):
            known = [j for j in row[:k] if j >= 0 and labels[j] >= 0]
            if labels[i] >= 0 and known:
                rows.append(sum(bool(labels[j] == labels[i]) for j in known) / len(known))
        assert found[f"p{k}"] == pytest.approx(np.mean(rows))
    assert math.isnan(precision_at(positives, torch.full((7,), -1), (1,))["p1"])
    with pytest.raises(ValueError, match=r"1 … 3"):
        precision_at(positives, labels, (4,))


def test_agreement_is_more_precise_than_one_modality():
    """AVID figure 4c in small: each modality confuses two classes that the other one tells apart."""
    g = torch.Generator().manual_seed(0)
    labels = torch.arange(200) % 4
    centres = torch.eye(2).repeat_interleave(2, 0)  # video: {0, 1} and {2, 3} look alike
    heard = torch.eye(2).repeat(2, 1)  # audio: {0, 2} and {1, 3} sound alike
    noise = [0.2 * torch.randn(200, 2, generator=g) for _ in range(2)]
    video = torch.nn.functional.normalize(centres[labels] + noise[0], dim=1)
    audio = torch.nn.functional.normalize(heard[labels] + noise[1], dim=1)
    found = {
        kind: precision_at(agreement_positives(video, audio, 20, kind), labels, (20,))["p20"]  # type: ignore[arg-type]
        for kind in ("agreement", "video", "audio", "either")
    }
    assert found["agreement"] > 0.95
    assert all(0.4 < found[kind] < 0.6 for kind in ("video", "audio", "either"))


def test_fusion_of_two_halves_of_the_truth():
    video = torch.tensor([[5.0, 5.0, 0.0], [0.0, 0.0, 5.0]])  # class 0 or 1?
    audio = torch.tensor([[5.0, 0.0, 5.0], [5.0, 0.0, 5.0]])  # class 0 or 2?
    assert late_fusion([video, audio]).argmax(1).tolist() == [0, 2]
    v, a = np.exp(video.numpy()), np.exp(audio.numpy())
    by_hand = 0.75 * v / v.sum(1, keepdims=True) + 0.25 * a / a.sum(1, keepdims=True)
    assert np.allclose(late_fusion([video, audio], weights=[3, 1]).numpy(), by_hand)
    assert late_fusion([video, audio], kind="sum").tolist() == ((video + audio) / 2).tolist()
    with pytest.raises(UserError, match="did you mean sum"):
        late_fusion([video], kind="sun")
    with pytest.raises(ValueError, match="as many weights"):
        late_fusion([video], weights=[1, 2])


def test_description_of_what_there_is():
    pooled = {"video": draw(30, 8), "audio": draw(30, 12, 1)}
    shared = {m: draw(30, 4, s) for s, m in enumerate(pooled)}
    found = describe(pooled, shared, shared)
    assert set(found) == {"video", "audio", "video_to_audio", "audio_to_video"}
    assert set(found["video"]) == {"std", "effective_rank", "uniformity", "mean_inner_product"}
    assert found["video_to_audio"]["alignment"] == alignment(shared["video"], shared["audio"])
    assert set(describe(pooled, {}, {})) == {"video", "audio"}
    assert describe({"video": draw(1, 8)}, {}, {}) == {}


@pytest.mark.parametrize("measure", [uniformity, mean_inner_product])
def test_one_row_has_no_pairs(measure):
    with pytest.raises(ValueError, match="two rows"):
        measure(torch.ones(1, 3))


def test_rows_that_do_not_pair_up():
    with pytest.raises(ValueError, match="pair up"):
        alignment(torch.ones(2, 3), torch.ones(3, 3))
    with pytest.raises(ValueError, match="one space"):
        modality_gap(torch.ones(2, 3), torch.ones(2, 4))
