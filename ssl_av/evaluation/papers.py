"""What BraVe's fine-tuning chose for each backbone (table 7), as protocols."""

from __future__ import annotations

from dataclasses import replace

from ssl_av.errors import unknown
from ssl_av.evaluation.protocols import Protocol, load_protocol

DATASETS = ("hmdb51", "ucf101")

#: by recipe: dropout, rate, decay for HMDB51 and for UCF101
TABLE_7: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "vv3-tsm50-k600": ((0.5, 0.03, 1e-7), (0.1, 0.1, 1e-7)),
    "vf3-tsm50-k600": ((0.5, 0.03, 1e-7), (0.5, 0.1, 0.0)),
    "vv3-r3d50-k600": ((0.5, 0.3, 0.0), (0.1, 0.1, 1e-7)),
    "vf3-r3d50-k600": ((0.8, 0.03, 0.0), (0.1, 0.3, 1e-7)),
    "vv3-r3d50-k400": ((0.1, 0.3, 0.0), (0.1, 0.3, 1e-7)),
    "vf3-r3d50-k400": ((0.5, 0.03, 1e-7), (0.1, 0.3, 1e-7)),
    "va-r2plus1d18-as": ((0.8, 0.3, 1e-7), (0.8, 0.1, 1e-7)),
    "va-tsm50-as": ((0.8, 0.03, 1e-7), (0.5, 0.1, 0.0)),
    "vfa-tsm50-as": ((0.8, 0.03, 1e-7), (0.5, 0.1, 0.0)),
    "vfa-r2plus1d50-as": ((0.5, 0.015, 1e-7), (0.5, 0.15, 0.0)),
    "vfa-tsm50x2-as": ((0.8, 0.05, 1e-7), (0.1, 0.15, 1e-7)),
}
LARGE = ("vfa-r2plus1d50-as", "vfa-tsm50x2-as")
"""Trained in batches of 128, at half of the grid's rates."""


def brave_row(dataset: str, recipe: str) -> Protocol:
    """The protocol ``brave-finetune`` with a row of table 7, under a name of its own.

    >>> ssl_av.evaluate("brave.ckpt", brave_row("ucf101", "va-tsm50-as"), data)  # doctest: +SKIP

    Args:
        dataset: ``hmdb51`` or ``ucf101``.
        recipe: of BraVe, without the ``brave/``.

    Raises:
        UserError: for another name.
    """
    if dataset not in DATASETS:
        raise unknown("data set of BraVe's table 7", dataset, DATASETS)
    if recipe not in TABLE_7:
        raise unknown("recipe of BraVe's table 7", recipe, TABLE_7)
    dropout, lr, decay = TABLE_7[recipe][DATASETS.index(dataset)]
    base = load_protocol("brave-finetune")
    optim = replace(base.settings.optim, lr=lr, weight_decay=decay)
    batch = 128 if recipe in LARGE else base.settings.batch_size
    settings = replace(base.settings, optim=optim, dropout=dropout, batch_size=batch)
    return replace(base, name=f"brave-finetune-{dataset}-{recipe}", settings=settings, source="BraVe table 7")
