"""Fine-tuning on a handful of small files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ssl_av.backbones import create_backbone
from ssl_av.data.datamodule import AVDataModule
from ssl_av.data.loading import Loading
from ssl_av.data.manifest import Manifest, Row, build_manifest
from ssl_av.data.media import create_reader
from ssl_av.data.synthav import render_file
from ssl_av.errors import UserError
from ssl_av.evaluation.changes import settings_grid
from ssl_av.evaluation.finetune import FineTuner, choose, finetune, sample_loader
from ssl_av.evaluation.finetune_settings import FineTuning
from ssl_av.methods.settings import Optim
from ssl_av.transforms import VideoAugment

SMALL = FineTuning(
    frames=4, fps=8, size=24, short=32, augment=VideoAugment(crop_area=(0.5, 1.0)),
    optim=Optim(lr=1e-2, weight_decay=0.0), epochs=1, batch_size=4, clips=2, crops=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Manifest:
    """Eight training, four validation and four test samples of two classes, and one of each without a label.

    They are pieces of three files, to be quick.
    """
    root = tmp_path_factory.mktemp("clips")
    rows = []
    for k, (split, count) in enumerate({"train": 9, "val": 5, "test": 5}.items()):
        path = root / f"{split}.mp4"
        render_file(path, 0, split, k)
        for i in range(count):
            rows.append(Row(str(path), i % 2 if i < count - 1 else -1, split, i * 0.3, i * 0.3 + 0.9))
    return build_manifest(rows, ("a", "b"), Path(root), create_reader())


@pytest.fixture
def data(manifest) -> AVDataModule:
    return AVDataModule(manifest, Loading(batch_size=3, num_workers=0, decode_size=16))


def small_backbone() -> nn.Module:
    torch.manual_seed(0)
    return create_backbone("r2plus1d_10", width=4, stem=(3, 3, 3), time_strides=(1, 1, 2, 1))


def weights(net: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in net.state_dict().items()}


def moved(net: nn.Module, before: dict[str, Tensor]) -> list[str]:
    return [name for name, p in net.state_dict().items() if not torch.equal(p, before[name])]


def test_fine_tuning_moves_the_backbone_of_a_copy(data):
    net = small_backbone()
    before, steps = weights(net), []
    done = finetune(net, data, replace(SMALL, norm="learned"), splits=("val", "test"),
                    progress=lambda *a: steps.append(a))  # fmt: skip
    assert moved(net, before) == []
    assert "conv1.0.weight" in moved(done.model.backbone, before)
    assert (done.steps, done.epoch, steps) == (2, 1, [(1, 2), (2, 2)])
    found = done.results["test"]["pooled"]
    assert found.metrics["samples"] == 4  # not the one without a label
    assert found.metrics["clips"] == 4  # two times two crops
    assert found.scores.shape == (4, 2)
    np.testing.assert_allclose(found.scores.sum(1), 1, rtol=1e-5)
    assert sorted(done.results) == ["test", "val"]
    assert not done.model.training
    assert done.skipped == {}


def test_a_sample_has_the_mean_of_its_clips_and_crops(data):
    settings = replace(SMALL, average="score")
    model = FineTuner(small_backbone(), 2, settings).eval()
    found = model.measure(sample_loader(data, settings, "test"))["pooled"]
    for batch in sample_loader(data, settings, "test"):
        assert {"video_0", "video_1"} <= set(batch)
        for i, index in enumerate(batch["index"].tolist()):
            clips = [model.clips.tested(batch[f"video_{k}"][i : i + 1], batch[f"video_{k}.aspect"][i : i + 1])
                     for k in range(2)]  # fmt: skip
            scores = [model(clip[:, crop])["pooled"] for clip in clips for crop in range(2)]
            row = found.rows.tolist().index(index)
            np.testing.assert_allclose(found.scores[row], torch.cat(scores).mean(0).detach(), atol=1e-5)
            assert found.target[row] == batch["label"][i]


def test_gradient_reaches_the_backbone_or_not(data):
    batch = {
        "index": torch.arange(4), "label": torch.tensor([0, 1, 0, 1]), "video.aspect": torch.ones(4),
        "video": torch.randint(0, 256, (4, 3, 4, 32, 32), dtype=torch.uint8),
    }  # fmt: skip
    for frozen in (False, True):
        net = small_backbone()
        model = FineTuner(net, 2, replace(SMALL, frozen=frozen)).train()
        before = weights(net)
        model.training_step(batch, 0).backward()
        assert all((p.grad is None) == frozen for p in net.parameters())
        assert all(p.grad is not None for p in model.heads.parameters())
        # nor do the running statistics of a frozen backbone move
        assert bool(moved(net, before)) != frozen
        names = [g["name"] for g in model.configure_optimizers()["optimizer"].param_groups]
        assert any(name.startswith("base") for name in names) != frozen


def test_a_frozen_backbone_with_a_classifier_a_block(data):
    net = small_backbone()
    before = weights(net)
    settings = replace(SMALL, frozen=True, blocks=(36, 32, 16, 32), norm="learned", crops=1)
    done = finetune(net, data, settings)
    assert list(done.results["test"]) == ["block1", "block2", "block3", "block4"]
    assert moved(done.model.backbone.backbone, before) == []
    assert done.model.heads["block2"][0].num_features == 32


def test_the_classifier_alone_at_first(data):
    net = small_backbone()
    before = weights(net)
    alone = finetune(
        net, data, replace(SMALL, head_epochs=1, optim=replace(SMALL.optim, lr=1e-30)), splits=()
    )
    assert alone.steps == 4
    trained = dict(alone.model.backbone.named_parameters())
    assert all(torch.allclose(p, before[name]) for name, p in trained.items())
    # its second phase trains the backbone again
    assert all(p.requires_grad for p in trained.values())
    assert "conv1.1.running_mean" in moved(alone.model.backbone, before)


def test_same_seed_same_results_and_the_global_state_stays(data):
    net, settings = small_backbone(), replace(SMALL, dropout=0.3)
    torch.manual_seed(3)
    state = torch.get_rng_state()
    first, second = (finetune(net, data, settings, seed=1).results["test"]["pooled"].scores for _ in range(2))
    assert torch.equal(state, torch.get_rng_state())
    np.testing.assert_array_equal(first, second)
    other = finetune(net, data, settings, seed=2).results["test"]["pooled"].scores
    assert not np.array_equal(first, other)


def test_the_best_epoch_is_that_of_validation(data, monkeypatch):
    answers = iter([0.5, 0.9, 0.7])

    def measure(self, loader, progress=None):
        asked.append(loader.dataset.manifest)
        kept.append(weights(self))
        return {"pooled": type("M", (), {"metrics": {"top1": next(answers)}})()}

    asked: list[Manifest] = []
    kept: list[dict[str, Tensor]] = []
    monkeypatch.setattr(FineTuner, "measure", measure)
    done = finetune(small_backbone(), data, replace(SMALL, epochs=3, keep="val"), splits=())
    assert len(asked) == 3
    assert all("val" in m[i].path for m in asked for i in range(len(m)))
    assert done.epoch == 2
    assert moved(done.model, kept[1]) == []
    assert moved(done.model, kept[2]) != []


def test_looking_at_validation_does_not_change_the_training(data):
    last, val = (
        finetune(small_backbone(), data, replace(SMALL, dropout=0.5, keep=keep), splits=()).model
        for keep in ("last", "val")
    )
    assert moved(last, weights(val)) == []


def test_the_length_of_an_epoch(data):
    assert (
        finetune(small_backbone(), data, replace(SMALL, refit=True), splits=()).steps == 3
    )  # 8 and 4 samples
    assert finetune(small_backbone(), data, replace(SMALL, passes=2), splits=()).steps == 4
    assert (
        finetune(small_backbone(), data, replace(SMALL, epoch_samples=12, epochs=0.7), splits=()).steps == 2
    )


def test_a_grid_is_chosen_from_on_validation_alone(data):
    grid = settings_grid(SMALL, {"optim": {"lr": (1e-30, 1e-2, 3e-2)}})
    choice = choose(small_backbone(), data, grid)
    top1 = choice.val
    assert len(top1) == 3
    assert choice.settings == grid[int(np.argmax(top1))]
    assert sorted(choice.tuned.results) == ["test", "val"]
    assert choice.tuned.results["val"]["pooled"].metrics["top1"] == max(top1)


def test_any_module_and_pooling(data):
    plain = nn.Sequential(nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(3, 5))
    assert finetune(plain, data, SMALL).results["test"]["pooled"].metrics["samples"] == 4
    with pytest.raises(UserError, match="pool max: Sequential has no pooling"):
        finetune(plain, data, replace(SMALL, pool="max"))
    with pytest.raises(UserError, match=r"must give \[B, D\]"):
        finetune(nn.Conv3d(3, 1, 1), data, SMALL)
    net = small_backbone()
    assert finetune(net, data, replace(SMALL, pool="avg"), splits=()).model.backbone.pooling == "avg"
    assert net.pooling == "max"


def test_the_inputs_have_the_backbones_mean(data):
    like = VideoAugment(mean=(0.1, 0.2, 0.3))
    model = finetune(small_backbone(), data, SMALL, splits=(), like=like).model
    torch.testing.assert_close(model.clips.mean.flatten(), torch.tensor([0.1, 0.2, 0.3]))


def test_a_colour_is_learnt(manifest, data, monkeypatch):
    """Labels that the frames tell: all of a red file are red after a few steps."""
    bright = nn.Sequential(nn.AdaptiveAvgPool3d(1), nn.Flatten())
    settings = replace(SMALL, optim=Optim(lr=0.3, weight_decay=0.0), epochs=8, norm="learned", crops=1)
    real = AVDataModule.transfer_batch_to_device

    def painted(self, batch, device, index):
        if "video" in batch:
            batch["video"] = (
                (batch["label"] * 200).to(torch.uint8)[:, None, None, None, None].expand_as(batch["video"])
            )
        return real(self, batch, device, index)

    monkeypatch.setattr(AVDataModule, "transfer_batch_to_device", painted)
    model = finetune(bright, data, settings, splits=()).model
    red = torch.full((2, 3, 4, 32, 32), 200, dtype=torch.uint8)
    red[0] = 0
    scores = model(model.clips.tested(red, torch.ones(2)).flatten(0, 1))["pooled"]
    assert scores.argmax(dim=1).tolist() == [0, 1]


def test_data_without_labels(manifest):
    rows = [i for i in range(len(manifest)) if manifest[i].label < 0]
    none = AVDataModule(manifest.take([*rows, *rows]), Loading(batch_size=2, num_workers=0))
    with pytest.raises(UserError, match="needs one label a sample"):
        finetune(small_backbone(), none, SMALL)
    one = Manifest(manifest._table, manifest.root, ("a",))
    with pytest.raises(UserError, match="at least 2 classes, the data have 1"):
        finetune(small_backbone(), AVDataModule(one, Loading(batch_size=2, num_workers=0)), SMALL)
