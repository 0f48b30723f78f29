"""What `ssl_av.evaluate` takes, in its shapes: data in a word, settings as mappings, a network with its map apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeClassifierCV
from sklearn.preprocessing import StandardScaler
from tiny_esc import RATE, plant_esc
from torch import Tensor, nn
from torch.nn.functional import relu

import ssl_av
from ssl_av.data.datamodule import AVDataModule
from ssl_av.data.datasets import create_dataset
from ssl_av.data.loading import Loading
from ssl_av.data.prepare import prepare_manifest
from ssl_av.errors import UserError
from ssl_av.evaluation import embed, load_embeddings, save_embeddings
from ssl_av.evaluation.certainty import load_predictions
from ssl_av.evaluation.protocols import load_protocol
from ssl_av.evaluation.subject import load_subject, run_of
from ssl_av.methods import create_method
from ssl_av.resolve import resolve_suite
from ssl_av.runs.run import save_untrained


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


def test_natural_spellings_are_one_measurement(sounds: Path):
    how = {"waveform_rate": RATE, "clips": 1, "inputs": {"audio_seconds": 0.2}, "loading": {"num_workers": 0}}
    given = {"root": str(sounds), "fold": 2}
    data = AVDataModule(prepare_manifest("esc50", given, Loading(num_workers=0)), Loading(num_workers=0), 0)
    ridge = {"name": "ridge", "version": 1, "kind": "ridge", "folds": "all"}
    net = Bands()
    wanted = ssl_av.evaluate(net, ["ridge", "knn"], {"name": "esc50", **given}, **how)["results"]
    for protocol, where in (("ridge, knn", create_dataset("esc50", **given)), ([ridge, "knn"], data)):
        assert ssl_av.evaluation.evaluate(net, protocol, where, **how)["results"] == wanted
    by_numpy = ssl_av.evaluate(lambda x: net(x).numpy(), ["ridge", "knn"], data, modality="audio", **how)
    assert by_numpy["results"] == wanted


def test_a_function_is_measured_by_the_network_in_it(sounds: Path, tmp_path: Path):
    """In eval mode, and no features in the cache are taken for those of other weights."""
    how = {"waveform_rate": RATE, "clips": 1, "inputs": {"audio_seconds": 0.2}, "loading": {"num_workers": 0}}
    given = {"modality": "audio", "cache": tmp_path / "kept", **how}

    def wrapped(net: nn.Module) -> Callable[[Tensor], Any]:
        def inner(x: Tensor) -> Tensor:
            y = net(x)
            return relu(y) - relu(-y)

        return lambda x: inner(x).numpy()

    class Extractor:
        def __init__(self, net: nn.Module) -> None:
            self.net = net

        def extract(self, x: Tensor) -> Tensor:
            return self.net(x)

    nets = [nn.Sequential(Bands(), nn.Linear(16, 2), nn.BatchNorm1d(2)) for _ in range(2)]
    nn.init.zeros_(nets[1][1].weight)
    data = {"name": "esc50", "root": str(sounds), "fold": 2}
    for net in nets:
        for function in (wrapped(net), wrapped(net), Extractor(net).extract):  # the second one's are there
            found = ssl_av.evaluate(function, "knn", data, **given)["results"]
            assert found == ssl_av.evaluate(net, "knn", data, modality="audio", **how)["results"]
        assert net.training
        assert torch.equal(net[2].running_mean, torch.zeros(2))
    assert len(list((tmp_path / "kept").iterdir())) == 4, "what an object does is not known again"


@pytest.mark.parametrize("ending", [".npz", ".arrow"])
def test_exported_embeddings_are_what_was_measured(sounds: Path, tmp_path: Path, ending: str):
    how = {"waveform_rate": RATE, "clips": 2, "inputs": {"audio_seconds": 0.2}, "loading": {"num_workers": 0}}
    data = {"name": "esc50", "root": str(sounds), "fold": 3}
    table = load_embeddings(save_embeddings(embed(Bands(), data, **how), tmp_path / f"e{ending}"))
    test = np.array(table.splits) == "test"
    assert all((name.split("/")[1][0] == "3") == tested for name, tested in zip(table.ids, test, strict=True))
    x, y = table.vectors["audio"].astype(np.float64), np.asarray(table.labels)
    scale = StandardScaler().fit(x[~test])
    model = RidgeClassifierCV(alphas=[1, 10, 100, 1e3, 1e4, 1e5]).fit(scale.transform(x[~test]), y[~test])
    found = ssl_av.evaluate(Bands(), "ridge", data, **how)["results"]["ridge"]["audio"]
    assert (found["top1"], found["alpha"]) == (model.score(scale.transform(x[test]), y[test]), model.alpha_)


def test_a_loaded_backbone_sees_what_it_was_trained_with(
    sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    inputs = {"audio_seconds": 0.3, "front_end": "small", "size": 32}
    networks = {
        "video": "r2plus1d_10",
        "video_args": {"width": 4},
        "audio": "conv9_audio",
        "audio_args": {"width": 4},
    }
    (tmp_path / "weights").mkdir()
    file = tmp_path / "weights" / "it.ckpt"
    save_untrained(create_method("random", inputs=inputs, networks=networks), file)
    (tmp_path / "config.yaml").write_text("lr: 0.1\n")  # another program's
    net = ssl_av.load_backbone(file, "audio")
    data, how = {"name": "esc50", "root": str(sounds)}, {"loading": {"num_workers": 0}, "clips": 2}
    own, run = (ssl_av.evaluate(one, "linear-svm", data, **how)["results"] for one in (net, file))
    assert own == run
    assert (
        capsys.readouterr().err.count(
            f"config.yaml is no run's (KeyError: 'budget'): what {file} was trained on"
        )
        == 2
    )
    with pytest.raises(UserError, match="a run's networks see what they were trained with"):
        ssl_av.evaluate(file, "knn", data, inputs={"audio_seconds": 0.1})
    with pytest.raises(UserError, match="did you mean audio"):
        ssl_av.evaluate(file, "knn", data, modality="audi")


def test_networks_of_a_run_are_not_tested_on_what_it_was_trained_on(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run, esc = tmp_path / "run", {"name": "esc50", "root": str(sounds)}
    networks = {
        "video": "r2plus1d_10",
        "video_args": {"width": 4},
        "audio": "conv9_audio",
        "audio_args": {"width": 4},
    }
    method = create_method(
        "supervised", inputs={"audio_seconds": 0.3, "front_end": "small"}, networks=networks
    )
    save_untrained(method, run / "checkpoints" / "last.ckpt")
    config = resolve_suite("tiny", None, {}, {}).run_config("supervised", 0)
    replace(config, data={**esc, "fold": 2}).save(run / "config.yaml")
    files = sorted((sounds / "audio").glob("*.wav"))
    lines = [f"{f.name},{f.stem[-1]},{'test' if f.name[0] in '12' else 'train'}" for f in files]
    (sounds / "audio" / "own.csv").write_text("\n".join(["path,label,split", *lines]) + "\n")
    csv = f"csv:{sounds}/audio/own.csv+num_workers=0+modalities=[audio]"
    for own in (
        ssl_av.load_backbone(run, "audio"),
        {"audio": ssl_av.load_backbone(run, "audio")},
        ssl_av.load_method(run),
    ):
        with pytest.raises(
            UserError, match=r"of the 12 test samples of 'csv' are among those .* pretrained on"
        ):
            ssl_av.evaluate(own, "knn", csv, clips=1)
        with pytest.raises(UserError, match="trained on fold 2 of the same 'esc50'"):
            ssl_av.evaluate(own, "knn", {**esc, "fold": 3}, clips=1)
    monkeypatch.chdir(run / "checkpoints")
    for path in ("last.ckpt", "../checkpoints/last.ckpt", ".."):
        found = run_of(Path(path))
        assert found is not None
        assert found.data["fold"] == 2
    assert load_subject("last.ckpt", {}, None).home == run
    (run / "config.yaml").write_text("")
    with pytest.raises(UserError, match=r"config\.yaml is no run's .* name the checkpoint alone"):
        ssl_av.evaluate(str(run), "knn", csv, clips=1)


@pytest.mark.parametrize(
    ("protocol", "change", "said"),
    [
        (["knn", "knn"], {}, "two protocols are called 'knn'"),
        ("knn", {"data": {"root": "x"}}, "write it NAME:DIR.* or {'name': 'esc50', 'root': DIR}"),
        ([], {}, "name a protocol"),
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
