"""A run's W&B run: how it begins or goes on, and what is added when it is over."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl_av.errors import UserError
from ssl_av.text import read_json
from ssl_av.tracking.flat import flat
from ssl_av.tracking.media import media
from ssl_av.tracking.settings import Tracking
from ssl_av.tracking.tensorboard import finish_board
from ssl_av.whole import whole_file

if TYPE_CHECKING:
    from pytorch_lightning.loggers import WandbLogger

    from ssl_av.config import RunConfig

#: keeps the id of a folder's W&B run, so that an interrupted one is continued and not begun anew
ID_FILE = "wandb-id.json"


def run_id(folder: Path) -> str:
    """The id of a folder's W&B run; made when it is first asked for.

    Args:
        folder: of a run or of a suite.
    """
    try:
        return str(read_json(folder / ID_FILE)["id"])
    except (UserError, KeyError, TypeError):  # not there, or cut off: a new run is what remains
        return keep_id(folder, uuid.uuid4().hex[:12])


def keep_id(folder: Path, run: str) -> str:
    """Notes a W&B run's id in its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / ID_FILE) as file:
        file.write(json.dumps({"id": run}))
    return run


def wandb_logger(config: RunConfig, folder: Path, run: str | None) -> WandbLogger | None:
    """The W&B logger of a run, or None where nothing is logged there.

    Args:
        config: of the run, which becomes the config of the W&B run.
        folder: of the run.
        run: id of the W&B run that goes on, as the checkpoint of an interrupted run has it; None: a new one.
    """
    tracking = Tracking.of(config.wandb)
    if not tracking.on:
        return None
    from pytorch_lightning.loggers import WandbLogger
    from pytorch_lightning.utilities.rank_zero import rank_zero_only

    where, run = tracking.where(), run or uuid.uuid4().hex[:12]
    if getattr(rank_zero_only, "rank", 0) == 0:
        keep_id(folder, run)
    return WandbLogger(
        name=f"{config.name}-seed{config.seed}",
        project=where["project"],
        entity=where["entity"],
        offline=where["mode"] == "offline",
        group=config.suite or None,
        job_type="run",
        tags=[*tracking.tags, config.method["name"], config.data["name"]],
        save_dir=str(folder),
        id=run,
        resume="allow",
        config=config.to_dict(),
    )


def begin_run(logger: WandbLogger) -> None:
    """Begins a W&B run, before anything is trained.

    Raises:
        UserError: if W&B does not take it.
    """
    try:
        _ = logger.experiment
    except Exception as e:  # W&B's client raises many kinds for no network, no account, no right
        raise UserError(
            f"W&B did not begin the run: {_line(e)}; --wandb offline needs neither account nor network"
        ) from e


def finish_run(config: RunConfig, record: Mapping[str, Any], folder: Path) -> None:
    """Completes what a run has at W&B and TensorBoard, the training's or an untrained method's first.

    Their trouble is told, not raised: what was trained and measured must not become a failed run.

    Args:
        config: of the run.
        record: of the run, which is written already.
        folder: of the run.
    """
    tracking = Tracking.of(config.wandb)
    asked = (("TensorBoard", config.tensorboard, finish_board), ("W&B", tracking.on, _finish_wandb))
    for name, on, finish in asked:
        try:
            if on:
                finish(config, record, folder)
        except Exception as e:
            print(
                f"ssl-av: warning: {name} has not got all of {folder.name}: {_line(e)}; its record is in the folder",
                file=sys.stderr,
            )


def _finish_wandb(config: RunConfig, record: Mapping[str, Any], folder: Path) -> None:
    logger = wandb_logger(config, folder, run_id(folder))
    assert logger is not None
    _complete(logger, record, folder, Tracking.of(config.wandb))


def _line(e: Exception) -> str:
    return " ".join(str(e).split())[:200] or type(e).__name__


def _complete(logger: WandbLogger, record: Mapping[str, Any], folder: Path, tracking: Tracking) -> None:
    """The record's numbers as the run's summary, the pictures, the checkpoint.

    Args:
        logger: of the run.
        record: of the run.
        folder: of the run.
        tracking: whether pictures are logged, and the last checkpoint as an artifact.
    """
    import wandb

    run = logger.experiment
    run.summary.update(flat(record))
    if tracking.media and (found := media(folder / "figures")):
        run.log(found)
    if tracking.checkpoints:
        artifact = wandb.Artifact(f"{record['method']}-seed{record['seed']}-{run.id}", type="model")
        artifact.add_file(str(folder / "checkpoints" / "last.ckpt"))
        run.log_artifact(artifact)
    run.finish()
