"""Fixtures that several folders of tests share."""

from __future__ import annotations

import os

# Before torch is imported: threads of tests that run beside each other must not wait for each other at full speed.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import shutil
import tempfile
from collections import Counter
from multiprocessing.util import Finalize
from pathlib import Path

import pytest
from faults import Faults, plant

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


def pytest_configure() -> None:
    """What tests and killed processes leave in the temporary folder goes with the session."""
    if "SSL_AV_TESTS_TEMP" in os.environ:  # a process of pytest-xdist: the folder is the session's
        return
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())  # pytest's own stays where it is
    folder = tempfile.mkdtemp(prefix="ssl-av-tests-")
    os.environ["SSL_AV_TESTS_TEMP"] = os.environ["TMPDIR"] = tempfile.tempdir = folder
    # after multiprocessing has removed what it has there, which it does last of all
    Finalize(None, shutil.rmtree, (folder,), {"ignore_errors": True}, exitpriority=-101)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with many slow tests come first: what is short fills the gap before the last process is done."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


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
