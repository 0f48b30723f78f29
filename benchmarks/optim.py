"""LARS and LARC in lists of tensors against the same arithmetic tensor by tensor.

    python benchmarks/optim.py                  # R(2+1)D-18 of three widths with a two-layer head
    python benchmarks/optim.py --device cuda
    python benchmarks/optim.py --quick          # seconds; says only that it runs

Both ways take steps in turns, on one thread of a CPU, counted in CPU time (on a GPU in seconds between
synchronisations). The ratio is of the medians; low and high are of the pairs.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from ssl_av.backbones import create_backbone
from ssl_av.optim import LARC, LARS

WIDTHS = (8, 16, 64)


class LoopedLARS(LARS):
    """LARS as it is usually written."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One update, tensor by tensor."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                d = p.grad.add(p, alpha=group["weight_decay"])
                if group["adapt"]:
                    w, n = p.norm(), d.norm()
                    d = d.mul(torch.where((w > 0) & (n > 0), group["trust"] * w / n, torch.ones_like(w)))
                m = self._velocity(p).mul_(group["momentum"]).add_(d)
                p.add_(d.add(m, alpha=group["momentum"]), alpha=-group["lr"])
        return None


class LoopedLARC(torch.optim.Adam):
    """LARC as apex writes it, around an Adam that goes tensor by tensor too."""

    def __init__(self, params: Iterable[Tensor], weight_decay: float, trust: float = 0.001) -> None:
        super().__init__(params, foreach=False)
        self.decay, self.trust = weight_decay, trust

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:
        """One update."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                w, g = p.norm(), p.grad.norm()
                ratio = self.trust * w / (g + self.decay * w + 1e-8)
                scale = torch.where(
                    (w > 0) & (g > 0), (ratio / group["lr"]).clamp(max=1.0), torch.ones_like(w)
                )
                p.grad.add_(p, alpha=self.decay).mul_(scale)
        super().step()


WAYS: dict[str, tuple[Callable[..., torch.optim.Optimizer], Callable[..., torch.optim.Optimizer]]] = {
    "LARS": (
        lambda params: LARS(params, lr=0.1, weight_decay=1e-4),
        lambda params: LoopedLARS(params, lr=0.1, weight_decay=1e-4),
    ),
    "LARC": (
        lambda params: LARC(params, weight_decay=1e-4),
        lambda params: LoopedLARC(params, weight_decay=1e-4),
    ),
}


def main() -> None:
    """Prints a line for each optimiser and width."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="the narrowest network, two rounds of one step")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rounds, widths = (2, WIDTHS[:1]) if args.quick else (15, WIDTHS)
    print("optimiser  width  tensors  parameters  loop ms  lists ms  ratio (low to high)")
    for name in WAYS:
        for width in widths:
            params = parameters(width, args.device)
            lists, loop = measure(name, params, rounds, 1 if args.quick else max(1, 320 // width))
            pairs = [a / b for a, b in zip(lists, loop, strict=True)]
            a, b = statistics.median(lists), statistics.median(loop)
            print(
                f"{name:9} {width:6} {len(params):8} {sum(p.numel() for p in params):11,} {b * 1e3:8.2f} {a * 1e3:9.2f}"
                f"  {a / b:.2f} ({min(pairs):.2f} to {max(pairs):.2f})"
                f"  {args.device}{', quick' if args.quick else ''}",
                flush=True,
            )


def parameters(width: int, device: str) -> list[nn.Parameter]:
    """A network's, with gradients."""
    torch.manual_seed(0)
    net = create_backbone("r2plus1d_18", width=width)
    head = nn.Sequential(
        nn.Linear(8 * width, 8 * width), nn.BatchNorm1d(8 * width), nn.Linear(8 * width, 2 * width)
    )
    params = [*net.to(device).parameters(), *head.to(device).parameters()]
    for p in params:
        p.grad = torch.randn_like(p)
    return params


def measure(
    name: str, params: list[nn.Parameter], rounds: int, steps: int
) -> tuple[list[float], list[float]]:
    """Seconds a step of the two ways, in turns; each on its own copy of the weights."""
    ways = []
    for make in WAYS[name]:
        own = [nn.Parameter(p.detach().clone()) for p in params]
        for p, source in zip(own, params, strict=True):
            assert source.grad is not None
            p.grad = source.grad.clone()
        ways.append((make(own), []))
    for k in range(rounds + 1):
        for optimizer, times in ways if k % 2 else reversed(ways):
            took = clock(optimizer, steps, params[0].is_cuda)
            if k:  # the first round makes the state
                times.append(took / steps)
    return ways[0][1], ways[1][1]


def clock(optimizer: torch.optim.Optimizer, steps: int, cuda: bool) -> float:
    """Of some steps: CPU time, or time until a GPU is done."""
    now = time.perf_counter if cuda else time.process_time
    if cuda:
        torch.cuda.synchronize()
    start = now()
    for _ in range(steps):
        optimizer.step()
    if cuda:
        torch.cuda.synchronize()
    return now() - start


if __name__ == "__main__":
    main()
