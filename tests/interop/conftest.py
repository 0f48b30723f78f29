"""Official networks, written anew from their papers and parameter names in plain torch, with random weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def randomise(net: nn.Module) -> nn.Module:
    """Weights of which each one counts: norms with statistics, and small enough that nothing overflows."""
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return net.eval()


@pytest.fixture(name="randomise")
def randomise_fixture():
    return randomise
