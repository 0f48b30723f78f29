"""The ridge classifier against scikit-learn, on made features and on the real folds of ESC-10."""

from __future__ import annotations

import csv
import dataclasses
import itertools
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeClassifierCV
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

import ssl_av
from ssl_av.data.loading import Loading
from ssl_av.errors import UserError
from ssl_av.evaluation.features import Features
from ssl_av.evaluation.kinds import KINDS
from ssl_av.evaluation.kinds.ridge import Ridge
from ssl_av.evaluation.protocols import load_protocol
from ssl_av.methods.settings import Inputs

ALPHAS = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)


def features(n: int, seed: int, classes: int = 4) -> Features:
    rng = np.random.default_rng(seed)
    label = np.arange(n) % classes
    centres = np.random.default_rng(9).normal(size=(classes, 12))
    sides = {
        m: (centres[label] * 0.5 + rng.normal(size=(n, 12))).astype(np.float32) for m in ("video", "audio")
    }
    return Features(label, sides)


def splits() -> dict[str, Features]:
    return {"train": features(120, 0), "val_as_train": features(40, 1), "test": features(80, 2)}


def measure(data: dict[str, Features], **settings: object):
    protocol = load_protocol("ridge")
    protocol = dataclasses.replace(protocol, settings=dataclasses.replace(protocol.settings, **settings))
    return KINDS["ridge"].measure(data, protocol, 4, 0)


def test_is_what_scikit_learn_finds_on_training_and_validation():
    data = splits()
    outcome = measure(data)
    y = np.concatenate([data["train"].label, data["val_as_train"].label])
    for side in ("video", "audio", "audio+video"):
        x = {n: np.concatenate([f.pooled[m] for m in side.split("+")], axis=1) for n, f in data.items()}
        model = make_pipeline(StandardScaler(), RidgeClassifierCV(alphas=ALPHAS))
        model.fit(np.concatenate([x["train"], x["val_as_train"]]), y)
        found = outcome.results[side]
        assert found["alpha"] == model[-1].alpha_
        assert found["top1"] == pytest.approx(model.score(x["test"], data["test"].label))
        assert 0.3 < found["top1"] < 1
    assert list(outcome.results) == ["video", "audio", "audio+video"]
    assert list(measure(data, fusion=False).results) == ["video", "audio"]


def test_test_samples_choose_nothing():
    data = splits()
    other = data | {"test": features(80, 7)}
    assert measure(data).results["audio"]["alpha"] == measure(other).results["audio"]["alpha"]


def _video(f: Features) -> np.ndarray:
    return f.pooled["video"]


def _numbers(f: Features) -> np.ndarray:
    return f.label.astype(int)


def test_several_labels_and_missing_ones():
    data = splits()
    for f in data.values():
        f.label = np.stack([f.label == 0, f.label == 1, f.label >= 2, f.label % 2 == 0], axis=1)
    outcome = measure(data)
    predicted = outcome.predicted["video"]
    assert outcome.results["video"]["map"] == pytest.approx(
        average_precision_score(predicted.truth, predicted.scores, average="macro"), abs=1e-5
    )
    model = make_pipeline(StandardScaler(), RidgeClassifierCV(alphas=ALPHAS))
    x, y = (np.concatenate([get(data[n]) for n in ("train", "val_as_train")]) for get in (_video, _numbers))
    model.fit(x, y)
    np.testing.assert_allclose(predicted.scores, model.decision_function(_video(data["test"])), atol=1e-5)
    assert outcome.results["video"]["alpha"] == model[-1].alpha_
    assert outcome.results["video"]["map"] > 0.5
    data = splits()
    data["train"].label[:30] = -1
    data["val_as_train"].label[:] = -1  # no validation: the training split alone
    assert measure(data).results["video"]["top1"] > 0.3


def test_settings():
    with pytest.raises(UserError, match="penalties above 0"):
        Ridge(alphas=())


class LogSpectrum(nn.Module):
    """Fixed: mean, deviation and maximum over time of 40 log-spaced bands of a magnitude spectrum."""

    modality = "audio"

    def forward(self, wave: Tensor) -> Tensor:
        frames = wave.unfold(1, 1024, 512) * torch.hann_window(1024)
        edges = np.unique(np.geomspace(2, 512, 41).round().astype(int))
        power = torch.fft.rfft(frames).abs().square()
        bands = [power[..., a:b].mean(dim=-1) for a, b in itertools.pairwise(edges)]
        logs = (torch.stack(bands, dim=1) + 1e-6).log()
        return torch.cat([logs.mean(dim=2), logs.std(dim=2), logs.amax(dim=2)], dim=1)


@pytest.mark.slow
def test_real_folds_are_what_an_independent_computation_finds(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """ESC-10, every sound of the five official folds, read by PyAV and classified by scikit-learn alone."""
    monkeypatch.setenv("SSL_AV_CACHE", str(tmp_path))
    root = shared / "esc50"
    record = ssl_av.evaluate(
        LogSpectrum(), "ridge", {"name": "esc50", "root": str(root), "esc10": True}, waveform_rate=44100,
        inputs=Inputs(audio_seconds=5.0), clips=1, loading=Loading(batch_size=16, num_workers=0),
    )  # fmt: skip
    assert [sum(fold.values()) for fold in record["protocols"]["ridge"]["samples"]] == [400] * 5
    assert [fold["test"] for fold in record["protocols"]["ridge"]["samples"]] == [80] * 5
    x, y, fold = [], [], []
    net = LogSpectrum()
    with (root / "meta" / "esc50.csv").open() as table:
        for row in csv.DictReader(table):
            if row["esc10"] != "True":
                continue
            with av.open(str(root / "audio" / row["filename"].replace(".wav", ".ogg"))) as file:
                wave = np.concatenate([f.to_ndarray()[0] for f in file.decode(audio=0)])
            assert len(wave) == 220500
            x.append(net(torch.from_numpy(wave.astype(np.float32))[None])[0].numpy())
            y.append(row["category"])
            fold.append(int(row["fold"]))
    rows, labels, folds = np.stack(x), np.array(y), np.array(fold)
    found = record["results"]["ridge"]["audio"]["folds"]
    for k in range(5):
        tested = folds == k + 1
        model = make_pipeline(StandardScaler(), RidgeClassifierCV(alphas=ALPHAS))
        model.fit(rows[~tested], labels[~tested])
        expected = model.score(rows[tested], labels[tested])
        assert expected > 0.5
        assert found[k]["top1"] == pytest.approx(expected, abs=1e-6)
