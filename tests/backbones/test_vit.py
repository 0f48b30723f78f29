from __future__ import annotations

import math

import pytest
import torch

from ssl_av.backbones import create_backbone
from ssl_av.errors import UserError


def test_parameters_by_hand() -> None:
    with torch.device("meta"):
        net = create_backbone("vit_small_tubelet")
    w = 384
    block = 4 * w + (3 * w * w + 3 * w) + (w * w + w) + (8 * w * w + 5 * w)
    assert sum(p.numel() for p in net.parameters()) == (3 * 2 * 16 * 16 + 1) * w + 12 * block + 2 * w


def test_map_is_the_grid_of_tubelets() -> None:
    net = create_backbone("vit_small_tubelet", width=24, depth=1, heads=2, tubelet=(2, 8, 4)).eval()
    assert net.forward_features(torch.randn(1, 3, 6, 16, 16)).shape == (1, 24, 3, 2, 4)
    assert net.stages == ("embed", "block1", "norm")


def test_places_are_sines_and_cosines() -> None:
    net = create_backbone("vit_small_tubelet", width=12, depth=1, heads=2, tubelet=(1, 2, 2)).eval()
    embed = net.get_submodule("embed")
    torch.nn.init.zeros_(embed.projection.weight)
    torch.nn.init.zeros_(embed.projection.bias)
    got = embed(torch.zeros(1, 3, 3, 4, 6))[0]
    for t in range(3):
        for h in range(2):
            for w in range(3):
                want = [f(p / r) for p in (t, h, w) for f in (math.sin, math.cos) for r in (1, 100)]
                torch.testing.assert_close(got[:, t, h, w], torch.tensor(want))


def test_order_in_time_matters() -> None:
    net = create_backbone("vit_small_tubelet", width=24, depth=1, heads=2).eval()
    x = torch.randn(1, 3, 4, 16, 16)
    with torch.no_grad():
        assert not torch.allclose(net(x), net(x[:, :, [2, 3, 0, 1]]), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 20}, r"width must be a multiple of 6 and of heads \(6\), got 20"),
        ({"width": 18, "heads": 4}, "multiple of 6 and of heads"),
        ({"tubelet": [2, 16]}, "tubelet must be 3 numbers"),
        ({"depth": 0}, "depth must be a whole number above 0"),
    ],
)
def test_mistakes_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        create_backbone("vit_small_tubelet", **options)
