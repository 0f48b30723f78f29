"""Joules, from the counters that a machine has: NVML's for a GPU, RAPL's for processors and memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

RAPL = Path("/sys/class/powercap")

#: joules of one counter since some moment
Counter = Callable[[], float]


class Energy:
    """Joules since it was made, added up over all counters that can be read.

    A counter counts for the whole machine, so it tells nothing about one of several runs at once. Where a GPU
    computes and its own counter cannot be read, nothing is told either: the processors' would be the lesser part.

    Args:
        gpu: number of the GPU that computes, if one does.
        rapl: where the kernel shows RAPL's counters; most systems let only root read them.
        processors: count them, too; of several processes of a machine one does.

    Attributes:
        parts: what is counted, e.g. ``("gpu", "package-0")``; empty where nothing can be read.
        asked: whether anything was to be counted.
    """

    def __init__(self, gpu: int | None = None, rapl: Path = RAPL, processors: bool = True) -> None:
        found: dict[str, Counter] = {}
        counter = None if gpu is None else _gpu(gpu)
        if counter is not None:
            found["gpu"] = counter
        if processors and (gpu is None or counter is not None):
            found |= _processors(rapl)
        self.parts = tuple(found)
        self.asked = processors or gpu is not None
        self._counters = [(counter, counter()) for counter in found.values()]

    def __call__(self) -> float:
        """Joules so far."""
        return sum(counter() - begin for counter, begin in self._counters)


def this_machine(local_rank: int = 0) -> Energy:
    """The counters of this machine, with those of the GPU that torch would use.

    Args:
        local_rank: of a process among those of its training on this machine; each has a GPU, the first counts the rest.
    """
    gpu = local_rank if torch.cuda.device_count() > local_rank > 0 else None
    if local_rank == 0 and torch.cuda.is_available():
        gpu = torch.cuda.current_device()
    return Energy(gpu, processors=local_rank == 0)


def _gpu(number: int) -> Counter | None:
    """NVML's counter of a GPU (Volta and later)."""
    try:
        import pynvml  # of nvidia-ml-py, which is not needed for anything else

        pynvml.nvmlInit()
        uuid = f"GPU-{torch.cuda.get_device_properties(number).uuid}"
        handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except (
        Exception
    ):  # no package, no driver, a card without the counter: NVML's errors have no common ground
        return None
    return lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3


def _processors(root: Path) -> dict[str, Counter]:
    """RAPL's counters of packages and memory; cores are part of a package, and psys holds everything."""
    found: dict[str, Counter] = {}
    for domain in sorted(root.glob("intel-rapl:*")):  # so called on AMD's processors too
        try:
            name = (domain / "name").read_text().strip()
            if name.startswith("package") or name == "dram":
                wraps = int((domain / "max_energy_range_uj").read_text())
                place = f"{name} {domain.name.split(':')[1]}" if name == "dram" else name
                found[place] = _unwrapped(domain / "energy_uj", wraps)
        except (OSError, ValueError):
            continue
    return found


def _unwrapped(file: Path, wraps: int) -> Counter:
    """A counter of microjoules that begins anew at ``wraps``."""
    last, turns = int(file.read_text()), 0

    def joules() -> float:
        nonlocal last, turns
        now = int(file.read_text())
        turns += now < last
        last = now
        return (now + turns * (wraps + 1)) / 1e6

    return joules
