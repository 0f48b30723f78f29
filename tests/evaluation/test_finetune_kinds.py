"""The kinds that train a network, and every shipped protocol by gradient at toy size, on rendered videos."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import ssl_av
from ssl_av.data.datamodule import AVDataModule
from ssl_av.data.loading import Loading
from ssl_av.data.prepare import prepare_manifest
from ssl_av.errors import UserError
from ssl_av.evaluation import finetune as functions
from ssl_av.evaluation.engine import measure
from ssl_av.evaluation.kinds import KINDS
from ssl_av.evaluation.protocols import Protocol, list_protocols, load_protocol, protocol_from
from ssl_av.evaluation.towers import Towers
from ssl_av.methods import create_method

KINDS_BY_GRADIENT = ("probe", "mlp", "finetune", "online-probe")
INPUTS = {"frames": 4, "fps": 8, "size": 32, "audio_seconds": 1.0, "front_end": "small"}
NETWORKS = {
    "video": "r2plus1d_10", "video_args": {"width": 4}, "audio": "conv9_audio", "audio_args": {"width": 4},
}  # fmt: skip
SIZES = {"train": 8, "val": 4, "test": 4}


def stated(name: str) -> dict[str, Any]:
    """A shipped file."""
    values: dict[str, Any] = yaml.safe_load(list_protocols()[name].read_text(encoding="utf-8"))
    return values


def shrunk(name: str) -> Protocol:
    """A shipped protocol at toy size, as a user would shrink its file."""
    values = stated(name)
    s, seen = values["settings"], values["inputs"]
    for part in ("train", "test"):
        values[part]["clips"] = min(values[part]["clips"] or 1, 2)
    s["epochs"], s["batch_size"] = 2 if s.get("keep") == "val" else 1, 4
    if s["optim"].get("warmup"):
        s["optim"]["warmup"] = "1 steps"
    if values["kind"] in ("finetune", "online-probe"):
        seen |= {"frames": seen["frames"] and min(seen["frames"], 4), "fps": None}
        seen |= {"size": seen["size"] and 32}
        s["epoch_samples"] = s["epoch_samples"] and 4
        s |= {"passes": 1, "head_epochs": min(s["head_epochs"], 1), "test_size": s["test_size"] and 36}
        s["blocks"] = s["blocks"] and [36, 32, 16, 32]
        s["grid"] = s["grid"] and {"optim": {"lr": [0.03, 0.3]}}
    else:
        seen["audio_seconds"] = seen["audio_seconds"] and 1.0
    return protocol_from(values, name)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory):
    """One place for what is rendered."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_AV_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def data() -> AVDataModule:
    manifest = prepare_manifest("synthav", SIZES, Loading(num_workers=0), progress=False)
    return AVDataModule(manifest, Loading(batch_size=4, num_workers=0, decode_size=40))


@pytest.fixture(scope="module")
def towers() -> Towers:
    torch.manual_seed(0)
    return Towers(create_method("avid", inputs=INPUTS, networks=NETWORKS, num_samples=8)).eval()


def run(towers: Towers, data: AVDataModule, protocol: Protocol, **kw: Any):
    return measure(towers, [data], [protocol], clips=1, **kw)


BY_GRADIENT = [n for n in list_protocols() if stated(n)["kind"] in KINDS_BY_GRADIENT]
SLOW = ("brave-finetune-grid", "finetune")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in BY_GRADIENT]
)
def test_every_protocol_by_gradient_runs(towers: Towers, data: AVDataModule, name: str):
    before = {k: v.clone() for k, v in towers.state_dict().items()}
    protocol = shrunk(name)
    assert protocol.hash != load_protocol(name).hash
    found = run(towers, data, protocol)
    result = found.results[name]
    blocks = getattr(protocol.settings, "blocks", ())
    assert list(result) == [f"block{k + 1}" for k in range(len(blocks))] or list(result) == list(
        protocol.modalities
    )
    for side, numbers in result.items():
        assert {"top1", "clip_top1"} <= set(numbers), side
        assert ("top1_val" in numbers) != protocol.settings.refit
        scores = found.outcomes[name][0].predicted[side].scores
        assert scores.shape == (4, 8)
        assert np.isfinite(scores).all()
    about = found.protocols[name]
    assert about["hash"] == protocol.with_clips(1).hash
    assert about["samples"][0]["test"] == 4
    assert about["skipped"] == [0]
    # the caller's networks stay as they were
    assert all(torch.equal(v, before[k]) for k, v in towers.state_dict().items())
    assert not any(m.training for m in towers.modules())
    assert all(p.grad is None for p in towers.parameters())


def test_the_kind_is_the_function(towers: Towers, data: AVDataModule):
    protocol = shrunk("finetune").with_clips(1)
    found = run(towers, data, protocol, seed=3)
    from ssl_av.evaluation.kinds.finetune import whole_settings
    from ssl_av.transforms import video_augment

    settings = whole_settings(protocol, towers.inputs, "avid", 40, False)
    alone = functions.finetune(
        towers.method.net("video"), data, settings, splits=("test",), like=video_augment("avid"), seed=3
    )
    np.testing.assert_array_equal(
        found.outcomes["finetune"][0].predicted["video"].scores, alone.results["test"]["pooled"].scores
    )


def test_the_same_seed_gives_the_same_numbers_and_progress_is_told(towers: Towers, data: AVDataModule):
    said = []
    one, two = (
        run(towers, data, shrunk("avid-finetune-ucf101-8"), report=lambda *a: said.append(a[:3])).outcomes
        for _ in range(2)
    )
    scores = [o["avid-finetune-ucf101-8"][0].predicted["video"].scores for o in (one, two)]
    np.testing.assert_array_equal(*scores)
    assert ("avid-finetune-ucf101-8: training", 2, 2) in said


