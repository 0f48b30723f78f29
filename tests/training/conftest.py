"""A made-up SLURM."""

from __future__ import annotations

from pathlib import Path

import pytest
from slurm import made_up_slurm


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What `scontrol` was asked."""
    return made_up_slurm(tmp_path / "slurm", monkeypatch)
