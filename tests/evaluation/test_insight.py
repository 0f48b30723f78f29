"""All figures of a method from real, rendered videos; and which samples CMA rejects."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ssl_av.data.datamodule import AVDataModule, ClipDataset, collate
from ssl_av.data.loading import Loading
from ssl_av.data.prepare import prepare_manifest
from ssl_av.data.views import AudioView, Spaced, VideoView
from ssl_av.evaluation.insight import draw_figures, rejected
from ssl_av.evaluation.looking import Sight, look
from ssl_av.methods import create_method
from ssl_av.transforms import VideoTransform

INPUTS = {"frames": 4, "fps": 8, "size": 32, "audio_seconds": 0.5, "front_end": "small"}
NETWORKS = {
    "video": "r2plus1d_10", "video_args": {"width": 4, "pool": "avg"},
    "audio": "conv9_audio", "audio_args": {"width": 4, "pool": "avg"},
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> AVDataModule:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_AV_CACHE", str(tmp_path_factory.mktemp("cache")))
        sizes = {"train": 16, "val": 4, "test": 12}
        manifest = prepare_manifest("synthav", sizes, Loading(num_workers=0), progress=False)
    return AVDataModule(manifest, Loading(batch_size=8, num_workers=0, decode_size=40))


def method(name: str, **changes: object):
    torch.manual_seed(0)
    return create_method(name, inputs=INPUTS, networks=NETWORKS, **changes)


@pytest.mark.slow
def test_everything_of_cma(data: AVDataModule, tmp_path: Path):
    cma = method("cma", negatives=4, positives=3, dim=8, hidden=16, num_samples=16).train()
    before = {k: v.clone() for k, v in cma.state_dict().items()}
    files, numbers = draw_figures(cma, data, tmp_path / "pictures")
    assert set(files) == {
        "embeddings", "retrieval-video", "retrieval-audio", "saliency", "agreement", "distributions",
    }  # fmt: skip
    for path in files.values():
        with Image.open(path) as picture:
            assert picture.width == 1600
            assert len(picture.convert("RGB").getcolors(1 << 24)) > 20
    assert cma.training
    assert all(torch.equal(v, before[k]) for k, v in cma.state_dict().items())
    json.dumps(numbers, allow_nan=False)
    assert numbers["sync"]["pairs"] == 48
    assert set(numbers["memory"]["agreement"]) == {"p1", "p5", "p10"}
    assert numbers["memory"]["chance"] == pytest.approx(1 / 15)  # 16 samples, 8 classes


@pytest.mark.slow
def test_only_what_a_method_allows(data: AVDataModule, tmp_path: Path):
    files, numbers = draw_figures(method("random"), data, tmp_path, limit=6, beside={})
    assert set(files) == {"embeddings", "retrieval-video", "retrieval-audio", "saliency", "distributions"}
    assert set(numbers) == {"video", "audio"}


@torch.no_grad()
def test_looking_is_the_networks_on_the_clips(data: AVDataModule):
    avid = method("avid", negatives=4, dim=8, hidden=16, num_samples=16)
    seen = look(Sight(avid), data, "test", clips=2)
    assert avid.training
    avid.eval()
    views = {
        "video_1": VideoView(4, 8.0, 32, when=Spaced(1, 2)),
        "audio_1": AudioView(0.5, 16000, when=Spaced(1, 2)),
    }
    test = data.manifest.split("test")
    batch = collate([ClipDataset(test, views, data.loading)[(0, i)] for i in (0, 11)])
    aspect = batch.pop("video_1.aspect")
    x = {
        "video": VideoTransform(32, "avid").eval()(batch["video_1"], aspect),
        "audio": avid.front_end(batch["audio_1"]),
    }
    for modality, z in avid(x).items():
        pooled = avid.net(modality)(x[modality])
        assert np.allclose(seen.pooled[modality][1, [0, 11]], pooled, atol=1e-5)
        assert np.allclose(seen.query[modality][1, [0, 11]], z, atol=1e-5)
    assert seen.label.tolist() == test.labels.tolist()
    assert seen.ids == test.columns("path")["path"].tolist()
    assert len(seen.pictures) == 12
    assert seen.video.shape == (4, 3, 4, 40, 40)
    assert len(seen.audio) == len(seen.aspect) == 4


def test_what_sounds_otherwise_is_rejected():
    video = torch.tensor([1.0, 0.9, 0.8, 0.95, 0.85, 0.1, 0.99])
    audio = torch.tensor([1.0, 0.7, 0.8, 0.10, 0.30, 0.9, 0.75])
    # positives 1 and 2 agree to 0.7 and 0.8; 3 and 4 look alike and do not sound alike; 5 does not look alike
    assert rejected(video, audio, torch.tensor([1, 2]), 0).tolist() == [3, 4]