@pytest.mark.slow
def test_settings_are_chosen_on_validation(
    towers: Towers, data: AVDataModule, monkeypatch: pytest.MonkeyPatch
):
    """The second setting is made the best one on validation, the first one on test."""
    asked: list[tuple[str, float, bool]] = []
    real = functions.FineTuner.measure

    def measured(self, loader, progress=None):
        out = real(self, loader, progress)
        split = Path(loader.dataset.manifest[0].path).parent.name
        second = self.settings.optim.lr > 0.1
        asked.append((split, self.settings.optim.lr, self.settings.refit))
        top1 = float(second if split == "val" else not second)
        return {k: replace(m, metrics={**m.metrics, "top1": top1}) for k, m in out.items()}

    monkeypatch.setattr(functions.FineTuner, "measure", measured)
    found = run(towers, data, shrunk("brave-finetune-grid")).results["brave-finetune-grid"]["video"]
    assert asked == [
        ("val", 0.03, False), ("val", 0.3, False), ("test", 0.03, True), ("test", 0.3, True),
    ]  # fmt: skip
    assert found["setting"] == "lr 0.3"
    assert found["top1"] == 0.0
    assert found["test_by_setting"] == {"lr 0.03": 1.0, "lr 0.3": 0.0}
    # the paper's figure has its own name and is never ours
    assert found["top1_tuned_on_first_split"] == 1.0
    asked.clear()
    protocol = shrunk("brave-finetune-grid")
    protocol = replace(protocol, settings=replace(protocol.settings, paper_choice="none"))
    found = run(towers, data, protocol).results["brave-finetune-grid"]["video"]
    assert asked == [("val", 0.03, False), ("val", 0.3, False), ("test", 0.3, True)]
    assert "top1_tuned_on_first_split" not in found


def test_what_does_not_fit_is_told(towers: Towers, data: AVDataModule):
    protocol = shrunk("finetune")
    sound = Towers(towers.method, ("audio",))
    for name in ("finetune", "fusion", "av-retrieval"):
        asked = protocol if name == "finetune" else load_protocol(name)
        assert run(sound, data, asked).results[name] == {"skipped": "the data have no picture"}
    few = AVDataModule(one_class(data), data.loading)
    assert "one class only" in run(towers, few, protocol).results["finetune"]["skipped"]


def one_class(data: AVDataModule):
    """Training samples of the first class alone, twice; the other splits whole."""
    split, label = data.manifest.columns("split")["split"], data.manifest.labels
    rows = np.flatnonzero((split != "train") | (label == 0))
    return data.manifest.take([*rows, *np.flatnonzero((split == "train") & (label == 0))])


def test_any_network_can_be_fine_tuned(data: AVDataModule):
    net = torch.nn.Conv3d(3, 5, 1)  # a map: its mean is taken
    before = net.weight.clone()
    record = ssl_av.evaluate(
        net, shrunk("finetune"), data.manifest, modality="video", clips=1,
        inputs=create_method("avid", inputs=INPUTS, networks=NETWORKS, num_samples=8).inputs,
        loading=data.loading,
    )  # fmt: skip
    assert record["results"]["finetune"]["video"]["steps"] == 4
    assert torch.equal(net.weight, before)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("finetune", {"modalities": ["audio"]}, "modalities must be [video]"),
        (
            "finetune",
            {"pooling": {"video": {"max": [1, 4, 4]}}},
            "pooling.video must be null, max, avg or method",
        ),
        ("finetune", {"train": {"clips": 3}}, "train must have clips 1"),
        ("finetune", {"merge": "mean"}, "merge be keep"),
        ("finetune", {"settings": {"blocks": [64]}}, "give kind: online-probe"),
        ("finetune", {"settings": {"grid": {"optm": {"lr": [1]}}}}, "grid: optm is no field"),
        ("finetune", {"settings": {"grid": {"dropout": [2.0]}}}, "dropout must be"),
        ("finetune", {"settings": {"augment": {"flp": 1}}}, "did you mean flip"),
        ("finetune", {"settings": {"refit": True}}, "which refit trains on"),
        ("finetune", {"settings": {"paper_choice": "tset"}}, "did you mean test"),
        ("avid-kinetics-blocks", {"settings": {"head_epochs": 2}}, "head_epochs"),
        ("brave-kinetics600", {"settings": {"optim": {"warmup": "6 epoks"}}}, "unknown unit in optim.warmup"),
    ],
)
def test_a_wrong_protocol_is_told_where(tmp_path: Path, name: str, change: dict, said: str):
    values = stated(name)
    for key, value in change.items():
        values[key] = {**values[key], **value} if isinstance(value, dict) else value
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(values))
    with pytest.raises(UserError, match=r"mine\.yaml") as error:
        load_protocol(file)
    assert said in str(error.value)


def test_kinds_that_train_need_no_features():
    assert {name for name, kind in KINDS.items() if kind.trains} == {"finetune", "online-probe"}


def test_folds_are_averaged(towers: Towers, data: AVDataModule):
    swapped = AVDataModule(data.manifest.take(np.arange(len(data.manifest))[::-1]), data.loading)
    protocol = shrunk("stica-finetune")
    assert protocol.folds == "all"
    found = measure(towers, [data, swapped], [protocol])
    result = found.results["stica-finetune"]["video"]
    assert [f["steps"] for f in result["folds"]] == [3, 3]  # 8 and 4 samples, by 4
    assert result["top1"] == pytest.approx(np.mean([f["top1"] for f in result["folds"]]))
    assert len(found.protocols["stica-finetune"]["samples"]) == 2
