from __future__ import annotations

import torch

from ssl_av.backbones import create_backbone


def test_parameters_and_convolutions() -> None:
    with torch.device("meta"):
        net = create_backbone("conv9_audio")
    assert sum(p.numel() for p in net.parameters()) == 4_725_696
    assert sum(isinstance(m, torch.nn.Conv2d) for m in net.modules()) == 9


def test_avid_table_10() -> None:
    found = []
    with torch.device("meta"):
        net, x = create_backbone("conv9_audio"), torch.empty(2, 1, 200, 257)
    for stage in net.stages:
        x = net.get_submodule(stage)(x)
        found.append(list(x.shape[1:]))
    assert found == [[64, 100, 129], [64, 50, 65], [128, 25, 33], [256, 13, 17], [512, 13, 17]]


def test_avid_table_9() -> None:
    with torch.device("meta"):
        maps = create_backbone("conv9_audio", strides=(1, 2, 2, 1)).forward_stages(
            torch.empty(2, 1, 100, 129)
        )
    want = [[64, 50, 65], [64, 50, 65], [128, 25, 33], [256, 13, 17], [512, 13, 17]]
    assert [list(m.shape[1:]) for m in maps.values()] == want


def test_max_pools_by_default() -> None:
    net = create_backbone("conv9_audio", width=2)
    features = torch.randn(2, 16, 3, 4)
    torch.testing.assert_close(net.pool(features), features.amax((2, 3)))
