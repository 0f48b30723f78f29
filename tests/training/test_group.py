"""Which processes train together, as those say who begin them."""

from __future__ import annotations

import os

import pytest
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from ssl_av.data import loading
from ssl_av.data.loading import Loading
from ssl_av.errors import UserError
from ssl_av.training.group import Group, is_first, launched

CPU = {"accelerator": "cpu"}
TORCHRUN = {
    "RANK": "3", "LOCAL_RANK": "1", "GROUP_RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2",
    "TORCHELASTIC_RUN_ID": "none", "MASTER_ADDR": "localhost", "MASTER_PORT": "1",
}  # fmt: skip
SRUN = {
    "SLURM_JOB_ID": "12345", "SLURM_JOB_NAME": "avid", "SLURM_NTASKS": "4", "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_NTASKS_PER_NODE": "2", "SLURM_NNODES": "2", "SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_NODEID": "1",
    "SLURM_NODELIST": "a[1-2]",
}  # fmt: skip


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No launcher, whoever runs the tests; the trainer's note of its rank is taken back."""
    for name in os.environ:
        if name in {*TORCHRUN, "NODE_RANK"} or name.startswith("SLURM_"):
            monkeypatch.delenv(name)
    for name in ("MASTER_ADDR", "MASTER_PORT"):  # which Lightning sets
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(rank_zero_only, "rank", 0)


def begun_by(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def test_alone() -> None:
    assert (is_first(), launched(), Group.of(CPU)) == (True, {}, Group(1, 1))
    assert Group.of({**CPU, "devices": 2, "strategy": "ddp"}) == Group(2, 2)


@pytest.mark.parametrize("environment", [TORCHRUN, SRUN])
def test_a_launcher_from_outside_says_how_many(environment, monkeypatch: pytest.MonkeyPatch) -> None:
    begun_by(environment, monkeypatch)
    assert launched() == {"devices": 2, "num_nodes": 2, "strategy": "ddp"}
    assert Group.of(CPU).count == 4
    assert not is_first()
    with pytest.raises(UserError, match=r"--trainer.devices, --trainer.num_nodes: You set .devices=3"):
        Group.of({**CPU, "devices": 3})
    monkeypatch.setenv("RANK" if environment is TORCHRUN else "SLURM_PROCID", "0")
    assert is_first()


def test_lightnings_own_children_and_a_batch_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert is_first()
    monkeypatch.setenv("NODE_RANK", "1")
    assert not is_first()
    monkeypatch.delenv("NODE_RANK")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert not is_first()
    monkeypatch.delenv("LOCAL_RANK")
    begun_by(SRUN | {"SLURM_STEP_NUM_TASKS": "1"}, monkeypatch)  # in a job of several tasks, but not by srun
    assert is_first()
    assert launched() == {}


def test_the_cores_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "cores", lambda: 16)
    assert [Group(4, n).reading(Loading()).workers for n in (1, 2, 4, 16)] == [8, 4, 2, 1]
    assert Group(4, 4).reading(Loading(num_workers=3)).workers == 3
    assert Group(4, 4).reading(Loading(pack="frames")).workers == 0
