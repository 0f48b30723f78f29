"""A handful of real files of the embedded data set."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssl_av.data.manifest import Manifest, Row, build_manifest
from ssl_av.data.media import READERS, Reader, create_reader
from ssl_av.data.synthav import render_file
from ssl_av.errors import UserError


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Eight training, two validation and two test samples."""
    root = tmp_path_factory.mktemp("clips")
    rows = []
    for split, count in (("train", 8), ("val", 2), ("test", 2)):
        for i in range(count):
            path = root / f"{split}{i}.mp4"
            render_file(path, 0, split, i)
            rows.append(Row(str(path), i % 2, split))
    return build_manifest(rows, ("a", "b"), Path(root), create_reader())


@pytest.fixture(params=READERS)
def any_reader(request: pytest.FixtureRequest) -> Reader:
    """Each backend; one that cannot be loaded here is skipped with the reason."""
    try:
        return create_reader(request.param)
    except UserError as e:
        pytest.skip(str(e))
