"""Several processes that train together: how many they are, which one this is, and how they part."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl_av.errors import Agreed, Dismissed, Interrupted, UserError

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from ssl_av.data.loading import Loading


def is_first() -> bool:
    """Whether this process, as its launcher has numbered it, is the first of its training, or the only one.

    It alone prepares and refuses folders, evaluates, and writes what a run leaves.
    """
    if (rank := os.environ.get("RANK")) is not None:  # torchrun
        return rank == "0"
    numbers = [os.environ.get(name, "0") for name in ("LOCAL_RANK", "NODE_RANK")]  # Lightning's own children
    if "LOCAL_RANK" not in os.environ and _tasks() > 1:
        numbers.append(os.environ.get("SLURM_PROCID", "0"))
    return not any(int(n) for n in numbers)


def _tasks() -> int:
    """Tasks that srun has begun with this one."""
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))


def launched() -> dict[str, Any]:
    """The trainer's arguments that a launcher from outside has decided: those of torchrun, or of SLURM's tasks."""
    from pytorch_lightning.plugins.environments import SLURMEnvironment, TorchElasticEnvironment

    if TorchElasticEnvironment.detect():
        here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        nodes = int(os.environ["WORLD_SIZE"]) // here
    elif _tasks() > 1 and SLURMEnvironment.detect() and "SLURM_NTASKS_PER_NODE" in os.environ:
        here, nodes = int(os.environ["SLURM_NTASKS_PER_NODE"]), int(os.environ.get("SLURM_NNODES", "1"))
    else:
        return {}
    return {"devices": here, "num_nodes": nodes, "strategy": "ddp"} if here * nodes > 1 else {}


def check_alone(settings: Mapping[str, Any]) -> None:
    """A suite's runs are one process each, with these arguments of Lightning's trainer.

    Raises:
        UserError: if several are asked for, or the trainer refuses the arguments.
    """
    from ssl_av.checks import check_trainer

    check_trainer(settings)
    several = "TORCHELASTIC_RUN_ID" in os.environ
    if {"devices", "num_nodes"} & settings.keys():
        several |= Group.of(settings).count > 1
    if several:
        raise UserError(
            "bench: each run is one process, so that all spend alike: leave out --trainer.devices, num_nodes and "
            "torchrun; --jobs N does N runs at a time, each on a GPU, and `ssl-av fit` trains one method on several"
        )


@dataclass(frozen=True)
class Group:
    """The processes of a training.

    Attributes:
        count: all of them.
        here: those that share the cores that this one may use.
    """

    count: int
    here: int

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Group:
        """Those that Lightning's trainer will have with these arguments.

        Raises:
            UserError: if the trainer refuses them, or a launcher from outside has begun another number of processes,
                or they would not each hold the whole method.
        """
        from pytorch_lightning.plugins.environments import SLURMEnvironment
        from pytorch_lightning.strategies import DDPStrategy
        from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher

        from ssl_av.checks import check_trainer

        trainer = check_trainer({**launched(), **settings})
        if trainer.world_size == 1 and not launched():
            return cls(1, 1)
        strategy = trainer.strategy
        if not (
            isinstance(strategy, DDPStrategy) and isinstance(strategy.launcher, _SubprocessScriptLauncher)
        ):
            raise UserError(
                f"--trainer.strategy {settings.get('strategy', 'auto')}: several processes train by ddp only"
            )
        environment = strategy.cluster_environment
        try:
            assert environment is not None
            environment.validate_settings(trainer.num_devices, trainer.num_nodes)
        except ValueError as e:
            raise UserError(f"--trainer.devices, --trainer.num_nodes: {' '.join(str(e).split())}") from None
        if settings.get("sync_batchnorm") and strategy.root_device.type == "cpu":
            raise UserError("--trainer.sync_batchnorm: PyTorch has it on GPUs only; leave it out on a CPU")
        bound = isinstance(environment, SLURMEnvironment) and _cores_are_own()
        return cls(trainer.world_size, 1 if bound else trainer.num_devices)

    def reading(self, loading: Loading) -> Loading:
        """How each of them reads: a number of reading processes that was left open is shared among them."""
        if self.here == 1 or loading.num_workers >= 0:
            return loading
        return replace(loading, num_workers=loading.workers and max(loading.workers // self.here, 1))

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """One process after another: what the first has prepared in the cache, the others find there."""
        if self.count == 1:
            yield
            return
        from filelock import FileLock

        from ssl_av.cache import cache_dir

        cache_dir().mkdir(parents=True, exist_ok=True)
        with FileLock(cache_dir() / ".preparing.lock"):
            yield


def _cores_are_own() -> bool:
    """Whether this task was bound to cores of its own."""
    from ssl_av.data.loading import cores

    return cores() < (os.cpu_count() or 1)


@contextmanager
def as_one(trainer: pl.Trainer, out: Path) -> Iterator[None]:
    """What ends a training on all its processes is said by the first; one that is lost ends it on the others.

    Args:
        trainer: of the training.
        out: the run's folder.

    Raises:
        Dismissed: instead of the error, in a process whose first one says it.
        UserError: if another process is gone; it names the newest whole checkpoint.
    """
    from ssl_av.training.faults import left
    from ssl_av.training.launcher import Launcher, has_parent

    try:
        yield
    except (Agreed, Interrupted) as e:
        if trainer.global_rank:
            raise Dismissed from e
        raise
    except RuntimeError as e:
        if trainer.world_size == 1 or not is_of_the_group(e):
            raise
        if has_parent():  # which is the first process, and says it
            raise Dismissed from e
        launcher = trainer.strategy.launcher
        who = launcher.lost() if isinstance(launcher, Launcher) else ""
        raise UserError(
            f"{who or 'another process'} of the {trainer.world_size} of this training is gone, and with it the training"
            f"{left(out)}"
        ) from e


def is_of_the_group(error: RuntimeError) -> bool:
    """Whether an error is of the connection between the processes."""
    import torch.distributed as dist

    words = str(error)
    return isinstance(error, dist.DistError) or any(
        w in words
        for w in ("gloo", "Connection closed by peer", "Connection reset by peer", "NCCL", "ProcessGroup")
    )


def part(trainer: pl.Trainer) -> None:
    """Ends the group: what follows a training is the first process's alone.

    Raises:
        Dismissed: in all the others.
    """
    import torch.distributed as dist

    if not (dist.is_available() and dist.is_initialized()):
        return
    trainer.strategy.barrier()
    dist.destroy_process_group()
    if trainer.global_rank:
        raise Dismissed
