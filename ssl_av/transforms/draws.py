"""Random parameters for batched augmentation."""

from __future__ import annotations

import torch
from torch import Tensor


class Draw:
    """Random numbers, one row a sample, always handed out on the CPU.

    Parameters are a few numbers a sample. Drawn on the CPU they are the same whichever device augments
    the batch, and "does any sample want this?" is answered without waiting for the device.

    Args:
        generator: where the numbers come from; the global CPU generator when None.
    """

    def __init__(self, generator: torch.Generator | None = None) -> None:
        self.generator = generator
        self.device = generator.device if generator is not None else torch.device("cpu")

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform in [low, high)."""
        unit = torch.rand(shape, generator=self.generator, device=self.device).cpu()
        return unit * (high - low) + low

    def normal(self, *shape: int) -> Tensor:
        """Standard normal."""
        return torch.randn(shape, generator=self.generator, device=self.device).cpu()

    def chance(self, n: int, p: float) -> Tensor:
        """Booleans [n], True with probability `p`."""
        return self.uniform(n) < p

    def below(self, bound: Tensor) -> Tensor:
        """Whole numbers uniform in 0 .. bound - 1, one for each entry of `bound` (>= 1)."""
        return (self.uniform(*bound.shape) * bound).floor().long().minimum(bound.long() - 1)

    def orders(self, n: int, length: int) -> Tensor:
        """Permutations of 0 .. length - 1, one a row: [n, length]."""
        return self.uniform(n, length).argsort(dim=1)
