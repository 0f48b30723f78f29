"""What `ssl_av.evaluate` takes, in its shapes: data in a word, settings as mappings, a network with its map apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_esc import RATE, plant_esc
from torch import Tensor, nn

import ssl_av
from ssl_av.errors import UserError
from ssl_av.evaluation.certainty import load_predictions
from ssl_av.evaluation.protocols import load_protocol


@pytest.fixture
def sounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """ESC-50's layout with 2 classes."""
    monkeypatch.setenv("SSL_AV_CACHE", str(tmp_path / "cache"))
    return plant_esc(tmp_path / "esc", classes=2, each=3)


class Bands(nn.Module):
    """A fixed feature function of the waveform."""

    modality = "audio"

    def forward(self, x: Tensor) -> Any:
        return torch.fft.rfft(x).abs()[:, :80].view(len(x), 16, 5).mean(dim=2)


class WithMap(Bands):
    """Its forward gives features; `forward_features` the last map."""

    def forward_features(self, x: Tensor) -> Tensor:
        return x.unflatten(1, (1, 20, -1))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"pooler_output": super().forward(x)}


def test_one_data_set_in_a_word_and_settings_as_mappings(sounds: Path, tmp_path: Path):
    p = load_protocol("avid-esc")
    pools = replace(p, pooling=replace(p.pooling, audio="max"), inputs=replace(p.inputs, audio_seconds=0.2))
    plain = {"inputs": {"audio_seconds": 0.2}, "loading": {"batch_size": 8, "num_workers": 0}}
    how = {"waveform_rate": RATE, "clips": 1, **plain}
    one = ssl_av.evaluate(
        WithMap(), ["audio-retrieval", "knn"], f"esc50:{sounds}+fold=2", out=tmp_path, **how
    )
    data = {"name": "esc50", "root": str(sounds), "fold": 2}
    two = ssl_av.evaluate(Bands(), ["audio-retrieval", "knn"], data, **how)
    assert one["results"] == two["results"]
    kept = load_predictions(tmp_path / "predictions" / "knn.npz")["audio"][0]
    assert (kept.truth == kept.predicted).mean() == one["results"]["knn"]["audio"]["top1"]
    every = {"name": "esc50", "root": str(sounds), "folds": "all"}
    record = ssl_av.evaluate(WithMap(), ["audio-retrieval", pools], every, **how)
    assert record["results"]["audio-retrieval"]["audio"]["interval_over_folds"]["metric"] == "r1"
    assert record["protocols"]["audio-retrieval"]["numbers"]["folds"] == "all"
    assert len(record["results"]["avid-esc"]["audio"]["folds"]) == 5


@pytest.mark.parametrize(
    ("protocol", "change", "said"),
    [
        (["knn", "knn"], {}, "two protocols are called 'knn'"),
        ("knn", {"data": {"root": "x"}}, "write it NAME:DIR"),
        ("knn", {"data": 7}, "or 'esc50:DIR'; got 7"),
        ("knn", {"data": "esc50:x,ucf101:y"}, "measures one data set"),
        ("knn", {"clips": 0}, "clips must be at least 1"),
        ("knn", {"inputs": {"audio_second": 1.0}}, "did you mean .*audio_seconds"),
        ("knn", {"loading": 8}, r"loading is Loading\(…\) or {name: value}, got 8"),
        ("knn", {"backbone": len}, "the backbone is an nn.Module"),
    ],
)
def test_what_evaluate_is_not_given(protocol: Any, change: dict[str, Any], said: str):
    given = {"backbone": Bands(), "data": {"name": "esc50", "root": "x"}, **change}
    with pytest.raises(UserError, match=said):
        ssl_av.evaluate(protocol=protocol, **given)
