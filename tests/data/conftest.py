"""A handful of real files of the embedded data set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssl_av.data.datasets.pack import PackDataset
from ssl_av.data.manifest import Manifest, Row, build_manifest
from ssl_av.data.media import READERS, Reader, create_reader
from ssl_av.data.pack import Pack
from ssl_av.data.pack.build import build_pack
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


@pytest.fixture(scope="session")
def pack_of() -> Callable[..., Pack]:
    """``pack_of(manifest, form="frames")``: a small pack, 24 pixels, 8 kHz, five samples a shard."""

    def make(manifest: Manifest, **kw: Any) -> Pack:
        return Pack("clips", manifest.hash, len(manifest), **{"size": 24, "rate": 8000, "per_shard": 5, **kw})

    return make


@pytest.fixture(scope="module", params=["video", "frames"])
def packed(request, clips, tmp_path_factory, pack_of) -> Manifest:
    """The clips in a pack of each form."""
    out = tmp_path_factory.mktemp("packs") / request.param
    built = build_pack(clips, pack_of(clips, form=request.param), out)
    assert built.failures == ()
    assert built.bytes == sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
    assert built.original == sum(f.stat().st_size for f in clips.root.glob("*.mp4"))
    return PackDataset(out).manifest()
