"""How long runs will take: from earlier runs of the same suite, or from one step that is measured."""

from __future__ import annotations

import heapq
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ssl_av.bench.records import find, row_name
from ssl_av.config import RunConfig
from ssl_av.runs.cost import Cost
from ssl_av.runs.run import new_method

FLOPS = 1e11
"""Of the networks in a measured step, at most (but two videos): a few seconds of a laptop."""


@dataclass(frozen=True)
class Estimate:
    """What a run will take.

    Attributes:
        training: seconds.
        evaluation: seconds; None where nothing is known of it.
        source: how that is known.
    """

    training: float
    evaluation: float | None
    source: str

    @property
    def seconds(self) -> float:
        """Both together."""
        return self.training + (self.evaluation or 0.0)


def from_records(records: Iterable[Mapping[str, Any]], row: str, steps: int) -> Estimate | None:
    """What so many steps of a row take, by its completed runs; None where there is none."""
    runs = [r for r in records if row_name(r) == row and r.get("status") == "completed"]
    rates, evaluations = [], []
    for run in runs:
        seconds, _ = find(run, "cost", "train_seconds")
        done, _ = find(run, "budget", "spent", "steps")
        evaluation, _ = find(run, "cost", "eval_seconds")
        if evaluation is None or (steps and not done):
            continue
        evaluations.append(evaluation)
        rates.append((seconds or 0.0) / done if done else 0.0)
    if not rates:
        return None
    source = "earlier run" if len(rates) == 1 else f"{len(rates)} earlier runs"
    return Estimate(statistics.fmean(rates) * steps, statistics.fmean(evaluations), source)


class Known:
    """What steps take: by earlier runs of the suite, else by one step of each row, which is measured once.

    Args:
        records: of the suite.
        samples: videos in the training split.
        jobs: runs that share the cores.
    """

    def __init__(self, records: Sequence[Mapping[str, Any]], samples: int, jobs: int) -> None:
        self.records, self.samples, self.jobs = records, samples, jobs
        self._measured: dict[str, Estimate] = {}

    def of(self, config: RunConfig, cost: Cost | None, steps: int) -> Estimate:
        """So many steps of a run; ``cost`` is None for a network that is only measured."""
        if found := from_records(self.records, config.name, steps):
            return found
        if cost is None:
            return Estimate(0.0, None, "")
        if config.name not in self._measured:
            self._measured[config.name] = from_a_step(config, cost, self.samples, 1, self.jobs)
        one = self._measured[config.name]
        return Estimate(one.training * steps, None, one.source)


def from_a_step(config: RunConfig, cost: Cost, samples: int, steps: int, share: int = 1) -> Estimate:
    """What so many steps take, by one forward and backward of the networks on this machine, on noise.

    Reading, augmentation, the loss and the evaluation are not in it.

    Args:
        config: the run.
        cost: what `ssl_av.runs.cost.measure` says of it.
        samples: videos in the training split.
        steps: how many.
        share: runs that share the cores.
    """
    if not steps:
        return Estimate(0.0, None, "no training")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    videos = max(min(cost.batch_size, int(FLOPS * cost.batch_size / max(cost.flops, 1))), 2)
    method = new_method(config, samples, classes=2).to(device).train()
    batch = {name: torch.rand(videos, *shape, device=device) for name, shape in cost.views.items()}
    threads = torch.get_num_threads()
    torch.set_num_threads(config.loading.compute_threads(share))
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=cost.mixed):
            seconds = min(_step(method, batch, device) for _ in range(2))  # the first one also sets up
    finally:
        torch.set_num_threads(threads)
    return Estimate(seconds / videos * cost.batch_size * steps, None, "a measured step")


def _step(method: Any, batch: Mapping[str, torch.Tensor], device: torch.device) -> float:
    begin = time.perf_counter()
    embeddings = method(batch)
    torch.stack([e.float().sum() for e in embeddings.values()]).sum().backward()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def together(seconds: Sequence[float], jobs: int) -> float:
    """Seconds until all are done, so many at a time, begun in their order."""
    free = [0.0] * max(jobs, 1)
    for one in seconds:
        heapq.heappush(free, heapq.heappop(free) + one)
    return max(free)
