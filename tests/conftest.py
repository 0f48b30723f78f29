"""Fixtures that several folders of tests share."""

from __future__ import annotations

import os

# Before torch is imported: threads of tests that run beside each other must not wait for each other at full speed.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from pathlib import Path

import pytest
from faults import Faults, plant

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real media beside the checkout; a test that needs them is skipped where they are absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip("the real media (../shared/data) are not beside this checkout")
    return SHARED / "data"


@pytest.fixture(scope="session")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Faults:
    """A folder of videos with every fault that the doctor knows; to be read only."""
    return plant(tmp_path_factory.mktemp("faults") / "videos")
