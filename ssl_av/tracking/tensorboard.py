"""TensorBoard: the scalars of a training, and its settings, results and pictures once it is over."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl_av.errors import UserError
from ssl_av.tracking.flat import flat

if TYPE_CHECKING:
    from pytorch_lightning.loggers import TensorBoardLogger

    from ssl_av.config import RunConfig

FOLDER = "tensorboard"
"""In a run's folder: `tensorboard --logdir SUITE` finds those of all its runs."""


def check_tensorboard() -> None:
    """Raises a `UserError` where nothing is there that writes its files."""
    if not any(importlib.util.find_spec(name) for name in ("tensorboard", "tensorboardX")):
        raise UserError("--tensorboard needs TensorBoard: pip install 'ssl-av[tensorboard]'")


def board_logger(folder: Path, step: int = 0) -> TensorBoardLogger:
    """Lightning's logger of a run.

    Args:
        folder: of the run.
        step: steps that are done; what a process that was killed logged of later ones is not shown.
    """
    from pytorch_lightning.loggers import TensorBoardLogger

    check_tensorboard()
    purge: dict[str, Any] = {"purge_step": step} if step else {}
    return TensorBoardLogger(folder, name="", version=FOLDER, default_hp_metric=False, **purge)


def finish_board(config: RunConfig, record: Mapping[str, Any], folder: Path) -> None:
    """Adds settings beside results, for the page of hyperparameters, and the pictures of ``figures/``.

    Args:
        config: of the run.
        record: of the run.
        folder: of the run.
    """
    import numpy as np
    from PIL import Image

    logger = board_logger(folder)
    steps = int(((record.get("budget") or {}).get("spent") or {}).get("steps") or 0)
    results = {k: v for k, v in flat(record).items() if k.startswith("results/") and not isinstance(v, str)}
    logger.log_hyperparams(config.to_dict(), results)
    for file in sorted((folder / "figures").glob("*.png")):
        with Image.open(file) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        logger.experiment.add_image(f"figures/{file.stem}", pixels, steps, dataformats="HWC")
    logger.finalize("success")
