"""Which checkpoint a training goes on from."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

from ssl_av.errors import UserError

NEEDED = {"state_dict", "optimizer_states", "lr_schedulers", "loops"}
"""What a checkpoint must hold for a training to go on; weights alone are not enough."""


def last_checkpoint(folder: Path) -> Path:
    """Where a run keeps its newest checkpoint."""
    return folder / "checkpoints" / "last.ckpt"


def resumable(folder: Path) -> Path:
    """The newest checkpoint in a run's folder that is whole: ``last.ckpt``, or one that was kept beside it.

    Raises:
        UserError: if there is none.
    """
    last = last_checkpoint(folder)
    others = sorted(last.parent.glob("*.ckpt"), key=lambda path: path.stat().st_mtime, reverse=True)
    found = [*([last] if last in others else []), *(path for path in others if path != last)]
    if not found:
        raise UserError(f"--resume: there is no {last}; leave --resume out to begin")
    for path in found:
        if is_whole(path):
            return path
    beside = f", and so are the {len(found) - 1} beside it" if len(found) > 1 else " and none is beside it"
    raise UserError(
        f"--resume: {found[0]} is damaged, cut off or no training's{beside}; put a whole copy in its place, or begin "
        "anew with another --out"
    )


def is_whole(path: Path) -> bool:
    """Whether a file is a training's checkpoint and every byte of it is as it was written."""
    import torch

    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:  # torch.load compares no checksums
                return False
        tree = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # a damaged file raises anything from BadZipFile to UnpicklingError
        return False
    return isinstance(tree, Mapping) and set(tree) >= NEEDED
