"""The random state of a process: taken, kept in a checkpoint, and put back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def random_state() -> dict[str, Any]:
    """The state of torch (CPU and the GPU in use), numpy and Python, in types that ``weights_only`` loading takes."""
    name, keys, *rest = np.random.get_state()  # noqa: NPY002
    return {
        "torch": torch.get_rng_state(),
        "cuda": [torch.cuda.get_rng_state()] if torch.cuda.is_available() else [],
        "numpy": (name, np.asarray(keys).tolist(), *rest),
        "python": random.getstate(),
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Puts back what `random_state` took; a GPU's only where there is one."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        # Checkpoints of before have the states of all GPUs.
        torch.cuda.set_rng_state(state["cuda"][torch.cuda.current_device() % len(state["cuda"])])
    np.random.set_state(tuple(state["numpy"]))  # noqa: NPY002
    version, keys, gauss = state["python"]
    random.setstate((version, tuple(keys), gauss))


def begin_rank(rank: int, step: int) -> None:
    """Gives each rank but the first random numbers of its own; all have begun with those of the run's seed.

    Args:
        rank: of several processes that train together.
        step: at which they begin; after a checkpoint of another number of ranks the first one needs new ones too.
    """
    if rank or step:
        seed = int(np.random.SeedSequence([torch.initial_seed(), step, rank]).generate_state(1)[0])
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Whatever draws inside, the random stream goes on as if it had not."""
    state = random_state()
    try:
        yield
    finally:
        set_random_state(state)
