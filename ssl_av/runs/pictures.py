"""A run's pictures: what its method sees, and what its features look like."""

from __future__ import annotations

from pathlib import Path

from ssl_av.config import RunConfig
from ssl_av.data.datamodule import AVDataModule
from ssl_av.data.show import look
from ssl_av.data.show_drawing import draw
from ssl_av.errors import UserError
from ssl_av.evaluation.glance import Glance
from ssl_av.methods.base import Method
from ssl_av.tracking import Tracking
from ssl_av.training.rng import undisturbed

VIEWS = "views.png"
SAMPLES, DPI = 2, 90
"""Of the picture of the views: a page a sample."""


def wanted(config: RunConfig) -> bool:
    """Whether a run draws: asked for, or logged to where pictures are shown."""
    tracking = Tracking.of(config.wandb)
    return config.evaluation.figures or config.tensorboard or (tracking.on and tracking.media)


def draw_pictures(
    config: RunConfig, method: Method, data: AVDataModule, glance: Glance, out: Path
) -> list[str]:
    """Draws into a folder, once the run is measured; nothing random of it is disturbed.

    Args:
        config: of the run.
        method: whose views and features they are; on the CPU and in training mode afterwards.
        data: of the run.
        glance: the features that it was measured on.
        out: the folder; `VIEWS` is of a method that trains, the others are `Glance.draw`'s.

    Returns:
        The names of the files.
    """
    with undisturbed():
        drawn = glance.draw(method, data, out, config.seed, config.evaluation.map)
        return [*_views(config, method, data, out), *drawn]


def _views(config: RunConfig, method: Method, data: AVDataModule, out: Path) -> list[str]:
    if not method.trains:
        return []
    try:
        seen, _ = look(config, data.manifest, SAMPLES, method.cpu())
    except UserError:  # no sample can be read any more: the record says which
        return []
    out.mkdir(parents=True, exist_ok=True)
    draw(method.name, config.data["name"], config.seed, seen).savefig(out / VIEWS, dpi=DPI)
    return [VIEWS]
