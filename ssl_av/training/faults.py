"""What a run says of a machine that fails it: no memory, no room on the disk, a disk that cannot be written."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from ssl_av.config import RunConfig
from ssl_av.errors import NotFinite, UserError, WeightNotFinite
from ssl_av.machine import FULL, UNWRITABLE, of_memory, of_the_disk, told
from ssl_av.training.resume import checkpoints, newest_whole


@contextmanager
def faults_explained(config: RunConfig, out: Path) -> Iterator[None]:
    """Turns what a library says of a failing machine into a line that says what to do.

    Args:
        config: the run.
        out: its folder.

    Raises:
        UserError: instead of the library's error; it names the newest whole checkpoint.
    """
    try:
        yield
    except NotFinite as e:
        no_help = config.safety.on_nonfinite == "skip" or isinstance(e, WeightNotFinite)
        more = "" if no_help else ". --safety.on_nonfinite skip passes over such batches"
        raise UserError(f"{e}{more}{left(out)}") from e
    except (OSError, RuntimeError, MemoryError, ImportError) as e:
        if of_memory(e):
            raise _memory(config, out) from e
        said = _disk(e, out)
        if said is None:
            raise
        raise said from e


@contextmanager
def machine_explained() -> Iterator[None]:
    """The same for a command that trains nothing (`ssl-av eval`).

    Raises:
        UserError: instead of the library's error.
    """
    try:
        yield
    except (OSError, RuntimeError, MemoryError, ImportError) as e:
        if of_memory(e):
            raise UserError("out of memory: lower --data.batch_size or --evaluation.clips") from e
        seen = of_the_disk(e)
        if seen is None:
            raise
        raise UserError(
            f"{told(seen)}; make room, see to the rights of the folder, or give other ones (--out, --cache); "
            "the same command goes on with the features that are made"
        ) from e


def left(out: Path) -> str:
    """What a run can go on from."""
    if found := newest_whole(out):
        return f"; the last good checkpoint is {found} (--resume goes on from it)"
    if there := checkpoints(out):  # it takes memory, too, to see whether one is whole
        return f"; {there[0]} is there (--resume goes on from it if it is whole)"
    return ""


def _memory(config: RunConfig, out: Path) -> UserError:
    where = f"on {torch.cuda.get_device_name()}" if torch.cuda.is_available() else "on this machine"
    size = config.loading.batch_size
    return UserError(
        f"out of memory {where} with --data.batch_size {size}: lower it (--trainer.accumulate_grad_batches 2 gathers "
        "the gradients of two batches), make --method.inputs.frames or size smaller, or try --trainer.precision "
        f"bf16-mixed{left(out)}"
    )


def _disk(e: BaseException, out: Path) -> UserError | None:
    """What to say if a disk is behind an error, into whatever torch.save has turned it."""
    seen = of_the_disk(e)
    if seen is None:
        return None
    names = [name for name in (seen.filename2, seen.filename) if isinstance(name, str)]
    where = Path(names[0]) if names else out  # of a file that was to be renamed, its name in the end
    if seen.errno in UNWRITABLE and where != out and out not in where.parents:
        return None  # a file that is read
    there = out if out.is_dir() else out.parent
    free = f" ({shutil.disk_usage(there).free / 2**20:.0f} MiB are free)" if seen.errno in FULL else ""
    return UserError(
        f"{where} cannot be written: {seen.strerror}{free}; make room or see to the rights of the folder, or give "
        f"another --out{left(out)}"
    )
