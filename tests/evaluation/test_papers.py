"""The papers' numbers, read off their tables once more."""

from __future__ import annotations

import math

import pytest
import yaml
from torch import nn

from ssl_av.errors import UserError
from ssl_av.evaluation.finetune_settings import FineTuning
from ssl_av.evaluation.papers import (
    BRAVE_GRID,
    FINE_TUNINGS,
    PROBES,
    changed,
    finetune_settings,
    probe_settings,
    settings_grid,
)
from ssl_av.methods.settings import plain
from ssl_av.optim import create_optimizer


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
    s = FINE_TUNINGS[f"avid-{name}"]
    assert (s.batch_size, s.epochs, s.epoch_samples) == (batch, epochs, samples)
    assert s.optim.milestones == tuple(f"{m} epochs" for m in milestones)
    assert (s.optim.name, s.optim.lr, s.optim.weight_decay, s.optim.gamma) == ("adam", 1e-4, 0.0, 0.3)
    assert s.frames == int(name.split("-")[1])
    assert s.augment.jitter == ((0.4, 0.4, 0.4, 0.2) if "ucf" in name else (1.0, 1.0, 1.0, 0.2))
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
    s = FINE_TUNINGS[f"crisscross-{name}"]
    assert (s.batch_size, s.epochs, s.epoch_samples) == (batch, 20, samples)
    assert s.optim.milestones == tuple(f"{m} epochs" for m in milestones)
    assert (s.optim.name, s.optim.lr, s.optim.gamma, s.optim.weight_decay) == ("sgd", lr, gamma, 0.0)
    assert (s.optim.momentum, s.dropout, s.pool, s.augment.blur_p) == (0.9, 0.0, "max", 0.0)


def test_brave_table_7_lies_in_its_grid():
    rows = {
        name: s for name, s in FINE_TUNINGS.items() if name.startswith(("brave-hmdb51-", "brave-ucf101-"))
    }
    assert len(rows) == 22
    for s in rows.values():
        scale = 256 / s.batch_size
        assert any(math.isclose(s.optim.lr * scale, lr) for lr in BRAVE_GRID["optim.lr"])
        assert s.optim.weight_decay in BRAVE_GRID["optim.weight_decay"]
        assert s.dropout in BRAVE_GRID["dropout"]
        assert (s.optim.name, s.epochs, s.norm, s.clips, s.crops) == ("lars", 600, "learned", 10, 3)
    s = rows["brave-hmdb51-vf3-r3d50-k600"]
    assert (s.dropout, s.optim.lr, s.optim.weight_decay, s.fps, s.batch_size) == (0.8, 0.03, 0.0, 6.25, 256)
    s = rows["brave-ucf101-vfa-tsm50x2-as"]
    assert (s.dropout, s.optim.lr, s.optim.weight_decay, s.fps, s.batch_size) == (0.1, 0.15, 1e-7, 12.5, 128)


def test_every_row_of_brave_is_a_recipe():
    from ssl_av.recipes import list_recipes

    recipes = {recipe.name.removeprefix("brave/") for recipe in list_recipes("brave")}
    for name in FINE_TUNINGS:
        if name.startswith(("brave-hmdb51-", "brave-ucf101-")):
            assert name.split("-", 2)[2] in recipes


def test_the_rate_over_a_training_of_gdts_schedule():
    def rates(name: str) -> list[list[float]]:
        s = FINE_TUNINGS[name]
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

    paper, code = rates("stica"), rates("gdt")
    assert paper[0] == pytest.approx([0.0025, 0.0025])
    assert paper[2] == paper[5] == pytest.approx([0.02, 0.02])
    assert paper[6] == pytest.approx([0.001, 0.001])
    assert paper[10] == pytest.approx([5e-5, 5e-5])
    assert code[0] == pytest.approx([0.00025, 0.0025])
    assert code[2] == pytest.approx([0.002, 0.02])


def test_probes_of_the_papers():
    k600 = PROBES["brave-kinetics600"]
    assert (k600.optim.name, k600.optim.lr, k600.optim.weight_decay) == ("lars", 0.5, 0.0)
    assert (k600.epochs, k600.batch_size, k600.optim.warmup) == (100, 512, "6.5 epochs")
    audioset = PROBES["brave-audioset"]
    assert (audioset.optim.name, audioset.optim.lr, audioset.optim.warmup) == ("adam", 2e-4, "5000 steps")
    assert (audioset.epochs, audioset.batch_size, audioset.hidden, audioset.multi_label) == (
        20,
        512,
        (512,),
        True,
    )
    stica = PROBES["stica-audio"]
    assert (stica.optim.lr, stica.optim.weight_decay, stica.batch_size) == (1e-4, 5e-4, 512)
    online = FINE_TUNINGS["brave-kinetics600-linear"]
    assert (online.optim, online.epochs, online.batch_size) == (k600.optim, k600.epochs, k600.batch_size)
    assert (online.frozen, online.test_size, online.clips * online.crops) == (True, 256, 30)


def test_settings_go_to_yaml_and_back():
    for table in (PROBES, FINE_TUNINGS):
        for name, settings in table.items():
            stated = yaml.safe_load(yaml.safe_dump(plain({"s": settings})))["s"]
            assert changed(settings, stated) == settings, name
            assert changed(type(settings)(), stated) == settings, name


def test_changes_are_laid_over_a_paper():
    s = finetune_settings("brave", {"epochs": 2, "optim": {"lr": 1.0}, "augment": {"flip": 0.0}})
    assert (s.epochs, s.optim.lr, s.optim.name, s.augment.flip) == (2, 1.0, "lars", 0.0)
    assert FINE_TUNINGS["brave"].epochs == 600
    assert probe_settings("brave-audioset", {"hidden": [16]}).hidden == (16,)
    with pytest.raises(UserError, match="unknown field of optim 'rl'"):
        finetune_settings("brave", {"optim": {"rl": 1.0}})
    with pytest.raises(UserError, match="did you mean epochs"):
        probe_settings("stica-audio", {"epoch": 1})
    with pytest.raises(UserError, match="optim must be fields"):
        probe_settings("stica-audio", {"optim": "adam"})
    with pytest.raises(UserError, match="did you mean avid-ucf101-8"):
        finetune_settings("avid-ucf-8")
    with pytest.raises(UserError, match="did you mean stica-audio"):
        probe_settings("stica-adio")


def test_braves_grid():
    grid = settings_grid(FINE_TUNINGS["brave"], BRAVE_GRID)
    assert len(grid) == len({(s.optim.lr, s.optim.weight_decay, s.dropout) for s in grid}) == 18
    assert all(s.epochs == 600 for s in grid)


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
    with pytest.raises(UserError, match="epoch_samples must be above 0"):
        FineTuning(epoch_samples=0)
    with pytest.raises(UserError, match="unknown pool"):
        FineTuning(pool="mean")
