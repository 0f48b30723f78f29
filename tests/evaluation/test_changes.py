"""Settings with some fields changed, and grids of them."""

from __future__ import annotations

import pytest

from ssl_av.errors import UserError
from ssl_av.evaluation.changes import changed, grid_points, said, settings_grid
from ssl_av.evaluation.finetune_settings import FineTuning
from ssl_av.evaluation.probes import Probe

GRID = {"optim": {"lr": [0.1, 0.2], "weight_decay": [0.0]}, "dropout": [0.1, 0.5, 0.8]}


def test_changes_are_laid_over():
    s = changed(FineTuning(epochs=600), {"optim": {"lr": 1.0}, "augment": {"flip": 0.0}})
    assert (s.epochs, s.optim.lr, s.optim.name, s.augment.flip) == (600, 1.0, "adam", 0.0)
    assert changed(Probe(), {"hidden": [16]}).hidden == (16,)
    with pytest.raises(UserError, match="unknown field of optim 'rl'"):
        changed(FineTuning(), {"optim": {"rl": 1.0}})
    with pytest.raises(UserError, match="did you mean epochs"):
        changed(Probe(), {"epoch": 1})
    with pytest.raises(UserError, match="optim must be fields"):
        changed(Probe(), {"optim": "adam"})


def test_a_grid_is_all_combinations():
    grid = settings_grid(FineTuning(epochs=3), GRID)
    assert len(grid) == len({(s.optim.lr, s.dropout) for s in grid}) == 6
    assert all((s.epochs, s.optim.weight_decay) == (3, 0.0) for s in grid)
    assert grid_points({}) == [{}]
    assert settings_grid(FineTuning(), {}) == [FineTuning()]
    with pytest.raises(UserError, match=r"grid: optim\.lr must be a list of values, got 0\.1"):
        grid_points({"optim": {"lr": 0.1}})
    with pytest.raises(UserError, match="did you mean dropout"):
        settings_grid(FineTuning(), {"drop_out": [0.1]})


def test_combinations_have_names():
    assert said(grid_points(GRID)[1]) == "lr 0.1, weight_decay 0.0, dropout 0.5"
    assert len(set(map(said, grid_points(GRID)))) == 6
