"""Where the training of `ssl-av fit` begins: anew, or from a checkpoint in its folder (``--resume``)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ssl_av.checks import check_resume
from ssl_av.errors import UserError
from ssl_av.training.group import is_first
from ssl_av.training.resume import checkpoints, last_checkpoint, resumable

if TYPE_CHECKING:
    from ssl_av.config import RunConfig


def begin_from(out: Path, config: RunConfig, resume: str | None) -> Path | None:
    """The checkpoint that a training goes on from; None: it begins.

    Says so if that is not the last checkpoint, and where a training that is to go on was killed before its first one:
    it begins again, with the same seed.

    Args:
        out: the run's folder.
        config: the run.
        resume: ``yes``: there must be something to go on from; ``auto``: or the training begins; None: it begins.

    Raises:
        UserError: if the folder holds something else than what is asked for, or nothing that is whole.
    """
    if (out / "suite.json").exists():
        raise UserError(f"--out {out}: belongs to a suite of `ssl-av bench`; give another folder")
    if not resume:
        if is_first() and out.is_dir() and any(out.iterdir()):
            raise UserError(
                f"--out {out}: exists already; add --resume to continue it, or give another --out"
            )
        return None
    found = checkpoints(out)
    if found or (out / "config.yaml").is_file():
        check_resume(out, config)
    if not found and (resume == "auto" or (out / "config.yaml").is_file()):
        if is_first() and out.is_dir() and any(out.iterdir()):
            print(f"ssl-av: there is no checkpoint in {out} yet: the training begins", file=sys.stderr)
        return None
    start, last = resumable(out), last_checkpoint(out)
    if start != last and is_first():
        state = "damaged or cut off" if last.exists() else "gone"
        print(f"ssl-av: warning: {last} is {state}; going on from {start}, which is older", file=sys.stderr)
    return start
