"""BraVe: which view predicts which, what is shared, where the gradient goes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ssl_av.data.views import AnyStart, StartsWith
from ssl_av.errors import UserError


def unit(x: torch.Tensor) -> np.ndarray:
    a = x.detach().numpy().astype(np.float64)
    return a / np.linalg.norm(a, axis=1, keepdims=True)


def test_the_loss_is_the_sum_of_both_directions_over_the_broad_views(small, batch_of):
    method = small("brave", broad=["audio", "rgb+rc"], broad_frames=4, broad_fps=4, broad_size=32)
    batch = method.transform_batch(batch_of(method))
    e = method(batch)
    expected = 0.0
    for b in ("broad_0", "broad_1"):  # eq. 5 with eq. 3 and 4
        expected += np.mean(((unit(e["h_narrow"]) - unit(e[f"z_{b}"])) ** 2).sum(axis=1))
        expected += np.mean(((unit(e[f"h_{b}"]) - unit(e["z_narrow"])) ** 2).sum(axis=1))
    assert method.loss(e, batch)["loss"].item() == pytest.approx(expected, rel=1e-5)


def test_one_projector_and_predictor_but_a_backbone_for_each_view(small):
    method = small("brave", broad=["audio", "audio", "rgb"], broad_frames=4, broad_fps=4, broad_size=32)
    networks = [method.backbones["video"], *method.broad_backbones.values()]
    assert len({id(n) for n in networks}) == 4
    assert method.backbones["audio"] is method.broad_backbones["broad_0"]
    assert method.predictors() == [method.predictor]


def test_an_adapter_only_where_the_features_differ_in_size(small):
    same, different = small("brave"), small("brave", networks={
        "video": "r2plus1d_10", "video_args": {"width": 4}, "audio": "conv9_audio", "audio_args": {"width": 2},
    })  # fmt: skip
    assert isinstance(same.adapters["broad_0"], torch.nn.Identity)
    adapter = different.adapters["broad_0"]
    assert (adapter.in_features, adapter.out_features) == (16, 32)


def test_narrow_to_broad_moves_only_the_narrow_branch(small, batch_of):
    method = small("brave")
    batch = method.transform_batch(batch_of(method))
    e = method(batch)
    method.loss(e, batch)["narrow_to_broad_0"].backward()
    assert all(p.grad is not None for p in method.backbones["video"].parameters())
    assert all(p.grad is None for p in method.backbones["audio"].parameters())


def test_audio_starts_with_the_narrow_view_and_broad_video_anywhere(small):
    method = small("brave", broad=["audio", "rgb"], broad_frames=4, broad_fps=4, broad_size=32)
    assert method.views["broad_0"].when == StartsWith("narrow")
    assert method.views["broad_1"].when == AnyStart()


def test_without_audio_there_is_no_audio_backbone_and_no_shared_space(small):
    method = small("brave", broad=["rgb", "rgb"], broad_frames=4, broad_fps=4, broad_size=32)
    assert set(method.backbones) == {"video"}
    assert method.embed("video", torch.randn(2, 32, 1, 1, 1)) is None


def test_batch_norm_stands_where_the_paper_says(small):
    method = small("brave")
    kinds = [type(m).__name__ for m in method.projector]
    assert kinds == ["Linear", "BatchNorm1d", "ReLU", "Linear", "BatchNorm1d"]
    assert [type(m).__name__ for m in method.predictor] == ["Linear", "BatchNorm1d", "ReLU", "Linear"]


def test_unknown_broad_view(small):
    with pytest.raises(UserError, match="unknown broad view 'adio'; did you mean audio"):
        small("brave", broad=["adio"])
