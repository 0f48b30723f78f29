"""The sweep of C of a linear SVM: ours against scikit-learn's LinearSVC (liblinear), the same objective, one run.

    python benchmarks/svm.py                          # 20,000 x 2048, 50 classes; LinearSVC takes minutes a C
    python benchmarks/svm.py --samples 5000 --features 1024 --classes 20
    python benchmarks/svm.py --device cuda            # ours on a GPU, LinearSVC on one core beside it
    python benchmarks/svm.py --quick                  # seconds; says only that it runs

For each C, LinearSVC and our solver from a cold start, which take turns; at the end the whole sweep. Times are the
processor's (all threads together) on the CPU, the clock's with --device cuda or --clock. "f" is the largest relative
difference of a class's objective from LinearSVC's, computed in float64 from the weights of both (a negative one is
below LinearSVC's); "equal" is the share of equal predictions on as many further samples as a quarter of the training
set. The features are made up: correlated, rectified, standardised, with classes that overlap.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from sklearn.svm import LinearSVC

from ssl_av.evaluation.svm import OneVsRestSVM

Result = TypeVar("Result")


def main() -> None:
    """Prints one line for each C and one for the sweep."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="400 x 32 features, 4 classes")
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--classes", type=int, default=50)
    parser.add_argument("--costs", default="1e-5,1e-4,1e-3,1e-2")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", action="store_true", help="by the clock, not the processor's time")
    parser.add_argument(
        "--primal", action="store_true", help="LinearSVC's primal solver instead of its dual one"
    )
    args = parser.parse_args()
    if args.quick:
        args.samples, args.features, args.classes = 400, 32, 4
    torch.set_num_threads(args.threads)
    by_clock = args.clock or args.device != "cpu"
    now = time.perf_counter if by_clock else time.process_time
    costs = [float(cost) for cost in args.costs.split(",")]
    x, y = features(args.samples + args.samples // 4, args.features, args.classes)
    train, test = (x[: args.samples], y[: args.samples]), x[args.samples :]
    print(
        f"{args.samples} x {args.features}, {args.classes} classes, {args.device}, {args.threads} threads, load "
        f"average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, seconds of the "
        f"{'clock' if by_clock else 'processor'}"
    )
    OneVsRestSVM(device=args.device).fit(x[:100], np.arange(100) % 2)  # loads what is loaded once
    print(
        "C         LinearSVC s     ours s    ratio   f least     f most     equal   accuracy   both converged"
    )
    spent, equal, differences = 0.0, [], []
    theirs = []
    for cost in costs:
        ours, fast = timed(lambda c=cost: OneVsRestSVM(c, device=args.device).fit(*train), now)
        reference = LinearSVC(C=cost, dual=not args.primal, random_state=0, max_iter=3000)
        reference, slow = timed(lambda r=reference: r.fit(*train), now)
        spent += slow
        theirs.append((reference, objective(reference, *train)))
        f = objective(ours, *train) / theirs[-1][1] - 1
        same = float((ours.predict(test) == reference.predict(test)).mean())
        right = float((ours.predict(test) == y[args.samples :]).mean())
        both = ours.converged_ and int(np.max(reference.n_iter_)) < 3000
        print(
            f"{cost:<8g} {slow:12.2f} {fast:10.2f} {slow / fast:8.1f}   {f.min():+.1e}   {f.max():+.1e}   {same:.4f}"
            f"     {right:.3f}   {both}",
            flush=True,
        )
    models, fast = timed(lambda: OneVsRestSVM(device=args.device).sweep(*train, costs), now)
    for model, (reference, value) in zip(models, theirs, strict=True):
        differences.append(float(np.abs(objective(model, *train) / value - 1).max()))
        equal.append(float((model.predict(test) == reference.predict(test)).mean()))
    print(
        f"sweep    {spent:12.2f} {fast:10.2f} {spent / fast:8.1f}   target >= 10; |f| at most {max(differences):.1e}, "
        f"target <= 1e-4; equal {min(equal):.4f} or more, target >= 0.999"
    )


def features(n: int, d: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Made-up features [n, d] and labels [n]."""
    draw = torch.Generator().manual_seed(0)
    scale = torch.arange(1, d + 1) ** -0.5
    y = torch.randint(classes, (n,), generator=draw)
    centres = 0.35 * torch.randn(classes, d, generator=draw)
    x = (centres[y] + 2 * torch.randn(n, d, generator=draw)) * scale
    mixed = x @ torch.randn(d, d, generator=draw) * d**-0.5
    x = torch.relu(mixed + 0.2 * mixed.std() * torch.randn(n, d, generator=draw))
    return ((x - x.mean(dim=0)) / x.std(dim=0).clamp_min(1e-6)).numpy(), y.numpy()


def objective(model: OneVsRestSVM | LinearSVC, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """f of each class, in float64 from the weights."""
    w, b = model.coef_.astype(np.float64), model.intercept_.astype(np.float64)
    sign = np.where(y[:, None] == model.classes_, 1.0, -1.0)
    loss = np.zeros(len(w))
    for at in range(0, len(x), 4096):
        rows = slice(at, at + 4096)
        loss += (np.maximum(0, 1 - sign[rows] * (x[rows].astype(np.float64) @ w.T + b)) ** 2).sum(axis=0)
    return 0.5 * ((w**2).sum(axis=1) + b**2) + model.C * loss


def timed(do: Callable[[], Result], now: Callable[[], float]) -> tuple[Result, float]:
    """What it gives, and the seconds it took."""
    begin = now()
    result = do()
    return result, now() - begin


if __name__ == "__main__":
    main()
