"""BraVe: which view predicts which, what is shared, where the gradient goes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ssl_av.data.views import AnyStart, StartsWith
from ssl_av.errors import UserError
from ssl_av.methods import create_method


def unit(x: torch.Tensor) -> np.ndarray:
    a = x.detach().numpy().astype(np.float64)
    return a / np.linalg.norm(a, axis=1, keepdims=True)


BROAD = {"broad_frames": 4, "broad_fps": 4, "broad_size": 32}


def test_the_loss_is_the_sum_of_both_directions_over_the_modalities(small, batch_of):
    method = small("brave", broad=["audio", "rgb+rc", "flow"], **BROAD)
    batch = method.transform_batch(batch_of(method))
    e = method(batch)
    expected = 0.0
    for b in ("broad_0", "broad_1", "broad_2"):  # eq. 5 with eq. 2 and 3
        expected += np.mean(((unit(e["h_narrow"]) - unit(e[f"z_{b}"])) ** 2).sum(axis=1))
        expected += np.mean(((unit(e[f"h_{b}"]) - unit(e["z_narrow"])) ** 2).sum(axis=1))
    assert method.loss(e, batch)["loss"].item() == pytest.approx(expected, rel=1e-5)


def test_of_several_views_of_a_modality_the_mean_is_the_target(small, batch_of):
    method = small("brave", broad=["rgb", "audio", "rgb+rc", "rgb"], **BROAD)
    batch = method.transform_batch(batch_of(method))
    e = method(batch)
    parts = method.loss(e, batch)
    views = ("broad_0", "broad_2", "broad_3")
    mean = sum(e[f"z_{b}"] for b in views) / 3  # §3.1
    towards = np.mean(((unit(e["h_narrow"]) - unit(mean)) ** 2).sum(axis=1))
    back = [np.mean(((unit(e[f"h_{b}"]) - unit(e["z_narrow"])) ** 2).sum(axis=1)) for b in views]
    assert parts["narrow_to_rgb"].item() == pytest.approx(towards, rel=1e-5)
    assert parts["rgb_to_narrow"].item() == pytest.approx(np.mean(back), rel=1e-5)
    others = parts["narrow_to_audio"] + parts["audio_to_narrow"]
    assert (parts["loss"] - others).item() == pytest.approx(towards + np.mean(back), rel=1e-5)


def test_one_projector_and_predictor_but_a_backbone_for_each_modality(small):
    method = small("brave", broad=["audio", "audio", "rgb", "rgb+rc", "flow"], **BROAD)
    assert list(method.broad_backbones) == ["audio", "rgb", "flow"]
    networks = [method.backbones["video"], *method.broad_backbones.values()]
    assert len({id(n) for n in networks}) == 4
    assert method.backbones["audio"] is method.broad_backbones["audio"]
    assert method.predictors() == [method.predictor]


def test_flow_has_a_network_of_two_channels(small, batch_of):
    method = small("brave", broad=["flow"], **BROAD)
    view = method.views["broad_0"]
    assert (view.modality, view.frames, view.fps, view.size) == ("flow", 4, 4, 32)
    batch = method.transform_batch(batch_of(method))
    assert batch["broad_0"].shape == (6, 2, 4, 32, 32)
    assert "broad_0.step" not in batch
    assert set(method.backbones) == {"video"}
    method.loss(method(batch), batch)["loss"].backward()
    assert all(p.grad is not None for p in method.broad_backbones["flow"].parameters())


def test_an_adapter_only_where_the_features_differ_in_size(small):
    same, different = small("brave"), small("brave", networks={
        "video": "r2plus1d_10", "video_args": {"width": 4}, "audio": "conv9_audio", "audio_args": {"width": 2},
    })  # fmt: skip
    assert isinstance(same.adapters["audio"], torch.nn.Identity)
    adapter = different.adapters["audio"]
    assert (adapter.in_features, adapter.out_features) == (16, 32)


def test_narrow_to_broad_moves_only_the_narrow_branch(small, batch_of):
    method = small("brave")
    batch = method.transform_batch(batch_of(method))
    e = method(batch)
    method.loss(e, batch)["narrow_to_audio"].backward()
    assert all(p.grad is not None for p in method.backbones["video"].parameters())
    assert all(p.grad is None for p in method.backbones["audio"].parameters())


def test_audio_starts_with_the_narrow_view_and_broad_video_anywhere(small):
    method = small("brave", broad=["audio", "rgb"], **BROAD)
    assert method.views["broad_0"].when == StartsWith("narrow")
    assert method.views["broad_1"].when == AnyStart()


def test_without_audio_there_is_no_audio_backbone_and_no_shared_space(small):
    method = small("brave", broad=["rgb", "rgb"], **BROAD)
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


@pytest.mark.parametrize(
    ("share", "networks", "projectors", "predictors"),
    [
        ([], 2, 2, 2),
        (["predictor"], 2, 2, 1),
        (["projector", "predictor"], 2, 1, 1),
        (["backbone", "projector"], 1, 1, 2),
        (["backbone", "projector", "predictor"], 1, 1, 1),
    ],
)
def test_the_rows_of_table_5(small, batch_of, share, networks, projectors, predictors):
    method = small("brave", broad=["rgb"], share=share, **BROAD)
    assert len({id(m) for m in (method.backbones["video"], method.broad_backbones["rgb"])}) == networks
    assert 1 + len(method.own_projectors) == projectors
    assert len(method.predictors()) == predictors
    batch = method.transform_batch(batch_of(method))
    method.loss(method(batch), batch)["loss"].backward()
    assert [n for n, p in method.named_parameters() if p.grad is None] == []


def test_sharing_changes_nothing_of_what_the_seed_draws(small):
    shared, own = small("brave", broad=["rgb"], **BROAD), small("brave", broad=["rgb"], share=[], **BROAD)
    mine = shared.state_dict()
    assert all(torch.equal(own.state_dict()[k], v) for k, v in mine.items())


def test_a_backbone_cannot_be_shared_by_different_inputs(small):
    for changes in ({"broad": ["audio", "rgb"]}, {"broad": ["rgb"], "broad_network": "r2plus1d_10"}):
        with pytest.raises(UserError, match=r"share: backbone needs rgb or rgb.rc as the only broad views"):
            small("brave", share=["backbone"], **changes)
    with pytest.raises(UserError, match="unknown module to share 'projecter'; did you mean projector"):
        small("brave", share=["projecter"])


def test_the_broad_network_is_for_the_broad_visual_views_alone(small, batch_of):
    method = small("brave", broad=["flow", "audio", "rgb"], broad_network="r2plus1d_18",
                   broad_network_args={"width": 2}, **BROAD)  # fmt: skip
    nets = method.broad_backbones
    assert (len(nets["rgb"].get_submodule("conv2x")), len(method.net("video").get_submodule("conv2x"))) == (
        2,
        1,
    )
    assert (nets["rgb"].num_features, nets["flow"].num_features, nets["audio"].num_features) == (16, 16, 32)
    assert nets["flow"].in_channels == 2
    assert (method.adapters["rgb"].in_features, method.adapters["rgb"].out_features) == (16, 32)
    batch = method.transform_batch(batch_of(method))
    assert torch.isfinite(method.loss(method(batch), batch)["loss"])
    same = small(
        "brave", broad=["rgb"], broad_network_args={"pool": "avg"}, **BROAD
    )  # over those of the narrow one
    assert (same.broad_backbones["rgb"].num_features, same.broad_backbones["rgb"].pooling) == (32, "avg")
    assert same.net("video").pooling == "max"


@pytest.mark.parametrize("broad", ["rgb+rc", "audio"])
def test_an_image_model(small, batch_of, broad):
    inputs = {"frames": 1, "fps": 8, "size": 32, "audio_seconds": 0.5, "front_end": "small"}
    method = small("brave", broad=[broad], inputs=inputs, **BROAD)  # appendix D
    raw = batch_of(method)
    assert raw["narrow"].shape == (6, 3, 1, 40, 40)
    batch = method.transform_batch(raw)
    method.loss(method(batch), batch)["loss"].backward()
    assert method.net("video")(torch.randn(2, 3, 1, 32, 32)).shape == (2, 32)


def test_heads_have_the_paper_s_sizes():
    method = create_method("brave", networks={"video": "r2plus1d_10", "audio": "resnet9_audio"})
    projector = [tuple(m.weight.shape) for m in method.projector if hasattr(m, "weight")]
    assert projector == [(4096, 512), (4096,), (128, 4096), (128,)]
    assert [tuple(m.weight.shape) for m in method.predictor if hasattr(m, "weight")] == [
        (4096, 128), (4096,), (128, 4096),
    ]  # fmt: skip
    assert {(m.momentum, m.eps) for m in method.projector if isinstance(m, torch.nn.BatchNorm1d)} == {
        (0.1, 1e-5)
    }
