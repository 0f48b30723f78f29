"""The papers' numbers, read off their tables once more, and what the protocols become of them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from torch import nn

from ssl_av.errors import UserError
from ssl_av.evaluation.changes import grid_points
from ssl_av.evaluation.finetune_settings import FineTuning
from ssl_av.evaluation.kinds.finetune import OnlineProbe, whole_settings
from ssl_av.evaluation.papers import TABLE_7, brave_row
from ssl_av.evaluation.protocols import Protocol, load_protocol
from ssl_av.methods.settings import Inputs
from ssl_av.optim import create_optimizer
from ssl_av.transforms import AUGMENTS, VideoAugment


def whole(protocol: str | Protocol, own: str = "brave") -> FineTuning:
    """With BraVe's inputs where the protocol leaves them open."""
    p = load_protocol(protocol)
    return whole_settings(p, Inputs(fps=12.5), own, 128, isinstance(p.settings, OnlineProbe))


@pytest.mark.parametrize(
    ("name", "batch", "epochs", "samples", "milestones"),
    [
        ("ucf101-8", 32, 160, 1e4, (60, 100, 140)),
        ("ucf101-32", 16, 80, 1e4, (30, 50, 70)),
        ("hmdb51-8", 32, 250, 3.4e3, (75, 150, 200)),
        ("hmdb51-32", 16, 100, 3.4e3, (30, 60, 80)),
    ],
)
def test_avid_table_8(name, batch, epochs, samples, milestones):
    s = whole(f"avid-finetune-{name}")
    assert (s.batch_size, s.epochs, s.epoch_samples) == (batch, epochs, samples)
    assert s.optim.milestones == tuple(f"{m} epochs" for m in milestones)
    assert (s.optim.name, s.optim.lr, s.optim.weight_decay, s.optim.gamma) == ("adam", 1e-4, 0.0, 0.3)
    assert (s.frames, s.fps, s.size, s.short, s.decode_size) == (int(name.split("-")[1]), 16, 224, 256, None)
    jitter = (0.4, 0.4, 0.4, 0.2) if "ucf" in name else (1.0, 1.0, 1.0, 0.2)
    assert s.augment == VideoAugment(jitter=jitter)
    assert (s.dropout, s.norm, s.clips, s.crops, s.frozen, s.pool) == (0.5, "none", 10, 1, False, None)
    # five epochs of the code, which are as many times longer as its milestones are fewer
    assert s.head_epochs == {"ucf101-8": 50, "ucf101-32": 25, "hmdb51-8": 125, "hmdb51-32": 50}[name]


@pytest.mark.parametrize(
    ("name", "batch", "samples", "milestones", "lr", "gamma"),
    [
        ("ucf101-8", 64, 95e3, (6, 10, 14), 0.0005, 0.3),
        ("ucf101-32", 32, 95e3, (8, 12, 16), 0.00007, 0.3),
        ("hmdb51-8", 64, 35e3, (6, 10, 14), 0.0005, 0.1),
        ("hmdb51-32", 32, 35e3, (8, 12, 16), 0.0001, 0.3),
    ],
)
def test_crisscross_table_s11(name, batch, samples, milestones, lr, gamma):
    s = whole(f"crisscross-finetune-{name}")
    assert (s.batch_size, s.epochs, s.epoch_samples) == (batch, 20, samples)
    assert s.optim.milestones == tuple(f"{m} epochs" for m in milestones)
    assert (s.optim.name, s.optim.lr, s.optim.gamma, s.optim.weight_decay) == ("sgd", lr, gamma, 0.0)
    assert (s.optim.momentum, s.dropout, s.pool, s.size) == (0.9, 0.0, "max", 224)
    assert s.augment == replace(AUGMENTS["crisscross"], blur_p=0.0)


def test_braves_fine_tuning():
    s = whole("brave-finetune")
    assert (s.optim.name, s.optim.warmup, s.optim.schedule, s.epochs) == ("lars", "50 epochs", "cosine", 600)
    assert (s.frames, s.fps, s.size, s.short, s.crop) == (32, 12.5, 224, 256, "short")
    assert (s.scale_jitter, s.batch_size, s.norm, s.clips * s.crops) == ((0.8, 1.2), 256, "learned", 30)
    assert (s.augment.flip, s.augment.crop_area, s.augment.jitter_p * s.augment.jitter[0]) == (0.5, None, 0.0)


def test_brave_table_7_lies_in_the_grid():
    grid = load_protocol("brave-finetune-grid").settings.grid
    assert len(grid_points(grid)) == 18
    assert len(TABLE_7) == 11
    for recipe in TABLE_7:
        for dataset in ("hmdb51", "ucf101"):
            p = brave_row(dataset, recipe)
            s = p.settings
            assert any(math.isclose(s.optim.lr * 256 / s.batch_size, lr) for lr in grid["optim"]["lr"])
            assert s.optim.weight_decay in grid["optim"]["weight_decay"]
            assert s.dropout in grid["dropout"]
            assert (s.optim.name, s.epochs) == ("lars", 600)
    p = brave_row("hmdb51", "vf3-r3d50-k600")
    assert (p.settings.dropout, p.settings.optim.lr, p.settings.optim.weight_decay) == (0.8, 0.03, 0.0)
    assert p.hash != load_protocol("brave-finetune").hash
    s = brave_row("ucf101", "vfa-tsm50x2-as").settings
    assert (s.dropout, s.optim.lr, s.optim.weight_decay, s.batch_size) == (0.1, 0.15, 1e-7, 128)
    with pytest.raises(UserError, match="did you mean vfa-tsm50-as"):
        brave_row("ucf101", "vfa-tsm-50-as")
    with pytest.raises(UserError, match="did you mean ucf101"):
        brave_row("ucf", "va-tsm50-as")


