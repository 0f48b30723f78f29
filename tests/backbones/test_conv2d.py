from __future__ import annotations

import torch

from ssl_av.backbones import create_backbone


def shapes(strides: tuple[int, ...], *shape: int) -> list[list[int]]:
    with torch.device("meta"):
        net = create_backbone("conv9_audio", strides=strides)
        return [list(y.shape[1:]) for y in net.forward_stages(torch.empty(shape)).values()]


def test_parameters_and_convolutions() -> None:
    with torch.device("meta"):
        net = create_backbone("conv9_audio")
    assert sum(p.numel() for p in net.parameters()) == 4_725_696
    assert sum(isinstance(m, torch.nn.Conv2d) for m in net.modules()) == 9
    assert net.pool_type == "max"


def test_avid_table_9() -> None:
    got = shapes((1, 2, 2, 1), 2, 1, 100, 129)
    assert got == [[64, 50, 65], [64, 50, 65], [128, 25, 33], [256, 13, 17], [512, 13, 17]]


def test_avid_table_10() -> None:
    got = shapes((2, 2, 2, 1), 2, 1, 200, 257)
    assert got == [[64, 100, 129], [64, 50, 65], [128, 25, 33], [256, 13, 17], [512, 13, 17]]
