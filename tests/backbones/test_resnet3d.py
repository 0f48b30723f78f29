from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models.video import r2plus1d_18, r3d_18

from ssl_av.backbones import Backbone, create_backbone
from ssl_av.backbones.video_resnet import Factored


def on_meta(name: str, **kw: object) -> Backbone:
    with torch.device("meta"):
        return create_backbone(name, **kw)


def size(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize(
    ("name", "parameters", "classes", "published"),
    [
        ("r2plus1d_18_torchvision", 31_300_125, 400, "31.5"),  # CrissCross table 6
        ("r2plus1d_18_tran", 33_165_639, 400, "33.3"),  # BraVe table 6
        ("r2plus1d_50", 46_165_457, 400, "46.9"),
        ("r3d_18", 33_166_272, 400, "33.3"),  # 33.37: CrissCross table 6 rounds it to 33.4
        ("r3d_50", 31_634_496, 101, "31.8"),  # BraVe table 6
    ],
)
def test_parameters(name: str, parameters: int, classes: int, published: str) -> None:
    """The papers' numbers, cut to a tenth of a million, count a classifier."""
    net = on_meta(name)
    assert size(net) == parameters
    whole = parameters + (net.num_features + 1) * classes
    assert str(whole / 1e6).startswith(published)


@pytest.mark.parametrize(("name", "build"), [("r2plus1d_18_torchvision", r2plus1d_18), ("r3d_18", r3d_18)])
def test_is_torchvisions_network(name: str, build: type[nn.Module]) -> None:
    torch.manual_seed(0)
    theirs = build(weights=None).eval()
    torch.manual_seed(0)
    ours = create_backbone(name).eval()
    theirs.fc = nn.Identity()
    for key, value in theirs.state_dict().items():  # the same names, and the same start from the same seed
        assert torch.equal(ours.state_dict()[f"net.{key}"], value), key
    assert len(ours.state_dict()) == len(theirs.state_dict())
    x = torch.randn(1, 3, 2, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("r2plus1d_18_tran", [[64, 16, 56], [64, 16, 56], [128, 8, 28], [256, 4, 14], [512, 2, 7]]),
        ("r3d_18", [[64, 16, 56], [64, 16, 56], [128, 8, 28], [256, 4, 14], [512, 2, 7]]),
        ("r2plus1d_50", [[64, 16, 56], [256, 16, 56], [512, 8, 28], [1024, 4, 14], [2048, 2, 7]]),
        ("r3d_50", [[64, 16, 28], [256, 16, 28], [512, 16, 14], [1024, 16, 7], [2048, 16, 4]]),
    ],
)
def test_maps(name: str, want: list[list[int]]) -> None:
    maps = on_meta(name).forward_stages(torch.empty(2, 3, 16, 112, 112, device="meta"))
    assert [list(m.shape[1:4]) for m in maps.values()] == want


def test_slow_pathway_sees_time_only_in_its_last_two_stages() -> None:
    net = on_meta("r3d_50")
    seen: dict[str, set[tuple[int, ...]]] = {}
    for name, m in net.named_modules():
        if isinstance(m, nn.Conv3d) and "downsample" not in name:
            stage = name.split(".")[1]
            seen.setdefault(stage, set()).add(m.kernel_size)
            assert m.stride[0] == 1
    assert seen == {
        "stem": {(1, 7, 7)},
        "layer1": {(1, 1, 1), (1, 3, 3)},
        "layer2": {(1, 1, 1), (1, 3, 3)},
        "layer3": {(3, 1, 1), (1, 3, 3), (1, 1, 1)},
        "layer4": {(3, 1, 1), (1, 3, 3), (1, 1, 1)},
    }
    first = net.get_submodule("net.layer3.1.conv1.0")
    assert (first.kernel_size, first.padding) == ((3, 1, 1), (1, 0, 0))


@pytest.mark.parametrize(("inputs", "outputs"), [(64, 64), (64, 128), (128, 128), (256, 512)])
def test_a_factored_convolution_has_the_parameters_of_the_full_one(inputs: int, outputs: int) -> None:
    pair = Factored(inputs, outputs, midplanes=1)
    got = sum(m.weight.numel() for m in pair if isinstance(m, nn.Conv3d))
    full = 27 * inputs * outputs
    assert full - (9 * inputs + 3 * outputs) < got <= full


@pytest.mark.parametrize("name", ["r2plus1d_18_torchvision", "r2plus1d_18_tran", "r3d_18"])
def test_a_narrow_network_is_narrow_throughout(name: str) -> None:
    maps = on_meta(name, width=8).forward_stages(torch.empty(1, 3, 4, 32, 32, device="meta"))
    assert [m.shape[1] for m in maps.values()] == [8, 8, 16, 32, 64]


@pytest.mark.parametrize("name", ["r2plus1d_50", "r3d_50"])
def test_a_narrow_deep_network_is_narrow_throughout(name: str) -> None:
    net = on_meta(name, width=8, in_channels=2)
    maps = net.forward_stages(torch.empty(1, 2, 4, 32, 32, device="meta"))
    assert [m.shape[1] for m in maps.values()] == [8, 32, 64, 128, 256]
    assert net.num_features == 256
    with pytest.raises(ValueError, match=r"\[B, 2, T, H, W\], got \[1, 3"):
        net(torch.empty(1, 3, 4, 32, 32, device="meta"))
