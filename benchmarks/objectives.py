"""What the objectives of STiCA, AVID and CMA cost, each against the least that it could cost.

    python benchmarks/objectives.py                      # all five, some minutes
    python benchmarks/objectives.py --only negatives,scores
    python benchmarks/objectives.py --quick              # seconds; says only that it runs

crops      a training step of STiCA (forward, loss, backward; R(2+1)D-18, 30 frames of 112², ResNet-9) with feature
           crops 2×6² + 4×4², 2×3 + 1×2 against the same step with whole maps only
negatives  rows of noise (N = 1.8M, B = 32, K = 1024) against `torch.randint` of as many; below it, without a target,
           those that avoid 32 positives too
scores     x·x̄/τ of the K memories against fetching their rows from the bank (D = 128)
bank       a training step of AVID with a bank of 1.8M rows against one of 10k (R(2+1)D-18, 8 frames of 112², 9
           convolutions); below it, without a target, the loss and the memory's update alone
positives  CMA's 32 positives of each kind against the bare matrix products; the sets are compared with a plain top-k

The ways take turns, so that what else runs on the machine slows them alike. The ratio is that of the medians of the
processor's time over the rounds (of the clock with --clock, for an idle machine), with the quartiles of the rounds'
own ratios beside it. The first line tells how busy the machine is.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_av.memory import Expansion, agreement_positives, sample_negatives
from ssl_av.methods import create_method
from ssl_av.methods.base import Method
from ssl_av.training.allocator import keep_freed_memory

Way = Callable[[], object]
KINDS: tuple[Expansion, ...] = ("agreement", "video", "audio", "either")
CHUNK = 256


@dataclass(frozen=True)
class Plan:
    """How large everything is, and how often each way runs."""

    rounds: int = 15
    clips: int = 2
    width: int = 64
    rows: int = 1_800_000
    few: int = 10_000
    batch: int = 32
    negatives: int = 1024
    related: int = 20_000
    now: Callable[[], float] = time.process_time

    def timed(self, *ways: Way, rounds: int | None = None) -> list[np.ndarray]:
        """Seconds of every way in each round; the ways take turns, every other round in the other order."""
        rounds = rounds or self.rounds
        spent = np.zeros((len(ways), rounds + 1))
        for k in range(rounds + 1):
            for i in range(len(ways)) if k % 2 else reversed(range(len(ways))):
                begin = self.now()
                ways[i]()
                spent[i, k] = self.now() - begin
        return list(spent[:, 1:])  # the first round warms up


def main() -> None:
    """Measures what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, two rounds")
    parser.add_argument("--only", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--clock", action="store_true", help="by the clock, not the processor's time")
    parser.add_argument("--rounds", type=int, default=15, help="how often each way runs")
    parser.add_argument("--related", type=int, default=20_000, help="N of the positives")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--clips", type=int, default=2, help="a batch of the crops; bank's is four times as large"
    )
    args = parser.parse_args()
    now = time.perf_counter if args.clock else time.process_time
    plan = Plan(rounds=args.rounds, related=args.related, clips=args.clips, now=now)
    if args.quick:
        plan = Plan(2, width=2, rows=20_000, few=2_000, batch=4, negatives=64, related=3_000, now=now)
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    keep_freed_memory()  # as `fit` does: else each result's pages are new, and that is what is measured
    print(f"load average {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores, {args.threads} threads, {plan}")
    print("what                              ours ms    against ms    ratio  (quartiles)        target")
    for name in args.only.split(","):
        PARTS[name](plan)


def show(what: str, ours: np.ndarray, other: np.ndarray, target: float | None = None) -> None:
    """Prints one comparison."""
    a, b = np.median(ours) * 1e3, np.median(other) * 1e3
    low, high = np.percentile(ours / other, (25, 75))
    goal = f"<= {target:.2f}" if target else "-"
    print(f"{what:28} {a:12.3f}  {b:12.3f}  {a / b:7.3f}  ({low:.3f} - {high:.3f})    {goal}", flush=True)


def repeated(way: Way, times: int = 20) -> Way:
    """The same several times: one would be too short to measure."""

    def run() -> None:
        for _ in range(times):
            way()

    return run


def step(method: Method, batch: dict[str, Any]) -> Way:
    """A training step up to the gradients."""

    def run() -> None:
        method.zero_grad()
        method.loss(method(batch), batch)["loss"].backward()

    return run


def crops(plan: Plan) -> None:
    """STiCA with and without feature crops, the same networks and clips."""
    networks: dict[str, Any] = {}
    clip = (plan.clips, 3, 30, 112, 112)
    if plan.width < 64:  # --quick: a small network with as large a map
        networks = {"video": "r2plus1d_10", "video_args": {"width": plan.width, "time_strides": (1, 1, 2, 1)}}
        clip = (plan.clips, 3, 8, 224, 224)
    batch = {
        "video_1": torch.randn(clip),
        "video_2": torch.randn(clip),
        "audio": torch.randn(plan.clips, 1, 99, 257),
    }
    kinds: tuple[dict[str, Any], ...] = ({}, {"crops": None})
    methods = [create_method("stica", networks=networks, **kind).train() for kind in kinds]
    whole = plan.timed(*(step(method, batch) for method in methods))
    show("crops", *whole, 1.03)
    # The crops' own work, where the trunk's minutes do not drown it: the same step on maps that are there already.
    with torch.no_grad():
        here = methods[0].net("video").forward_features(batch["video_1"])
    here.requires_grad_()
    for method in methods:
        method.net("video").forward_features = lambda _: here
    after = plan.timed(*(step(method, batch) for method in methods), rounds=7)
    show("crops, without the trunk", *after)
    more = np.median(after[0]) - np.median(after[1])
    print(f"  {1e3 * more:.0f} ms more: {1 + more / np.median(whole[1]):.3f} of a step without crops")


