"""The engine on sounds whose class can be heard: folds, clips, the cache, and any network."""

from __future__ import annotations

import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from tiny_esc import RATE, plant_esc
from torch import Tensor, nn

import ssl_av
from ssl_av.backbones import create_backbone
from ssl_av.bench.analysis.comparable import check_comparable
from ssl_av.data.loading import Loading
from ssl_av.data.prepare import prepare_manifest
from ssl_av.errors import UserError
from ssl_av.evaluation.engine import measure
from ssl_av.evaluation.folds import official_folds
from ssl_av.evaluation.plain import Modules
from ssl_av.evaluation.pooling import pool_to, pooled
from ssl_av.evaluation.protocols import load_protocol
from ssl_av.evaluation.towers import Towers, squares
from ssl_av.methods.settings import Inputs
from ssl_av.transforms import VideoTransform

LOADING = Loading(batch_size=8, num_workers=0)
INPUTS = Inputs(audio_seconds=0.2, front_end="small")


#: CrissCross's clips with a shorter sweep
AUGMENTED = load_protocol("crisscross-esc-2s")
AUGMENTED = replace(AUGMENTED, settings=replace(AUGMENTED.settings, costs=(1e-3, 1e-2)))


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
        if x.ndim == 4:  # a spectrogram
            return x.mean(dim=2).transpose(1, 2)[..., None]
        spectrum = torch.fft.rfft(x).abs()[:, : 16 * 5].view(len(x), 16, 5).mean(dim=2)
        return torch.cat([spectrum, x.std(dim=1, keepdim=True)], dim=1)[..., None, None]  # a map of one place


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ESC-50's layout with 4 classes: 5 folds of 12 sounds of 0.5 s."""
    return plant_esc(tmp_path_factory.mktemp("esc"))


