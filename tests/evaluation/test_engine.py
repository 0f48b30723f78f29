"""The engine on sounds whose class can be heard: folds, clips, the cache, and any network."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from torch import Tensor, nn

import ssl_av
from ssl_av.bench.comparable import check_comparable
from ssl_av.data.loading import Loading
from ssl_av.data.prepare import prepare_manifest
from ssl_av.errors import UserError
from ssl_av.evaluation.folds import official_folds
from ssl_av.evaluation.protocols import load_protocol
from ssl_av.evaluation.towers import pooled, squares
from ssl_av.methods.settings import Inputs
from ssl_av.transforms import VideoTransform

RATE = 8000
LOADING = Loading(batch_size=8, num_workers=0)
INPUTS = Inputs(audio_seconds=0.2, front_end="small")


class Statistics(nn.Module):
    """A fixed feature function of the waveform; counts the sounds that it has seen."""

    modality = "audio"

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0
        self.stop_after = 10**9

    def forward(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        if self.seen > self.stop_after:
            raise KeyboardInterrupt
        spectrum = torch.fft.rfft(x).abs()[:, : 16 * 5].view(len(x), 16, 5).mean(dim=2)
        return torch.cat([spectrum, x.std(dim=1, keepdim=True)], dim=1)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ESC-50's layout with 4 classes: 5 folds of 12 sounds of 0.5 s."""
    root = tmp_path_factory.mktemp("esc")
    (root / "audio").mkdir()
    (root / "meta").mkdir()
    rng = np.random.default_rng(0)
    lines = ["filename,fold,target,category,esc10,src_file,take"]
    for fold in range(1, 6):
        for n in range(12):
            target = n % 4
            t = np.arange(RATE // 2) / RATE
            x = np.sin(2 * np.pi * (200 + 60 * target) * t) * 0.05 + rng.normal(size=len(t)) * 0.15
            name = f"{fold}-{n}-A-{target}.wav"
            with wave.open(str(root / "audio" / name), "wb") as out:
                out.setparams((1, 2, RATE, 0, "NONE", ""))
                out.writeframes((np.clip(x, -1, 1) * 32000).astype("<i2").tobytes())
            lines.append(f"{name},{fold},{target},class{target},False,x,A")
    (root / "meta" / "esc50.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture(autouse=True)
def cache_of_manifests(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_AV_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def evaluate(net: nn.Module, protocol, root: Path, **kw):
    data = {"name": "esc50", "root": str(root)}
    if "fold" in kw:
        data["fold"] = kw.pop("fold")
    return ssl_av.evaluate(net, protocol, data, inputs=INPUTS, waveform_rate=RATE, loading=LOADING, **kw)


def test_one_fold_is_what_scikit_learn_finds(sounds: Path):
    record = evaluate(Statistics(), "linear-svm", sounds, fold=2, clips=1)
    manifest = prepare_manifest("esc50", {"root": str(sounds), "fold": 2}, LOADING)
    net = Statistics()
    x, y = {}, {}
    for split in ("train", "val", "test"):
        rows, labels = [], []
        for i in range(len(manifest.split(split))):
            sample = manifest.split(split)[i]
            with wave.open(sample.path) as file:
                whole = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
            begin = round(0.15 * RATE)  # the middle 0.2 s of 0.5 s
            rows.append(net(torch.from_numpy(whole[begin : begin + round(0.2 * RATE)].copy())[None])[0].numpy())
            labels.append(sample.label)
        x[split], y[split] = np.stack(rows), np.array(labels)
    scale = StandardScaler().fit(x["train"])
    best = (-1.0, 0.0)
    for cost in (1e-3, 1e-2, 1e-1):
        svm = LinearSVC(C=cost, tol=1e-3, max_iter=3000, random_state=0).fit(scale.transform(x["train"]), y["train"])
        val, test = (svm.score(scale.transform(x[s]), y[s]) for s in ("val", "test"))
        best = max(best, (val, test), key=lambda pair: pair[0])
    found = record["results"]["linear-svm"]["audio"]
    assert (found["top1_val"], found["top1"]) == pytest.approx(best)
    about = record["protocols"]["linear-svm"]
    assert about["hash"] == load_protocol("linear-svm").with_clips(1).hash
    assert about["samples"] == [{s: len(manifest.split(s)) for s in ("train", "val", "test")}]
    assert about["data"] == [manifest.hash] == [record["data"]["hash"]]


def test_folds_share_features_and_protocols_too(sounds: Path, tmp_path: Path):
    net = Statistics()
    first = evaluate(net, ["avid-esc", "crisscross-retrieval"], sounds, cache=tmp_path)
    assert "skipped" not in first["results"]["crisscross-retrieval"]
    assert net.seen == 60 * 10  # each sound's ten clips once, for five folds and two protocols
    assert len(first["results"]["avid-esc"]["audio"]["folds"]) == 5
    again = evaluate(net, "avid-esc", sounds, cache=tmp_path)
    assert net.seen == 600
    assert again["results"]["avid-esc"] == first["results"]["avid-esc"]


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """avid-esc without its flattening: the module's output is pooled already."""
    text = (Path(ssl_av.__file__).parent.parent / "configs/protocols/avid-esc.yaml").read_text()
    file = tmp_path / "flat.yaml"
    file.write_text(text.replace("{max: [1, 1]}", "null"))
    return file
