"""What a sample is called by in the cache of features."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from tiny_esc import plant_esc

from ssl_av.data.loading import Loading
from ssl_av.data.manifest import Manifest
from ssl_av.data.prepare import prepare_manifest
from ssl_av.errors import UserError
from ssl_av.evaluation.features import Piece
from ssl_av.evaluation.library import sample_names
from ssl_av.evaluation.store import Store
from ssl_av.evaluation.views import Column

LOADING = Loading(batch_size=8, num_workers=0)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SSL_AV_CACHE", str(tmp_path / "cache"))
    return plant_esc(tmp_path / "ESC", classes=2, each=2)


def manifest(root: Path, fold: int = 1) -> Manifest:
    return prepare_manifest("esc50", {"root": str(root), "fold": fold}, LOADING)


def test_another_file_in_its_place_has_another_name_and_another_fold_has_not(root: Path):
    whole = manifest(root)
    before, plain = sample_names(whole, dated=True), sample_names(whole)
    assert len(set(before.tolist())) == len(whole)
    np.testing.assert_array_equal(sample_names(manifest(root, 2), dated=True), before)
    file = root / whole.columns("path")["path"][3]
    os.utime(file, ns=(0, 10**9))  # as long as the one before
    np.testing.assert_array_equal(np.flatnonzero(sample_names(whole, dated=True) != before), [3])
    np.testing.assert_array_equal(sample_names(whole), plain)


def test_a_row_of_a_pack_has_the_date_of_its_shard(tmp_path: Path, root: Path):
    table = manifest(root)._table.slice(0, 1)
    at = table.column_names.index("path")
    table = table.set_column(at, table.schema.field(at), [["shards/0.arrow#7"]])
    found = Manifest(table, tmp_path)
    shard = tmp_path / "shards" / "0.arrow"
    shard.parent.mkdir()
    shard.write_bytes(b"one")
    before = sample_names(found, dated=True)
    shard.write_bytes(b"another")
    assert sample_names(found, dated=True) != before


def test_features_too_large_for_half_precision_are_refused(tmp_path: Path):
    column = Column("audio")
    piece = Piece(1, np.array([0]), {column: np.full((1, 2), 1e5, dtype=np.float32)}, {})
    store = Store(tmp_path / "kept", {}, "float16")
    with pytest.raises(UserError, match="do not fit into float16"):
        store.fill([column], np.array([b"one"], dtype="S16"), lambda *_: iter([piece]), print)
