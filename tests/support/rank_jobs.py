"""What the ranks of tests/trust/test_ranks.py do; without a group the same functions are the reference."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from small_methods import EXTRA, SMALL, batch_of
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ssl_av import memory, ranks
from ssl_av.data.datamodule import EpochSampler
from ssl_av.errors import NotFinite
from ssl_av.evaluation.callbacks import Collapse
from ssl_av.methods import avid, cma, create_method
from ssl_av.methods.base import Method
from ssl_av.training.nonfinite import PassOver


def by_index(index: Tensor, n: int, size: int, exclude: Tensor | None = None) -> Tensor:
    """Negatives that depend on the sample alone, not on the rank that draws them."""
    rows = []
    for i in range(len(index)):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(index[i]) + 1000)
            one = None if exclude is None else exclude[i : i + 1]
            rows.append(memory.sample_negatives(index[i : i + 1], n, size, one))
    return torch.cat(rows)


def ready(name: str, changes: dict[str, Any], size: int = 8) -> tuple[Method, dict[str, Any]]:
    """A tiny method with frozen norms and its transformed batch, in float64."""
    key = repr((name, changes, size))
    if key not in _READY:
        _READY[key] = _make(name, changes, size)
    torch.manual_seed(1)  # feature crops are drawn in the forward
    return copy.deepcopy(_READY[key])


_READY: dict[str, tuple[Method, dict[str, Any]]] = {}


def _make(name: str, changes: dict[str, Any], size: int) -> tuple[Method, dict[str, Any]]:
    torch.manual_seed(0)
    method = create_method(name, **(SMALL | EXTRA[name] | changes)).train()
    for module in method.modules():
        if isinstance(module, nn.modules.batchnorm._NormBase):
            module.eval()
    batch = method.transform_batch(batch_of(method, size))
    precise = {
        k: v.double() if isinstance(v, Tensor) and v.is_floating_point() else v for k, v in batch.items()
    }
    return method.double(), precise


def rows_of(batch: dict[str, Any], rows: Iterable[int]) -> dict[str, Any]:
    """A part of a transformed batch."""
    at = torch.tensor(list(rows), dtype=torch.long)
    return {k: v[at] if isinstance(v, Tensor) else v for k, v in batch.items()}


def own_rows(size: int) -> range:
    """This rank's samples of a batch of all ranks, as the sampler shares them."""
    return range(size)[ranks.own() :: ranks.count()]


class Step(nn.Module):
    """A method's training step as DDP sees it."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method
        self._ddp_params_and_buffers_to_ignore = [f"method.{name}" for name in method.replicated]

    def forward(self, batch: dict[str, Any]) -> Any:
        return self.method.training_step(batch, 0)


def train(
    name: str, changes: dict[str, Any], size: int, steps: int = 1, left_out: int = -1, positives: bool = False
) -> dict[str, Any]:
    """Steps on one global batch: loss, gradients and buffers after it.

    Args:
        name: of the method.
        changes: to its settings.
        size: samples of all ranks' batch.
        steps: on the same batch; the memory moves, the weights do not.
        left_out: the sample that could not be read.
        positives: CMA: in its second stage.
    """
    avid.sample_negatives = cma.sample_negatives = by_index
    method, batch = ready(name, changes, size)
    if positives:
        method.find_positives()
    part = rows_of(batch, [i for i in own_rows(size) if i != left_out])
    step: nn.Module = Step(method)
    if ranks.count() > 1:
        step = DistributedDataParallel(step)
    values = []
    for _ in range(steps):
        method.zero_grad()
        out = step(part)
        out["loss"].backward()
        values.append(float(ranks.mean(out["loss"])))
    return {
        "loss": values,
        "gradients": {n: p.grad.numpy() for n, p in method.named_parameters() if p.grad is not None},
        "without": [n for n, p in method.named_parameters() if p.grad is None],
        "buffers": {
            n: b.numpy() for n, b in method.named_buffers() if n.startswith(("bank", "part", "positive"))
        },
    }


def update(index: list[list[int]], seed: int = 0) -> dict[str, np.ndarray]:
    """A bank after an update with these indices of each rank; one process gets all of them."""
    torch.manual_seed(seed)
    bank = memory.MemoryBank(12, 8)
    video, audio = torch.randn(2, 100, 8)
    first = np.cumsum([0, *map(len, index)])
    own = range(len(index)) if ranks.count() == 1 else [ranks.own()]
    at = torch.tensor([k for r in own for k in range(first[r], first[r + 1])])
    bank.update(torch.tensor([i for r in own for i in index[r]]), video[at], audio[at])
    return {"video": bank.video.numpy(), "audio": bank.audio.numpy()}


def positives(size: int, kind: str) -> np.ndarray:
    """CMA's positives of a random bank."""
    method, _ = ready("cma", {"num_samples": size, "kind": kind, "positives": 5})
    method.find_positives()
    return method.positive_set.numpy()


def epoch(size: int, batch: int, number: int, seen: int) -> list[list[int]]:
    """The indices of this rank's batches of an epoch of which some batches were seen."""
    sampler = EpochSampler(size, shuffle=True, seed=3)
    sampler.set_epoch(number)
    own = batch // ranks.count()
    sampler.begin_at(number, seen * own)
    order = [index for _, index in sampler]
    return [order[i : i + own] for i in range(0, len(order) - own + 1, own)]


def collapse(batches: int) -> dict[str, Any]:
    """What is measured of the embeddings of all ranks, and what a checkpoint of them gives back."""
    torch.manual_seed(5)
    watch = Collapse(size=32)
    for _ in range(batches):
        x = torch.randn(8, 6) * torch.arange(1, 7)
        watch.take({"x": x[ranks.own() :: ranks.count()]})
    again = Collapse(size=32)
    again.load_state_dict(watch.state_dict())
    return {"now": watch.measure(), "resumed": again.measure()}


def not_finite(policy: str) -> Any:
    """A NaN in one rank's batch: what every rank makes of it."""
    method, batch = ready("avid", {})
    part = rows_of(batch, own_rows(8))
    if ranks.own() == ranks.count() - 1:
        part["video"][0, 0, 0, 0, 0] = torch.nan
    before = method.bank.video.clone()
    if policy == "skip":
        watch = PassOver()
        watch.setup(None, method, "fit")
        first = method.training_step(part, 0)
        part["video"].nan_to_num_()
        second = method.training_step(part, 1)
        return first is None, watch.skipped, bool(torch.isfinite(second["loss"]))
    try:
        method.training_step(part, 0)
    except NotFinite as e:
        return str(e), torch.equal(before, method.bank.video)


def too_few() -> tuple[bool, int]:
    """One rank has one sample only: all pass the batch over, and the next one is trained on."""
    method, batch = ready("avid", {})
    own = list(own_rows(8))
    step = DistributedDataParallel(Step(method)) if ranks.count() > 1 else Step(method)
    passed = step(rows_of(batch, own if ranks.own() else own[:1])) is None
    step(rows_of(batch, own))["loss"].backward()
    return passed, sum(p.grad is not None for p in method.parameters())


def draws(seed: int) -> list[list[int]]:
    """Negatives as this rank draws them, with its own stream of random numbers."""
    from ssl_av.training.rng import begin_rank

    torch.manual_seed(seed)
    begin_rank(ranks.own(), 0)
    index = torch.arange(4) * ranks.count() + ranks.own()
    return memory.sample_negatives(index, 200, 20).tolist()
