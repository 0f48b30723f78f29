"""What happens to a batch whose loss is NaN or infinite (``--safety.on_nonfinite``)."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _NormBase

from ssl_av.errors import NotFinite, WeightNotFinite

IN_A_ROW = 10
"""So many batches one after another are not to blame on the data: the training ends after all."""


class PassOver(pl.Callback):
    """Passes over batches whose loss is not finite: no step is made, the running statistics are as before it.

    Attributes:
        skipped: how many batches.
    """

    def __init__(self) -> None:
        self.skipped = 0
        self.in_a_row = 0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Puts itself around the training step, which fails on all ranks alike."""
        step = pl_module.training_step

        def training_step(batch: Any, batch_idx: int) -> Any:
            before = _statistics(pl_module)
            try:
                found = step(batch, batch_idx)
            except WeightNotFinite:  # the next batch finds it as it is
                raise
            except NotFinite as e:
                for tensor, value in before:
                    tensor.copy_(value)
                self._count(e)
                return None
            self.in_a_row = 0
            return found

        pl_module.training_step = training_step  # type: ignore[method-assign]

    def _count(self, error: NotFinite) -> None:
        self.skipped += 1
        self.in_a_row += 1
        if self.in_a_row > IN_A_ROW:
            raise NotFinite(f"{error}. {IN_A_ROW} batches before this one were passed over") from error

    def state_dict(self) -> dict[str, Any]:
        """Kept in the checkpoint."""
        return {"skipped": self.skipped, "in_a_row": self.in_a_row}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the counts."""
        self.skipped, self.in_a_row = state_dict["skipped"], state_dict["in_a_row"]


@torch.no_grad()
def _statistics(module: torch.nn.Module) -> list[tuple[Tensor, Tensor]]:
    """The running statistics of all norms, and copies: a forward pass moves them whatever becomes of its loss."""
    norms = (m for m in module.modules() if isinstance(m, _NormBase))
    return [(b, b.clone()) for norm in norms for b in norm.buffers(recurse=False)]
