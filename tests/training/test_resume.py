"""Which checkpoint a training goes on from, when files are damaged."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ssl_av.config import Budget, RunConfig
from ssl_av.errors import UserError
from ssl_av.runs.begin import begin_from
from ssl_av.training.resume import check_own, identity, is_whole, peek, resumable

RUN = RunConfig({"name": "avid", "dim": 8}, {"name": "synthav"}, Budget(steps=2))


def training(path: Path, older: int = 0) -> Path:
    """A checkpoint with what Lightning goes on from, large enough to be damaged in its weights.

    The older it is by its steps, the newer by its date: a clock may have been put back.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {"weight": torch.arange(5000.0)}
    rest = {"optimizer_states": [], "lr_schedulers": [], "loops": {}, "global_step": 10 - older}
    torch.save({"state_dict": state, **rest}, path)
    os.utime(path, (1e9 + 3600 * older,) * 2)
    return path


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def flip(path: Path) -> None:
    """One bit of the weights: torch.load does not notice."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert len(torch.load(path)["state_dict"]["weight"]) == 5000


def folder(path: Path) -> None:
    """One bit of the archive's list of contents: the weights are taken for a folder, and torch.load reads nothing."""
    data = bytearray(path.read_bytes())
    data[data.rfind(b"PK\1\2", 0, data.rfind(b"/data/0")) + 38] ^= 0x10
    path.write_bytes(data)
    del data
    # Its tensor holds whatever was in memory: not by chance the very numbers, from a tensor that was freed.
    used = [torch.full((5000,), 7.0) for _ in range(100)]
    del used
    assert not torch.equal(torch.load(path)["state_dict"]["weight"], torch.arange(5000.0))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def weights_alone(path: Path) -> None:
    torch.save({"state_dict": {}}, path)


DAMAGES = [cut, flip, folder, empty, weights_alone]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_told_and_left_as_it_is(damage, tmp_path: Path) -> None:
    last = training(tmp_path / "checkpoints" / "last.ckpt")
    assert is_whole(last)
    assert resumable(tmp_path) == last
    damage(last)
    before = last.read_bytes()
    with pytest.raises(
        UserError, match=r"last\.ckpt is damaged.*none is beside it; put a whole copy in its place"
    ):
        resumable(tmp_path)
    assert last.read_bytes() == before


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_newest_whole_one_takes_its_place_with_a_warning(damage, tmp_path: Path, capsys) -> None:
    folder = tmp_path / "checkpoints"
    last, newest = training(folder / "last.ckpt"), training(folder / "c.ckpt", 1)
    older, oldest = training(folder / "b.ckpt", 2), training(folder / "a.ckpt", 3)
    assert begin_from(tmp_path, RUN, "yes") == last
    assert capsys.readouterr().err == ""
    damage(last)
    assert resumable(tmp_path) == newest
    damage(newest)
    assert begin_from(tmp_path, RUN, "yes") == older
    said = capsys.readouterr().err
    assert said == f"ssl-av: warning: {last} is damaged or cut off; going on from {older}, which is older\n"
    damage(older)
    damage(oldest)
    with pytest.raises(UserError, match="and so are the 3 beside it"):
        resumable(tmp_path)


def test_none_at_all(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no .*last\.ckpt; leave --resume out to begin"):
        resumable(tmp_path)


def test_killed_before_its_first_checkpoint(tmp_path: Path, capsys) -> None:
    """``--resume`` goes on with what there is: nothing but the settings, with which it begins."""
    RUN.save(tmp_path / "config.yaml")
    for mode in ("yes", "auto"):
        assert begin_from(tmp_path, RUN, mode) is None
        assert "there is no checkpoint in" in capsys.readouterr().err
        with pytest.raises(UserError, match=r"holds another run, which differs in method\.dim"):
            begin_from(tmp_path, replace(RUN, method={"name": "avid", "dim": 16}), mode)
    with pytest.raises(UserError, match="exists already; add --resume"):
        begin_from(tmp_path, RUN, None)
    assert begin_from(tmp_path / "nowhere", RUN, "auto") is None
    assert capsys.readouterr().err == ""


def test_one_that_was_kept_stands_for_a_last_one_that_is_gone(tmp_path: Path, capsys) -> None:
    kept = training(tmp_path / "checkpoints" / "kept.ckpt")
    assert begin_from(tmp_path, RUN, "yes") == kept
    assert "last.ckpt is gone; going on from" in capsys.readouterr().err


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    kept = training(tmp_path / "checkpoints" / "last-1.ckpt", 1)
    os.mkfifo(tmp_path / "checkpoints" / "last.ckpt")
    assert resumable(tmp_path) == kept


def test_another_runs_checkpoint_is_refused(tmp_path: Path) -> None:
    """Whether its weights fit or not: it would go on with another order of the data, and nobody would know."""
    path = training(tmp_path / "last.ckpt")
    check_own(path, identity(RUN, "1f"))  # of before there was this: nobody knows whose it is
    tree = torch.load(path, weights_only=True)
    torch.save({**tree, "callbacks": {"Checkpoints": {"run": identity(RUN, "1f")}}}, path)
    assert peek(path).steps == 10
    check_own(path, identity(replace(RUN, data={**RUN.data, "num_workers": 7}, budget=Budget(steps=9)), "1f"))
    for other, data, says in (
        (replace(RUN, seed=3), "1f", r"seed \(0 there, 3 here\)"),
        (replace(RUN, method={"name": "avid", "dim": 16}), "1f", r"method\.dim \(8 there, 16 here\)"),
        (RUN, "2e", r'samples \("1f" there, "2e" here\)'),
    ):
        with pytest.raises(UserError, match=rf"last\.ckpt is of another run, which differs in {says}; bring"):
            check_own(path, identity(other, data))
