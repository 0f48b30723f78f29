from __future__ import annotations

import pytest
import torch
from torchvision.models.video import s3d

from ssl_av.backbones import create_backbone


@pytest.mark.parametrize(
    ("options", "parameters"),
    [({}, 7_910_048), ({"gating": True}, 9_098_000)],  # with gates BraVe table 6's 9.1M
)
def test_parameters(options: dict[str, bool], parameters: int) -> None:
    with torch.device("meta"):
        net = create_backbone("s3d", **options)
    assert sum(p.numel() for p in net.parameters()) == parameters
    assert net.num_features == 1024


def test_is_torchvisions_network() -> None:
    theirs, ours = s3d(weights=None).eval(), create_backbone("s3d").eval()
    weights = {k: v for k, v in theirs.state_dict().items() if not k.startswith("classifier")}
    ours.load_state_dict({f"net.{k}": v for k, v in weights.items()})  # strict: the same names
    x = torch.randn(1, 3, 8, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(ours.forward_features(x), theirs.features(x))


def test_a_gate_by_hand() -> None:
    gated = create_backbone("s3d", gating=True).eval().get_submodule("net.features.5.branch0")
    branch, gate = gated[0], gated[1]
    x = torch.randn(2, 192, 2, 3, 3)
    with torch.no_grad():
        y = branch(x)
        share = torch.sigmoid(y.mean((2, 3, 4)) @ gate.linear.weight.T + gate.linear.bias)
        torch.testing.assert_close(gated(x), torch.einsum("bcthw,bc->bcthw", y, share))


def test_two_channels_and_the_smallest_clip() -> None:
    net = create_backbone("s3d", in_channels=2).eval()
    with torch.no_grad():
        assert net(torch.randn(1, 2, 8, 17, 17)).shape == (1, 1024)
