"""Which checkpoint a training goes on from, and where in its data."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssl_av.errors import UserError

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
    return max(whole, key=lambda path: peek(path)[0], default=None)


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


def peek(path: Path | None) -> tuple[int, str | None]:
    """How many steps a checkpoint is after, and the id of its W&B run; of none: 0 and None."""
    import torch

    if path is None:
        return 0, None
    tree = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    kept = tree.get("callbacks", {}).get("Checkpoints", {})
    return int(tree["global_step"]), kept.get("wandb")


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