@pytest.fixture(autouse=True)
def cache_of_manifests(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_AV_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def evaluate(net: nn.Module, protocol, root: Path, rate: int | None = RATE, loading: Loading = LOADING, **kw):
    data = {"name": "esc50", "root": str(root)}
    if "fold" in kw:
        data["fold"] = kw.pop("fold")
    return ssl_av.evaluate(net, protocol, data, inputs=INPUTS, waveform_rate=rate, loading=loading, **kw)


@pytest.mark.slow
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
            rows.append(
                net(torch.from_numpy(whole[begin : begin + round(0.2 * RATE)].copy())[None])[0]
                .flatten()
                .numpy()
            )
            labels.append(sample.label)
        x[split], y[split] = np.stack(rows), np.array(labels)
    scale = StandardScaler().fit(x["train"])
    best = (-1.0, 0.0)
    for cost in (1e-3, 1e-2, 1e-1):
        svm = LinearSVC(C=cost, tol=1e-3, max_iter=3000, random_state=0).fit(
            scale.transform(x["train"]), y["train"]
        )
        val, test = (svm.score(scale.transform(x[s]), y[s]) for s in ("val", "test"))
        best = max(best, (val, test), key=lambda pair: pair[0])
    found = record["results"]["linear-svm"]["audio"]
    assert (found["top1_val"], found["top1"]) == pytest.approx(best)
    about = record["protocols"]["linear-svm"]
    assert about["hash"] == load_protocol("linear-svm").with_clips(1).hash
    assert about["samples"] == [{s: len(manifest.split(s)) for s in ("train", "val", "test")}]
    assert about["data"] == [manifest.hash] == [record["data"]["hash"]]


@pytest.mark.slow
def test_folds_share_features_and_protocols_too(sounds: Path, tmp_path: Path):
    net = Statistics()
    first = evaluate(net, ["avid-esc", "crisscross-retrieval"], sounds, cache=tmp_path)
    assert "skipped" not in first["results"]["crisscross-retrieval"]
    assert net.seen == 60 * 10  # each sound's ten clips once, for five folds and two protocols
    assert len(first["results"]["avid-esc"]["audio"]["folds"]) == 5
    again = evaluate(net, "avid-esc", sounds, cache=tmp_path)
    assert net.seen == 600
    assert again["results"]["avid-esc"] == first["results"]["avid-esc"]


@pytest.mark.slow
def test_an_interrupted_pass_goes_on_where_it_stopped(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("ssl_av.evaluation.store.CHUNK", 1)  # a chunk a batch
    whole = evaluate(Statistics(), AUGMENTED, sounds, rate=None, fold=1)
    net = Statistics()
    net.stop_after = 240  # of 600: the training split is not done
    with pytest.raises(KeyboardInterrupt):
        evaluate(net, AUGMENTED, sounds, rate=None, fold=1, cache=tmp_path)
    done, net.stop_after = net.seen, 10**9
    resumed = evaluate(net, AUGMENTED, sounds, rate=None, fold=1, cache=tmp_path)
    assert resumed["results"] == whole["results"]  # augmented clips too: their draws are the sample's own
    train, val, test = (
        resumed["protocols"]["crisscross-esc-2s"]["samples"][0][s] for s in ("train", "val", "test")
    )
    assert net.seen <= done + (train + 2 * val + test) * 10 - 200
    assert not list(tmp_path.rglob("*.npz"))
    assert not list(tmp_path.rglob(".*.part"))


@pytest.mark.slow
def test_random_clips_do_not_depend_on_the_batch(sounds: Path):
    batches = [
        evaluate(Statistics(), AUGMENTED, sounds, rate=None, loading=Loading(size, 0), fold=1)
        for size in (3, 8)
    ]
    assert batches[0]["results"] == batches[1]["results"]
    with pytest.raises(UserError, match="augments spectrograms; the network takes waveforms"):
        evaluate(Statistics(), AUGMENTED, sounds, fold=1)


def test_other_files_of_the_same_names_are_other_features(sounds: Path, tmp_path: Path):
    net, other = Statistics(), plant_esc(tmp_path / "esc")
    one, two = (
        evaluate(net, "knn", root, fold=1, clips=1, cache=tmp_path / "cache") for root in (sounds, other)
    )
    assert one["data"]["hash"] == two["data"]["hash"]
    assert net.seen == 2 * (one["data"]["train"] + one["data"]["test"])


def test_half_precision_is_another_cache(sounds: Path, tmp_path: Path):
    net = Statistics()
    full = evaluate(net, "knn", sounds, fold=1, cache=tmp_path)
    half = evaluate(net, "knn", sounds, fold=1, cache=tmp_path, precision="float16")
    assert net.seen == 2 * (full["data"]["train"] + full["data"]["test"]) * 3  # validation is not needed
    assert half["results"]["knn"]["audio"]["top1"] == pytest.approx(
        full["results"]["knn"]["audio"]["top1"], abs=0.1
    )
    stored = [np.load(f, mmap_mode="r") for f in tmp_path.rglob("pooled*.npy")]
    assert {x.dtype for x in stored} == {np.dtype("float16"), np.dtype("float32")}
    with pytest.raises(UserError, match="did you mean float16"):
        evaluate(net, "knn", sounds, fold=1, precision="float15")


def test_the_mode_of_a_network_stays(sounds: Path):
    net = Statistics()
    net.train()
    evaluate(net, "knn", sounds, fold=1, clips=1)
    assert net.training
    net.eval()
    evaluate(net, "knn", sounds, fold=1, clips=1)
    assert not net.training


def test_what_does_not_fit_is_told(sounds: Path):
    net, asked = Statistics(), ["retrieval", "av-retrieval", "fusion", "crisscross-fusion"]
    record = evaluate(net, asked, sounds, fold=1, clips=1)
    assert record["results"] == {p: {"skipped": "no video backbone"} for p in asked}
    assert net.seen == 0  # no features are made for what cannot be measured
    with pytest.raises(UserError, match="modality='video' or"):
        ssl_av.evaluate(nn.Identity(), "knn", {"name": "esc50", "root": str(sounds)})
    with pytest.raises(UserError, match="no video to measure"):
        ssl_av.evaluate(nn.Identity(), "knn", {"name": "esc50", "root": str(sounds)}, modality="video")
    pair = type("Pair", (Statistics,), {"forward": lambda self, x: (x, 1)})
    with pytest.raises(UserError, match=r"gives tuple of \[.*\], int for .*; features \[B, D\] or a map"):
        evaluate(pair(), "knn", sounds, fold=1, clips=1)
    with pytest.raises(UserError, match="features \\[B, D\\] or a map"):
        ssl_av.evaluate(
            nn.Flatten(0), "knn", {"name": "esc50", "root": str(sounds)}, modality="audio", inputs=INPUTS,
            waveform_rate=RATE, loading=LOADING,
        )  # fmt: skip


def test_no_fold_is_tested_that_was_trained_on(sounds: Path):
    data = {"name": "esc50", "root": str(sounds)}
    protocols = [load_protocol("avid-esc")]
    assert len(official_folds(data, LOADING, ("audio",), protocols)) == 5
    assert len(official_folds(data, LOADING, ("audio",), protocols, trained_on=data)) == 1
    assert len(official_folds(data | {"fold": 3}, LOADING, ("audio",), protocols)) == 1
    assert len(official_folds(data, LOADING, ("audio",), [load_protocol("knn")])) == 1
    with pytest.raises(UserError, match="trained on fold 1 of the same 'esc50'"):
        official_folds(data | {"fold": 2}, LOADING, ("audio",), protocols, trained_on=data)


def test_two_protocols_do_not_share_a_column():
    def record(method: str, digest: str) -> dict:
        return {"method": method, "protocols": {"knn": {"version": 1, "hash": digest}}}

    check_comparable([record("avid", "a"), record("cma", "a"), {"method": "old"}])
    with pytest.raises(
        UserError, match=r"'knn' by different protocols.*version 1 \(a\) of avid; version 1 \(b\) of cma"
    ):
        check_comparable([record("avid", "a"), record("cma", "b")])


def test_pooling():
    x = torch.randn(2, 3, 4, 9, 9)
    assert torch.equal(pooled(x, "max"), x.amax(dim=(2, 3, 4)))
    assert torch.allclose(pooled(x, "avg"), x.mean(dim=(2, 3, 4)), atol=1e-6)
    one = pooled(x, "max-1x4x4-1x4x4")
    assert one.shape == (2, 3 * 4 * 2 * 2)
    assert one.view(2, 3, 4, 2, 2)[1, 2, 3, 1, 0] == x[1, 2, 3, 4:8, 0:4].max()
    assert pooled(x[:, :, :1, :2, :2], "max-1x4x4-1x4x4").shape == (2, 3)
    assert pooled(x[:, :, 0], "max-3x1-2x1").shape == (2, 3 * 4 * 9)
    with pytest.raises(UserError, match="pooled already"):
        pooled(torch.randn(2, 3), "max")


def test_squares_of_a_frame():
    video = torch.randint(0, 256, (2, 3, 2, 24, 24), dtype=torch.uint8)
    aspect = torch.tensor([16 / 9, 0.75])
    transform = VideoTransform(16).eval()
    torch.testing.assert_close(squares(transform, video, aspect, 1, 1.0), transform(video, aspect))
    three = squares(transform, video, aspect, 3, 1.0).view(2, 3, 3, 2, 16, 16)
    torch.testing.assert_close(three, transform.crops(video, aspect, 3))
    inner = squares(transform, video, torch.ones(2), 1, 0.5)
    plain = VideoTransform(16).eval()(video[:, :, :, 6:18, 6:18].contiguous(), torch.ones(2))
    middle = (..., slice(2, -2), slice(2, -2))  # at the border a neighbour of the square is read
    torch.testing.assert_close(inner[middle], plain[middle])


class Broken(nn.Module):
    """Gives NaN."""

    modality = "audio"

    def forward(self, x: Tensor) -> Tensor:
        return torch.full((len(x), 3, 1, 1), torch.nan)


def test_features_that_are_no_numbers_are_said_to_be(sounds: Path) -> None:
    with pytest.raises(UserError, match="audio features of a batch hold NaN or infinity"):
        evaluate(Broken(), "knn", sounds)


@pytest.mark.slow
def test_blocks_of_an_audio_network_are_measured_each(sounds: Path):
    """AVID table 1b: the SVM of a block is that of its max-pooled map."""
    torch.manual_seed(0)
    net = create_backbone("conv9_audio", width=4).eval()
    whole = load_protocol("avid-analysis-esc-blocks")
    small = {"clips": 2}
    p = replace(
        whole,
        inputs=replace(whole.inputs, audio_seconds=0.3),
        train=replace(whole.train, **small),
        test=replace(whole.test, **small),
        pooling=replace(whole.pooling, audio={"blocks": [36, 32, 16, 32]}),
        settings=replace(whole.settings, costs=(1e-2,)),
    )
    seen = {}

    def watch(protocol, splits):
        seen.update({name: {side: x.shape for side, x in f.pooled.items()} for name, f in splits.items()})

    folds = official_folds({"name": "esc50", "root": str(sounds), "fold": 1}, LOADING, ["audio"], [p])
    towers = Towers(Modules({"audio": net}, INPUTS))
    found = measure(towers, folds, [p], watch=watch)
    assert list(found.results[p.name]) == ["block1", "block2", "block3", "block4"]
    sizes = [seen["test"][f"block{k}"] for k in (1, 2, 3, 4)]
    assert [s[:2] for s in sizes] == [(12, 2)] * 4
    maps = net.forward_stages(torch.zeros(1, 1, 30, 80))
    assert [s[2] for s in sizes] == [
        pool_to(m, n).shape[1] for m, n in zip(list(maps.values())[1:], (36, 32, 16, 32), strict=True)
    ]
    with pytest.raises(UserError, match="no forward_stages"):
        evaluate(Statistics(), p, sounds, fold=1)
