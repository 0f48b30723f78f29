from __future__ import annotations

import time

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from ssl_av.training.accounting import Clock


class Slow(pl.LightningModule):
    """Augments for ten times as long as it trains."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def on_after_batch_transfer(self, batch: torch.Tensor, dataloader_idx: int) -> torch.Tensor:
        time.sleep(0.05)
        return batch

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        time.sleep(0.005)
        return self.layer(batch).sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def test_the_clock_counts_augmenting_as_training() -> None:
    clock = Clock()
    trainer = pl.Trainer(
        max_steps=4, profiler=clock, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, accelerator="cpu",
    )  # fmt: skip
    trainer.fit(Slow(), DataLoader(torch.randn(4, 2)))  # type: ignore[arg-type]
    assert clock.seconds[Clock.AUGMENT] >= 4 * 0.05
    assert clock.seconds[Clock.STEP] >= 4 * 0.005
    assert clock.total == sum(clock.seconds.values()) > clock.wait
