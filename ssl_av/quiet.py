"""Silences what the libraries say that is no news to the user."""

from __future__ import annotations

import logging
import sys
import warnings


def quiet() -> None:
    """Called before training: Lightning's hints about workers and hardware are settled by our settings."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",
        ".*Checkpoint directory.*exists and is not empty.*",
        ".*`training_step` returned `None`.*",
        ".*The number of training batches.*is smaller than the logging interval.*",
        ".*lr_scheduler.step.*before.*optimizer.step.*",
        ".*checkpoint that ended before the epoch ended.*",  # it goes on where it was (`AVDataModule.begin_at`)
        ".*overridden `on_after_batch_transfer` in `LightningModule`.*",  # where the transforms are
        ".*isinstance\\(treespec, LeafSpec\\).*",  # Lightning's own
        ".*module.s. in eval mode at the start of training.*",  # a frozen backbone is meant to be
    ):
        warnings.filterwarnings("ignore", message=message)


def timm_alone() -> None:
    """Imports timm, which would import W&B: that makes folders for temporary files, which a forked process leaves."""
    if "wandb" in sys.modules:
        return
    sys.modules["wandb"] = None  # type: ignore[assignment]  # to an import it is not installed
    try:
        import timm.models  # noqa: F401
    finally:
        del sys.modules["wandb"]
