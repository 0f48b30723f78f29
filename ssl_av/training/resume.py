"""Which checkpoint a training goes on from, and where in its data."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from ssl_av.checks import RESUMED, SPEED, differences
from ssl_av.errors import UserError

if TYPE_CHECKING:
    from ssl_av.config import RunConfig

NEEDED = {"state_dict", "optimizer_states", "lr_schedulers", "loops", "global_step"}
"""What a checkpoint must hold for a training to go on; weights alone are not enough."""


def last_checkpoint(folder: Path) -> Path:
    """Where a run keeps its newest checkpoint."""
    return folder / "checkpoints" / "last.ckpt"


def checkpoints(folder: Path) -> list[Path]:
    """A run's checkpoints, whole or not: ``last.ckpt``, then what was kept beside it."""
    last = last_checkpoint(folder)
    others = sorted(path for path in last.parent.glob("*.ckpt") if path != last)
    return [*([last] if last.exists() else []), *others]


def newest_whole(folder: Path) -> Path | None:
    """``last.ckpt`` if it is whole; else, of those beside it that are, the one of most steps: dates may be wrong."""
    found = checkpoints(folder)
    if found and found[0] == last_checkpoint(folder) and is_whole(found[0]):
        return found[0]
    whole = [path for path in found if path != last_checkpoint(folder) and is_whole(path)]
    return max(whole, key=lambda path: peek(path).steps, default=None)


def resumable(folder: Path) -> Path:
    """The newest checkpoint in a run's folder that is whole: ``last.ckpt``, or one that was kept beside it.

    Raises:
        UserError: if there is none.
    """
    found = checkpoints(folder)
    if not found:
        raise UserError(f"--resume: there is no {last_checkpoint(folder)}; leave --resume out to begin")
    whole = newest_whole(folder)
    if whole is not None:
        return whole
    beside = f", and so are the {len(found) - 1} beside it" if len(found) > 1 else " and none is beside it"
    raise UserError(
        f"--resume: {found[0]} is damaged, cut off or no training's{beside}; put a whole copy in its place, or begin "
        "anew with another --out"
    )


def is_whole(path: Path) -> bool:
    """Whether a file is a training's checkpoint and every byte of it is as it was written."""
    import torch

    from ssl_av.interop.files import check_unpacked
    from ssl_av.interop.sizes import check_archive

    if not path.is_file():  # a pipe would be waited for
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            check_unpacked(archive, path.stat().st_size)
            check_archive(archive)
            if archive.testzip() is not None:  # torch.load compares no checksums
                return False
            # A part that is marked as a folder is not read: its tensor would hold whatever was in memory.
            if any(part.external_attr or part.is_dir() for part in archive.infolist()):
                return False
        tree = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # a damaged file raises anything from BadZipFile to UnpicklingError
        return False
    return isinstance(tree, Mapping) and set(tree) >= NEEDED


class Peek(NamedTuple):
    """What a checkpoint says of itself.

    Attributes:
        steps: of the optimiser that it is after.
        log_every: steps from one row of the logs to the next, at most; 0: nobody knows.
        wandb: id of its W&B run.
        run: whose it is (`identity`); empty in one of before there was this.
    """

    steps: int = 0
    log_every: int = 0
    wandb: str | None = None
    run: Mapping[str, Any] = MappingProxyType({})


def peek(path: Path | None) -> Peek:
    """What a checkpoint says of itself; of none: no step."""
    import torch

    if path is None:
        return Peek()
    tree = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    kept = tree.get("callbacks", {}).get("Checkpoints", {})
    return Peek(
        int(tree["global_step"]), int(kept.get("log_every", 0)), kept.get("wandb"), kept.get("run") or {}
    )


def identity(config: RunConfig, data: str) -> dict[str, Any]:
    """Whose a checkpoint is: a run's method, data and seed, and the ``hash`` of the samples that it is trained on."""
    values: dict[str, Any] = json.loads(json.dumps(config.to_dict()))
    about = {k: v for k, v in values["data"].items() if f"data.{k}" not in SPEED}
    return {**{key: values.get(key) for key in RESUMED}, "data": about, "samples": data}


def check_own(path: Path, run: Mapping[str, Any]) -> None:
    """A training goes on from a checkpoint of its own: with that of another seed it would end without a word.

    Args:
        path: the checkpoint.
        run: the `identity` of the training.

    Raises:
        UserError: if it is another run's.
    """
    if not (theirs := peek(path).run):
        return
    if found := list(differences(theirs, run)):
        raise UserError(
            f"--resume: {path} is of another run, which differs in {'; '.join(found[:3])}"
            + (f" and {len(found) - 3} more" if len(found) > 3 else "")
            + "; bring its own back in its place, or give another --out"
        )


def between_batches(checkpoint: dict[str, Any]) -> None:
    """Sets Lightning's counters in a checkpoint to those between two batches of an epoch, whenever it was taken.

    Taken at an epoch's end, in the midst of a hook or after an exception, they are taken up in as many ways, of which
    some count the epoch twice: its order would be another one. Here the next epoch has begun when one has ended.
    """
    loop = checkpoint["loops"]["fit_loop"]
    batch, epoch = loop["epoch_loop.batch_progress"], loop["epoch_progress"]
    seen, number = batch["current"]["processed"], epoch["current"]["ready"] - 1
    if batch["is_last_batch"] and seen == batch["current"]["ready"]:
        seen, number = 0, number + 1
    total = batch["total"]["processed"]
    batch["current"] = dict.fromkeys(batch["current"], seen)
    batch["total"] = dict.fromkeys(batch["total"], total)
    batch["is_last_batch"] = False
    for part in ("current", "total"):
        epoch[part] |= {"ready": number + 1, "started": number + 1, "processed": number, "completed": number}
    loop["epoch_loop.state_dict"]["_batches_that_stepped"] = checkpoint["global_step"]
