"""STiCA: the pair set of eq. 6, the cross terms of eq. 7, the feature crops of eq. 5."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ssl_av.errors import UserError


def one_way(q: torch.Tensor, k: torch.Tensor, tau: float) -> float:
    a, b = (x.detach().numpy().astype(np.float64) for x in (q, k))
    a, b = a / np.linalg.norm(a, axis=1, keepdims=True), b / np.linalg.norm(b, axis=1, keepdims=True)
    s = np.exp(a @ b.T / tau)
    return float(np.mean([-math.log(s[i, i] / s[i].sum()) for i in range(len(a))]))


@pytest.mark.parametrize("mean", [True, False])
def test_eq_6_and_7(small, batch_of, mean):
    method = small("stica", mean=mean, weight_within=0.3, weight_cross=0.7)
    batch = method.transform_batch(batch_of(method))
    e = method(batch)
    t1, t2 = ([n for n in e if n[0] in "MS" and n[1] == i] for i in "12")
    assert t1 == ["M1_0", "M1_1", "S1_0", "S1_1"]
    pairs = [(a, b) for a in t1 for b in t2 if (a[0], b[0]) != ("S", "S")]
    assert 2 * len(pairs) == 2 * ((2 + 2) ** 2 - 2**2)  # the paper's count, m = n = 2
    within = sum(one_way(e[a], e[b], 0.5) + one_way(e[b], e[a], 0.5) for a, b in pairs)
    cross = sum(one_way(e[v], e["audio"], 0.1) + one_way(e["audio"], e[v], 0.1) for v in ("L1", "L2"))
    if mean:
        within, cross = within / (2 * len(pairs)), cross / 4
    assert method.loss(e, batch)["loss"].item() == pytest.approx(0.3 * within + 0.7 * cross, rel=1e-4)


def test_without_feature_crops_the_large_crops_are_the_pair(small, batch_of):
    method = small("stica", crops=None)
    batch = method.transform_batch(batch_of(method))
    e = method(batch)
    assert set(e) == {"audio", "L1", "L2"}
    within = (one_way(e["L1"], e["L2"], 0.5) + one_way(e["L2"], e["L1"], 0.5)) / 2
    assert method.loss(e, batch)["within"].item() == pytest.approx(within, rel=1e-4)


def test_a_feature_crop_is_a_piece_of_the_map(small):
    method = small("stica", crops={
        "medium_space": [2, 3], "medium_time": [2, 3], "small_space": [4, 2], "small_time": [1, 2],
    })  # fmt: skip
    features = torch.arange(2 * 4 * 4 * 4, dtype=torch.float32).view(1, 2, 4, 4, 4)
    crops = method.feature_crops(features)
    assert {n: tuple(c.shape[2:]) for n, c in crops.items() if n in ("M0", "M3", "S3")} == {
        "M0": (3, 3, 3), "M3": (3, 3, 3), "S3": (2, 2, 2),
    }  # fmt: skip
    assert len([n for n in crops if n[0] == "M"]) == 4
    assert len([n for n in crops if n[0] == "S"]) == 4
    for crop in crops.values():
        # neighbours in the crop are neighbours in the map
        assert float(crop[0, 0, 0, 0, 1] - crop[0, 0, 0, 0, 0]) == 1
        assert float(crop[0, 0, 0, 1, 0] - crop[0, 0, 0, 0, 0]) == 4
        assert float(crop[0, 0, 1, 0, 0] - crop[0, 0, 0, 0, 0]) == 16


def test_crops_land_everywhere(small):
    torch.manual_seed(0)
    method = small("stica", crops={
        "medium_space": [1, 3], "medium_time": [1, 3], "small_space": [1, 2], "small_time": [1, 2],
    })  # fmt: skip
    features = torch.arange(4 * 4 * 4, dtype=torch.float32).view(1, 1, 4, 4, 4)
    corners = {float(method.feature_crops(features)["S0"][0, 0, 0, 0, 0]) for _ in range(600)}
    assert len(corners) == 27  # 3 × 3 × 3 places, none is out of reach


def test_the_trunk_runs_once_a_view(small, batch_of):
    method = small("stica")
    calls = []
    method.backbones["video"].register_forward_hook(lambda *a: calls.append("forward"))
    first = method.backbones["video"].conv1
    first.register_forward_hook(lambda *a: calls.append("trunk"))
    method(method.transform_batch(batch_of(method)))
    assert calls == ["trunk", "trunk"]


def test_a_crop_that_does_not_fit_is_named(small, batch_of):
    method = small("stica", crops={"medium_space": [1, 9]})
    with pytest.raises(UserError, match="a feature crop of 9 cells does not fit"):
        method(method.transform_batch(batch_of(method)))


def test_both_crops_show_the_same_time_and_the_sound_starts_with_them(small):
    views = small("stica").views
    assert views["video_2"].when.view == views["audio"].when.view == "video_1"


def test_what_is_fine_tuned_is_pooled_as_the_embeddings_are(small):
    """Table 1c: the transformer that pooled in the pretraining pools in the fine-tuning too."""
    method = small("stica").eval()
    x = torch.randn(2, 3, 4, 32, 32)
    encoder = method.encoder("video")
    torch.testing.assert_close(encoder(x), method.pool(method.net("video").forward_features(x)))
    assert not torch.allclose(encoder(x), method.net("video")(x))
    shared = {id(p) for p in method.parameters()}
    assert {id(p) for p in encoder.parameters()} <= shared
    assert method.encoder("audio") is method.net("audio")