def test_every_row_of_brave_is_a_recipe():
    from ssl_av.recipes import list_recipes

    assert set(TABLE_7) <= {recipe.name.removeprefix("brave/") for recipe in list_recipes("brave")}


def test_the_rate_over_a_training_of_gdts_schedule():
    def rates(name: str) -> list[list[float]]:
        s = whole(name)
        assert (s.epochs, s.passes, s.batch_size, s.clips * s.crops) == (12, 10, 32, 30)
        net = nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1)])
        built = create_optimizer(s.optim, net, [net[1]], 120, 10)
        optimizer, scheduler = built["optimizer"], built["lr_scheduler"]["scheduler"]
        found = []
        for _ in range(12):
            found.append([g["lr"] for g in optimizer.param_groups])
            for _ in range(10):
                optimizer.step()
                scheduler.step()
        return found

    paper, code = rates("stica-finetune"), rates("gdt-finetune")
    assert paper[0] == pytest.approx([0.0025, 0.0025])
    assert paper[2] == paper[5] == pytest.approx([0.02, 0.02])
    assert paper[6] == pytest.approx([0.001, 0.001])
    assert paper[10] == pytest.approx([5e-5, 5e-5])
    assert code[0] == pytest.approx([0.00025, 0.0025])
    assert code[2] == pytest.approx([0.002, 0.02])
    assert (whole("stica-finetune").frames, whole("gdt-finetune").frames) == (30, 32)


def test_probes_of_the_papers():
    def settings(name: str) -> Any:
        return load_protocol(name).settings

    k600 = whole("brave-kinetics600")
    assert (k600.optim.name, k600.optim.lr, k600.optim.weight_decay) == ("lars", 0.5, 0.0)
    assert (k600.epochs, k600.batch_size, k600.optim.warmup, k600.norm) == (100, 512, "6.5 epochs", "learned")
    assert (k600.frozen, k600.test_size, k600.short, k600.clips * k600.crops) == (True, 256, 256, 30)
    assert k600.augment == replace(AUGMENTS["brave"], blur_p=0.0)
    assert whole("brave-image") == replace(k600, frames=1)
    audioset, p = settings("brave-audioset"), load_protocol("brave-audioset")
    assert (audioset.optim.name, audioset.optim.lr, audioset.optim.warmup) == ("adam", 2e-4, "5000 steps")
    assert (audioset.epochs, audioset.batch_size, audioset.hidden, audioset.norm) == (
        20,
        512,
        (512,),
        "learned",
    )
    assert (p.kind, p.train.clips, p.test.clips, p.inputs.audio_seconds) == ("mlp", 20, 10, 5)
    for name, clips, seconds in (("stica-esc", 10, 2), ("stica-dcase", 60, 1)):
        s, p = settings(name), load_protocol(name)
        assert (s.optim.name, s.optim.lr, s.optim.weight_decay, s.batch_size) == ("adam", 1e-4, 5e-4, 512)
        assert (s.optim.decay_all, s.average) == (True, "score")
        assert (p.train.clips, p.test.clips, p.inputs.audio_seconds) == (clips, clips, seconds)
        assert p.pooling.audio == {"max": [3, 1], "stride": [2, 1]}


def test_blocks_of_avid():
    table_2, analysis = whole("avid-kinetics-blocks"), whole("avid-analysis-blocks")
    assert table_2.blocks == analysis.blocks == (9216, 8192, 9216, 8192)
    assert (table_2.frames, table_2.clips, table_2.epochs, table_2.crop) == (8, 10, 12, "short")
    assert table_2.optim.milestones == ("6 epochs", "9 epochs")
    assert (analysis.frames, analysis.size, analysis.short, analysis.clips) == (16, 112, 128, 25)
    assert (analysis.batch_size, analysis.epochs, analysis.epoch_samples) == (32, 20, 1e4)
    assert analysis.optim.milestones == ("8 epochs", "12 epochs", "15 epochs", "18 epochs")
    assert (analysis.augment, analysis.optim.gamma) == (VideoAugment(), 0.3)


def test_layers_of_crisscross():
    kinetics, many = whole("crisscross-kinetics-fc"), whole("crisscross-video-fc")
    assert (kinetics.frames, kinetics.passes, kinetics.clips, kinetics.norm) == (8, 1, 10, "none")
    assert (many.frames, many.passes, many.clips, many.size) == (32, 10, 10, 224)
    assert kinetics.augment == many.augment == replace(AUGMENTS["crisscross"], blur_p=0.0)


def test_what_is_open_is_the_backbones_own():
    s = whole_settings(load_protocol("finetune").with_clips(3), Inputs(4, 8.0, 40), "stica", 64, False)
    assert (s.frames, s.fps, s.size, s.short, s.decode_size) == (4, 8.0, 40, 40, 64)
    assert s.augment == replace(AUGMENTS["stica"], blur_p=0.0)


def test_settings_that_no_training_can_have():
    with pytest.raises(UserError, match="set frozen with them"):
        FineTuning(blocks=(64,))
    with pytest.raises(UserError, match="which is frozen"):
        FineTuning(frozen=True, head_epochs=1)
    with pytest.raises(UserError, match="unknown keep 'test'"):
        FineTuning(keep="test")
    with pytest.raises(UserError, match="clips must be above 0"):
        FineTuning(clips=0)
    with pytest.raises(UserError, match="among whole epochs"):
        FineTuning(keep="val", epochs=0.5)
    with pytest.raises(UserError, match="which refit trains on"):
        FineTuning(keep="val", refit=True)
    with pytest.raises(UserError, match="epoch_samples must be above 0"):
        FineTuning(epoch_samples=0)
    with pytest.raises(UserError, match="unknown pool"):
        FineTuning(pool="mean")
