"""A made-up SLURM around this process: `scontrol` in the path, and the variables of a job of one task."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

SCONTROL = """#!/bin/sh
here={here}
echo "$@" >> $here/asked
if [ -e $here/refuses ]; then echo "Requeue is disabled" >&2; exit 1; fi
if [ "$1" = show ]; then echo "JobId=42 JobName=mine"; echo "   JobState=$(cat $here/state) Reason=None"; fi
"""

JOB = {
    "SLURM_JOB_ID": "42", "SLURM_JOB_NAME": "mine", "SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0", "SLURM_JOB_NUM_NODES": "1", "SLURM_JOB_NODELIST": "here", "SLURM_NTASKS_PER_NODE": "1",
}  # fmt: skip


def made_up_slurm(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Makes it; in the file that this returns is what `scontrol` was asked, a line each.

    The file ``state`` beside it says what the job is doing; with a file ``refuses`` nothing is requeued.
    """
    folder.mkdir()
    tool = folder / "scontrol"
    tool.write_text(SCONTROL.format(here=folder))
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    (folder / "state").write_text("RUNNING")
    (folder / "asked").touch()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    for name, value in JOB.items():
        monkeypatch.setenv(name, value)
    return folder / "asked"
