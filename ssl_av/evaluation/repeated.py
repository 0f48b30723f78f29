"""What is logged now and then while a network trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl


class Repeated:
    """Numbers that are logged at some steps only.

    Lightning writes them into every row until the epoch ends, not only into that of their step. A training that goes on
    in the midst of an epoch would leave them out of the rest of its rows: its log would be another one.

    Attributes:
        values: that were logged last.
        epoch: in which they were.
    """

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.epoch = -1
        self._goes_on = False

    def begin(self) -> None:
        """A training begins, or goes on."""
        self._goes_on = True

    def log(self, trainer: pl.Trainer, pl_module: pl.LightningModule, values: Mapping[str, float]) -> None:
        """Logs numbers of the step that was just made."""
        self.values, self.epoch, self._goes_on = dict(values), trainer.current_epoch, False
        self._log(pl_module)

    def repeat(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """After a step without new numbers: logs the last ones where a training goes on within their epoch."""
        if self._goes_on and self.epoch == trainer.current_epoch:
            self._log(pl_module)
        self._goes_on = False

    def state_dict(self) -> dict[str, Any]:
        """Kept in the checkpoint."""
        return {"values": self.values, "epoch": self.epoch}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores what an interrupted run had logged; of an older checkpoint, nothing."""
        self.values, self.epoch = dict(state_dict.get("values", {})), state_dict.get("epoch", -1)

    def _log(self, pl_module: pl.LightningModule) -> None:
        for name, value in self.values.items():
            shown = name.startswith("val/probe")
            pl_module.log(name, value, on_step=True, on_epoch=False, prog_bar=shown)
