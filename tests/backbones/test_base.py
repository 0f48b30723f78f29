"""What holds for every backbone."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ssl_av.backbones import Backbone, create_backbone, list_backbones
from ssl_av.backbones.base import channels_last

SMALL: dict[str, dict[str, Any]] = {n: {"width": 4} for n in list_backbones()}
SMALL |= {"s3d": {"gating": True}, "vit_small_tubelet": {"width": 12, "depth": 2, "heads": 2}}
CLIPS = {"s3d": (2, 3, 8, 18, 24), "vit_small_tubelet": (2, 3, 2, 16, 32)}
CLIP, SPECTROGRAM = (2, 3, 2, 16, 24), (2, 1, 40, 24)
RECURRING = ["r2plus1d_10", "r2plus1d_18_tran", "r3d_50", "tsm_resnet50", "s3d", "vit_small_tubelet",
             "conv9_audio", "resnet9_audio", "resnet50v2_audio"]  # fmt: skip


def build(name: str) -> tuple[Backbone, torch.Tensor]:
    net = create_backbone(name, **SMALL[name]).eval()
    return net, torch.randn(CLIPS.get(name, CLIP) if net.modality == "video" else SPECTROGRAM)


@pytest.mark.parametrize("name", list_backbones())
def test_pooled_features_are_the_pooled_last_map(name: str) -> None:
    net, x = build(name)
    seen: dict[str, torch.Tensor] = {}
    for stage in net.stages:  # probing a stage: a hook on the module of that name
        net.get_submodule(stage).register_forward_hook(lambda _, __, y, s=stage: seen.update({s: y.clone()}))
    with torch.no_grad():
        features = net.forward_features(x)
        assert list(seen) == list(net.stages)
        torch.testing.assert_close(seen[net.stages[-1]], features)
        pooled = net(x)
        maps = net.forward_stages(x)
    assert list(maps) == list(net.stages)
    for stage, y in maps.items():  # none was changed in place by what came after it
        assert y.ndim == x.ndim
        torch.testing.assert_close(y, seen[stage], rtol=0, atol=0)
    assert pooled.shape == (2, net.num_features)
    assert features.shape[:2] == (2, net.num_features)
    assert features.ndim == x.ndim
    torch.testing.assert_close(net.pool(features), pooled)


@pytest.mark.parametrize("name", RECURRING)
def test_every_parameter_learns(name: str) -> None:
    net, x = build(name)
    net.train()(x).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize(
    ("pool", "torch_pool"), [("max", "adaptive_max_pool3d"), ("avg", "adaptive_avg_pool3d")]
)
def test_pool_equals_adaptive_pooling_with_its_gradient(pool: str, torch_pool: str) -> None:
    net = create_backbone("r2plus1d_10", width=2, pool=pool)
    ours = torch.randn(2, 16, 2, 3, 4, requires_grad=True)
    theirs = ours.detach().clone().requires_grad_()
    got, want = net.pool(ours), getattr(torch.nn.functional, torch_pool)(theirs, 1).flatten(1)
    torch.testing.assert_close(got, want)
    got.square().sum().backward()
    want.square().sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_pools_any_crop_of_the_map() -> None:
    net, x = build("r2plus1d_10")
    features = net.forward_features(x)
    assert net.pool(features[..., :1, :1]).shape == (2, net.num_features)


@pytest.mark.parametrize(
    ("name", "shape", "wanted"),
    [
        ("r2plus1d_10", (2, 4, 3, 32, 32), r"\[B, 3, T, H, W\]"),
        ("r2plus1d_10", (3, 4, 32, 32), r"\[B, 3, T, H, W\]"),
        ("r2plus1d_18_torchvision", (2, 1, 4, 32, 32), r"\[B, 3, T, H, W\]"),
        ("tsm_resnet50", (2, 4, 3, 32, 32), r"\[B, 3, T, H, W\]"),
        ("tsm_resnet50", (8, 3, 32, 32), r"\[B, 3, T, H, W\]"),
        ("resnet50v2_audio", (2, 3, 40, 24), r"\[B, 1, time, frequency\]"),
        ("conv9_audio", (2, 40, 24), r"\[B, 1, time, frequency\]"),
        ("resnet9_audio", (2, 3, 40, 24), r"\[B, 1, time, frequency\]"),
    ],
)
def test_a_wrong_layout_is_named(name: str, shape: tuple[int, ...], wanted: str) -> None:
    net, _ = build(name)
    got = ", ".join(map(str, shape))
    with pytest.raises(ValueError, match=rf"{wanted}, got \[{got}\]"):
        net(torch.zeros(shape))


@pytest.mark.parametrize(
    ("name", "shape"),
    [("r2plus1d_10", (2, 3, 4, 6, 32)), ("r2plus1d_10", (2, 3, 0, 32, 32)), ("resnet9_audio", (2, 1, 40, 4))],
)
def test_a_view_too_small_is_named(name: str, shape: tuple[int, ...]) -> None:
    net, _ = build(name)
    with pytest.raises(ValueError, match=r"of at least \[(1, )?7, 7\], got \[2, "):
        net(torch.zeros(shape))


@pytest.mark.parametrize(
    ("name", "shape", "wanted"),
    [
        ("s3d", (1, 3, 7, 32, 32), r"at least \[8, 17, 17\], got \[1, 3, 7"),
        ("s3d", (1, 3, 8, 16, 32), r"at least \[8, 17, 17\]"),
        ("vit_small_tubelet", (1, 3, 1, 32, 32), r"at least \[2, 16, 16\]"),
        ("vit_small_tubelet", (1, 3, 4, 32, 40), r"multiples of \[2, 16, 16\], got \[1, 3, 4, 32, 40\]"),
    ],
)
def test_a_view_that_this_network_cannot_take_is_named(
    name: str, shape: tuple[int, ...], wanted: str
) -> None:
    net, _ = build(name)
    for call in (net, net.forward_stages):
        with pytest.raises(ValueError, match=wanted):
            call(torch.zeros(shape))


@pytest.mark.parametrize("name", [n for n in list_backbones("video") if n not in CLIPS])
@pytest.mark.parametrize("shape", [(1, 17, 23), (3, 33, 7)])
def test_a_single_frame_and_odd_sizes(name: str, shape: tuple[int, ...]) -> None:
    net, _ = build(name)
    with torch.no_grad():
        y = net(torch.randn(2, 3, *shape))
    assert y.shape == (2, net.num_features)
    assert y.isfinite().all()


@pytest.mark.parametrize("name", list_backbones())
def test_a_papers_input_on_the_meta_device(name: str) -> None:
    with torch.device("meta"):
        net = create_backbone(name)
        x = torch.empty((2, 3, 16, 224, 224) if net.modality == "video" else (2, 1, 200, 80))
        assert net(x).shape == (2, net.num_features)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["r2plus1d_10", "tsm_resnet50", "vit_small_tubelet"])
def test_compiles_as_one_graph(name: str) -> None:
    torch.compiler.reset()
    net, x = build(name)
    with torch.no_grad():
        want = net(x)
        got = torch.compile(net, backend="eager", fullgraph=True)(x)
    torch.testing.assert_close(got, want)


def test_unnormalised_frames_are_refused() -> None:
    net, x = build("r2plus1d_10")
    with pytest.raises(ValueError, match=r"floating point input, got torch\.uint8"):
        net(x.to(torch.uint8))


@pytest.mark.parametrize("name", ["r2plus1d_10", "r2plus1d_18_torchvision", "tsm_resnet50", "r3d_50"])
def test_channels_last_3d_gives_the_same_features(name: str) -> None:
    net, x = build(name)
    with torch.no_grad():
        want = net(x)
        last = channels_last(net).forward_features(x.to(memory_format=torch.channels_last_3d))
    torch.testing.assert_close(net.pool(last), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", RECURRING)
def test_bfloat16_autocast_is_close(name: str) -> None:
    net, x = build(name)
    with torch.no_grad():
        want = net(x)
        with torch.autocast("cpu", torch.bfloat16):
            got = net(x).float()
    assert torch.nn.functional.cosine_similarity(got, want).min() > 0.99
