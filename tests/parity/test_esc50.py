"""`ssl_av.evaluate` of a known feature function on real ESC-50 sounds against PyAV, numpy and scikit-learn alone."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeClassifierCV
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from torch import Tensor, nn

import ssl_av
from ssl_av.data.loading import Loading
from ssl_av.data.prepare import prepare_manifest
from ssl_av.evaluation.protocols import load_protocol
from ssl_av.methods.settings import Inputs

RATE, LENGTH, WINDOW = 44100, 220500, 2048


class Bands(nn.Module):
    """Mean, deviation and maximum over time of the log energy in 32 bands."""

    modality = "audio"

    def forward(self, x: Tensor) -> Tensor:
        power = torch.fft.rfft(x.unfold(1, WINDOW, WINDOW)).abs()[..., 1:].pow(2)
        bands = (power.unflatten(-1, (32, 32)).mean(dim=-1) + 1e-6).log()
        return torch.cat([bands.mean(dim=1), bands.std(dim=1), bands.amax(dim=1)], dim=1)


def features(file: Path) -> np.ndarray:
    """The same in double precision, from what PyAV alone decodes."""
    with av.open(str(file)) as container:
        parts = [frame.to_ndarray().astype(np.float64).mean(axis=0) for frame in container.decode(audio=0)]
    x = np.pad(np.concatenate(parts)[:LENGTH], (0, max(LENGTH - sum(map(len, parts)), 0)))
    frames = x[: LENGTH // WINDOW * WINDOW].reshape(-1, WINDOW)
    power = np.abs(np.fft.rfft(frames))[:, 1:] ** 2
    bands = np.log(power.reshape(len(frames), 32, 32).mean(axis=2) + 1e-6)
    return np.concatenate([bands.mean(axis=0), bands.std(axis=0, ddof=1), bands.max(axis=0)])


@pytest.mark.slow
def test_protocols_are_what_scikit_learn_finds(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SSL_AV_CACHE", str(tmp_path / "cache"))
    with (shared / "esc50" / "meta" / "esc50.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["esc10"] == "True" and row["fold"] in "123"]
    with (tmp_path / "esc50.csv").open("w") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        # the targets count from 0 in a list
        numbers = {t: k for k, t in enumerate(sorted({int(row["target"]) for row in rows}))}
        table.writerows({**row, "target": numbers[int(row["target"])]} for row in rows)
    data = {"name": "esc50", "root": str(shared / "esc50"), "lists": str(tmp_path), "fold": 1}
    loading = Loading(batch_size=32, num_workers=0)
    protocols = [load_protocol(name) for name in ("ridge", "linear-svm", "knn")]
    protocols.append(replace(load_protocol("retrieval"), modalities=("audio",)))
    found = ssl_av.evaluate(
        Bands(),
        protocols,
        data,
        inputs=Inputs(audio_seconds=5.0),
        waveform_rate=RATE,
        loading=loading,
        clips=1,
    )["results"]

    own = {key: value for key, value in data.items() if key != "name"}
    split = dict(zip(*prepare_manifest("esc50", own, loading).columns("path", "split").values(), strict=True))
    parts = {Path(path).stem: name for path, name in split.items()}
    names = [Path(row["filename"]).stem for row in rows]
    assert all((parts[n] == "test") == (row["fold"] == "1") for n, row in zip(names, rows, strict=True))
    x = np.stack([features(shared / "esc50" / "audio" / f"{name}.ogg") for name in names])
    y = np.array([numbers[int(row["target"])] for row in rows])
    train, val, test = (np.array([parts[n] == s for n in names]) for s in ("train", "val", "test"))

    def right(model, scale, rows=test):
        return int((model.predict(scale.transform(x[rows])) == y[rows]).sum())

    def ours(name: str, metric: str = "top1") -> float:
        return found[name]["audio"][metric] * int(test.sum())

    scale = StandardScaler().fit(x[train | val])
    ridge = RidgeClassifierCV(alphas=[1, 10, 100, 1e3, 1e4, 1e5]).fit(
        scale.transform(x[train | val]), y[train | val]
    )
    assert ours("ridge") == pytest.approx(right(ridge, scale))
    scale = StandardScaler().fit(x[train])
    svms = [
        LinearSVC(C=c, tol=1e-6, max_iter=20_000, random_state=1).fit(scale.transform(x[train]), y[train])
        for c in (1e-3, 1e-2, 1e-1)
    ]
    best = svms[int(np.argmax([right(svm, scale, val) for svm in svms]))]
    assert found["linear-svm"]["audio"]["C"] == best.C
    assert ours("linear-svm") == pytest.approx(right(best, scale))
    knn = KNeighborsClassifier(20, metric="cosine", weights=lambda d: np.exp((1 - d) / 0.07)).fit(
        x[train], y[train]
    )
    assert ours("knn") == pytest.approx(int((knn.predict(x[test]) == y[test]).sum()))
    near = y[train][np.argsort(pairwise_distances(x[test], x[train], "cosine"), axis=1, kind="stable")]
    for k in (1, 5, 20):
        hits = (near[:, :k] == y[test][:, None]).any(axis=1)
        assert ours("retrieval", f"r{k}") == pytest.approx(int(hits.sum()))