def negatives(plan: Plan) -> None:
    """Rows of noise."""
    index, related = (torch.randint(plan.rows, (plan.batch, *more)) for more in ((), (32,)))
    shape = (plan.batch, plan.negatives)
    ours, draw, beside = plan.timed(
        repeated(lambda: sample_negatives(index, plan.negatives, plan.rows)),
        repeated(lambda: torch.randint(plan.rows - 1, shape)),
        repeated(lambda: sample_negatives(index, plan.negatives, plan.rows, related)),
    )
    show("negatives", ours, draw, 1.3)
    show("negatives, no positives", beside, draw)


def avid(plan: Plan, rows: int) -> Any:
    """AVID with a bank of so many rows."""
    torch.manual_seed(0)
    args = {"width": plan.width}
    return create_method(
        "avid", networks={"video_args": args, "audio_args": args}, num_samples=rows, negatives=plan.negatives
    ).train()


def scores(plan: Plan) -> None:
    """Logits of the noise."""
    method = avid(Plan(width=1, negatives=plan.negatives), plan.rows)
    rows = torch.randint(plan.rows, (plan.batch, plan.negatives))
    x = F.normalize(torch.randn(plan.batch, method.bank.video.shape[1]), dim=1)

    def fetch() -> Tensor:
        found: Tensor = method.bank.video.index_select(0, rows.flatten())
        return found.view(*rows.shape, -1)

    show("scores", *plan.timed(lambda: method.scores(x, fetch()), fetch), 1.8)


def bank(plan: Plan) -> None:
    """A step of AVID, and its loss alone, by the size of the bank."""
    clips = 4 * plan.clips
    batch = {
        "video": torch.randn(clips, 3, 8, 112, 112), "audio": torch.randn(clips, 1, 200, 257),
        "index": torch.randint(plan.few, (clips,)),
    }  # fmt: skip
    methods = [avid(plan, rows) for rows in (plan.rows, plan.few)]
    show("bank", *plan.timed(*(step(method, batch) for method in methods)), 1.05)
    units = {m: F.normalize(torch.randn(clips, 128), dim=1) for m in ("video", "audio")}
    show("bank, loss alone", *plan.timed(*(repeated(lambda m=m: m.loss(units, batch)) for m in methods)))


def positives(plan: Plan) -> None:
    """Agreement positives of every kind."""
    video, audio = banks(plan.related)
    rounds = min(plan.rounds, 5)
    for kind in KINDS:
        used = {"video": [video], "audio": [audio]}.get(kind, [video, audio])
        out = torch.empty(CHUNK, plan.related)

        def products(used: list[Tensor] = used, out: Tensor = out) -> None:
            for begin in range(0, plan.related, CHUNK):
                for x in used:
                    rows = x[begin : begin + CHUNK]
                    torch.mm(rows, x.T, out=out[: len(rows)])

        ways = plan.timed(
            lambda k=kind: agreement_positives(video, audio, 32, k, CHUNK), products, rounds=rounds
        )
        show(f"positives, {kind}", *ways, 1.6)
        found = agreement_positives(video, audio, 32, kind, CHUNK)
        print(f"  {agreeing(found, video, audio, kind)} of 500 sets are those of a plain top-k")
    spawn = multiprocessing.get_context("spawn").Pool(1)
    with spawn:
        used_mb = spawn.apply(peak, (plan.related,))
    most = 2 * CHUNK * plan.related * 4 / 1e6
    print(f"  memory: {used_mb:.0f} MB more at the peak; twice {CHUNK} x N similarities are {most:.0f} MB")


def banks(size: int) -> tuple[Tensor, Tensor]:
    """Two banks whose rows lean one way, as trained ones do."""
    generator = torch.Generator().manual_seed(0)
    video, audio = (F.normalize(torch.randn(size, 128, generator=generator) + 0.4, dim=1) for _ in range(2))
    return video, audio


def agreeing(found: Tensor, video: Tensor, audio: Tensor, kind: Expansion) -> int:
    """Of how many rows the set equals that of a sort of all similarities."""
    rows = torch.randperm(len(video))[:500]
    v, a = video[rows] @ video.T, audio[rows] @ audio.T
    score = {"agreement": torch.minimum(v, a), "either": torch.maximum(v, a), "video": v, "audio": a}[kind]
    score[torch.arange(len(rows)), rows] = -torch.inf
    plain = score.topk(found.shape[1], dim=1).indices.sort(dim=1).values
    return int((plain == found[rows].sort(dim=1).values).all(dim=1).sum())


def peak(size: int) -> float:
    """MB by which the largest extent of a new process grows (Linux)."""
    torch.set_num_threads(1)
    video, audio = banks(size)
    agreement_positives(video[:1000], audio[:1000], 32)
    # The mark begins anew at what is held now. (getrusage's would begin at that of the parent process.)
    Path("/proc/self/clear_refs").write_text("5")
    before = extent()
    agreement_positives(video, audio, 32, chunk=CHUNK)
    return (extent() - before) / 1e3


def extent() -> float:
    """kB that this process has held at most."""
    status = Path("/proc/self/status").read_text()
    return float(status.partition("VmHWM:")[2].split()[0])


PARTS: dict[str, Callable[[Plan], None]] = {
    "crops": crops, "negatives": negatives, "scores": scores, "bank": bank, "positives": positives,
}  # fmt: skip

if __name__ == "__main__":
    main()
