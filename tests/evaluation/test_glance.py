"""Diagnostics and figures from features that are there already."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ssl_av.data.datamodule import AVDataModule
from ssl_av.data.loading import Loading
from ssl_av.data.prepare import prepare_manifest
from ssl_av.evaluation import diagnostics, glance
from ssl_av.evaluation.export import load_embeddings
from ssl_av.evaluation.features import Features
from ssl_av.evaluation.glance import Glance
from ssl_av.evaluation.protocols import Protocol
from ssl_av.methods import create_method

ANY = Protocol("any", 1, "knn")
SMALL = {
    "inputs": {"frames": 2, "fps": 8, "size": 16, "audio_seconds": 0.3, "front_end": "small"},
    "networks": {
        "video": "r2plus1d_10", "video_args": {"width": 4, "pool": "avg"},
        "audio": "resnet9_audio", "audio_args": {"width": 4, "pool": "avg"},
    },
}  # fmt: skip


def drawn(n: int, seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, *shape)).astype(np.float32)


def features(n: int, seed: int) -> Features:
    pooled = {
        "video": drawn(n, seed, 6),
        "audio": drawn(n, seed + 1, 3, 5),
    }  # of the sound the clips were kept
    return Features(np.arange(n) % 4, pooled, index=np.arange(n))


def avid() -> torch.nn.Module:
    torch.manual_seed(0)
    return create_method("avid", negatives=4, dim=8, hidden=8, num_samples=16, **SMALL)


def test_the_numbers_are_those_of_the_features_it_was_shown_first():
    seen, test = Glance(), features(30, 0)
    seen(ANY, {"train": features(40, 5), "test": test})
    seen(ANY, {"train": features(40, 6), "test": features(30, 7)})
    shared = Features(test.label, query={"video": drawn(30, 8, 4), "audio": drawn(30, 9, 4)})
    shared.key = {"video": drawn(30, 10, 4), "audio": drawn(30, 11, 4)}
    seen(ANY, {"test": shared})
    found = seen.diagnostics(avid())
    assert found["video"]["std"] == pytest.approx(
        diagnostics.feature_std(torch.from_numpy(test.pooled["video"]))
    )
    audio = torch.from_numpy(test.pooled["audio"].mean(axis=1))
    assert found["audio"]["uniformity"] == pytest.approx(diagnostics.uniformity(audio))
    wanted = diagnostics.alignment(*map(torch.from_numpy, (shared.query["audio"], shared.key["video"])))
    assert found["audio_to_video"]["alignment"] == pytest.approx(wanted)
    bank = avid().bank
    assert found["memory_video"]["mean_inner_product"] == pytest.approx(
        diagnostics.mean_inner_product(bank.video)
    )
    assert all(isinstance(row, dict) for row in found.values())


def test_a_modality_of_other_samples_is_not_put_beside():
    seen = Glance()
    seen(ANY, {"test": Features(np.zeros(9, int), {"video": drawn(9, 0, 4)}, index=np.arange(9))})
    seen(ANY, {"test": Features(np.zeros(8, int), {"audio": drawn(8, 0, 4)}, index=np.arange(1, 9))})
    assert set(seen.test.vectors) == {"video"}


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(glance, "SAMPLES", 10)
    seen = Glance()
    seen(ANY, {"test": features(100, 0)})
    assert seen.test.index.tolist() == [0, 11, 22, 33, 44, 55, 66, 77, 88, 99]
    assert seen.test.vectors["audio"].shape == (10, 5)


def test_nothing_seen_is_nothing_said(tmp_path: Path):
    seen = Glance()
    seen(ANY, {})
    assert seen.diagnostics(create_method("brave", hidden=8, **SMALL)) == {}
    assert seen.draw(avid(), None, tmp_path) == []


@pytest.mark.slow
def test_pictures_of_rendered_videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SSL_AV_CACHE", str(tmp_path / "cache"))
    sizes = {"train": 16, "val": 4, "test": 12}
    manifest = prepare_manifest("synthav", sizes, Loading(num_workers=0), progress=False)
    data = AVDataModule(manifest, Loading(batch_size=8, num_workers=0, decode_size=40))
    seen = Glance()
    seen(ANY, {"train": features(16, 0), "test": features(12, 1)})
    out = tmp_path / "figures"
    names = seen.draw(avid(), data, out)
    assert names == ["map.png", "retrieval-video.png", "retrieval-audio.png", "saliency.png", "agreement.png"]
    for name in names:
        with Image.open(out / name) as picture:
            assert picture.width == 880
            assert len(picture.convert("RGB").getcolors(1 << 24)) > 20
    kept = load_embeddings(out / "features.npz")
    np.testing.assert_allclose(kept.vectors["video"], seen.test.vectors["video"], atol=1e-2)
    assert len(kept.ids) == 12
