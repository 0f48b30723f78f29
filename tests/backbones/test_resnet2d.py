from __future__ import annotations

import pytest
import timm
import torch

from ssl_av.backbones import create_backbone


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("resnet9_audio", 4_899_520), ("resnet18_audio", 11_170_240), ("resnet50_audio", 23_501_760)],
)
def test_parameters(name: str, parameters: int) -> None:
    with torch.device("meta"):
        net = create_backbone(name)
    assert sum(p.numel() for p in net.parameters()) == parameters
    assert net.num_features == (2048 if "50" in name else 512)


@pytest.mark.parametrize("name", ["resnet9", "resnet18", "resnet50"])
def test_is_timms_network(name: str) -> None:
    layers = {"layers": (1, 1, 1, 1)} if name == "resnet9" else {}
    theirs = timm.create_model("resnet18" if layers else name, in_chans=1, num_classes=0, **layers).eval()
    ours = create_backbone(f"{name}_audio").eval()
    ours.load_state_dict({f"net.{k}": v for k, v in theirs.state_dict().items()})  # strict: the same names
    x = torch.randn(1, 1, 40, 24)
    with torch.no_grad():
        torch.testing.assert_close(ours.forward_features(x), theirs.forward_features(x))
        torch.testing.assert_close(ours(x), theirs(x))


def test_crisscross_table_s6() -> None:
    with torch.device("meta"):
        net, x = create_backbone("resnet18_audio"), torch.empty(2, 1, 200, 80)
    found = {}
    for stage in net.stages:
        x = net.get_submodule(stage)(x)
        found[stage.removeprefix("net.")] = list(x.shape[1:])
    assert found["maxpool"] == found["layer1"] == [64, 50, 20]
    assert [found[f"layer{k}"] for k in (2, 3, 4)] == [[128, 25, 10], [256, 13, 5], [512, 7, 3]]


@pytest.mark.parametrize(
    ("name", "widths"), [("resnet18", [8, 8, 16, 32, 64]), ("resnet50", [8, 32, 64, 128, 256])]
)
def test_a_narrow_network_is_narrow_throughout(name: str, widths: list[int]) -> None:
    net, x, found = create_backbone(f"{name}_audio", width=8), torch.randn(2, 1, 40, 24), []
    for stage in net.stages:
        x = net.get_submodule(stage)(x)
        found.append(x.shape[1])
    assert found[3:] == widths


def test_residual_branches_are_alive_at_the_start() -> None:
    """timm starts the last normalisation of a branch at zero; the papers' code does not."""
    net = create_backbone("resnet9_audio", width=8)
    assert all((m.weight == 1).all() for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d))
