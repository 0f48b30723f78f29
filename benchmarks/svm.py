"""The sweep of C of a linear SVM: ours against scikit-learn's LinearSVC (liblinear), the same objective, one run.

    python benchmarks/svm.py                          # 20,000 x 2048, 50 classes; LinearSVC takes minutes a C
    python benchmarks/svm.py --reference-classes 5    # LinearSVC on 5 of the 50 problems
    python benchmarks/svm.py --samples 5000 --features 1024 --classes 20
    python benchmarks/svm.py --device cuda            # ours on a GPU, LinearSVC on one core beside it
    python benchmarks/svm.py --quick                  # seconds; says only that it runs

For each C, LinearSVC and our solver from a cold start, which take turns; at the end the whole sweep. Ratios are of the
processor's time (all threads together) and of the clock's. "f" is the largest relative difference of a class's
objective from LinearSVC's, computed in float64 from the weights of both (a negative one is below LinearSVC's); "equal"
is the share of equal predictions on as many further samples as a quarter of the training set. The features are made up:
correlated, rectified, standardised, with classes that overlap.

With --reference-classes K ours solves all problems, and LinearSVC the first K, one against the rest each: liblinear
does one after another. Its seconds in the table are extrapolated: what a problem takes, times all classes, plus once
what a fit of one iteration takes (copies, mostly). Objectives and predictions are compared on these K classes.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC

from ssl_av.evaluation.svm import OneVsRestSVM

Result = TypeVar("Result")
MOST = 3000
"""Iterations of LinearSVC."""


@dataclass(frozen=True)
class Hyperplanes:
    """Of the first K classes, each against the rest.

    Attributes:
        weight: [K, D], float64.
        bias: [K].
        cost: C.
    """

    weight: np.ndarray
    bias: np.ndarray
    cost: float

    @classmethod
    def of(cls, model: OneVsRestSVM | LinearSVC, count: int) -> Hyperplanes:
        """Of a fitted model."""
        weight, bias = model.coef_[:count], model.intercept_[:count]
        return cls(weight.astype(np.float64), bias.astype(np.float64), float(model.C))

    def predict(self, x: np.ndarray) -> np.ndarray:
        """The class, of these, that a sample is deepest in."""
        return np.asarray((x @ self.weight.T + self.bias).argmax(axis=1))


def liblinear(
    x: np.ndarray, y: np.ndarray, cost: float, count: int, classes: int, primal: bool
) -> tuple[Hyperplanes, np.ndarray, bool]:
    """LinearSVC's hyperplanes of the first classes, its seconds for all of them, and whether it converged."""

    def fit(target: np.ndarray, most: int) -> tuple[LinearSVC, np.ndarray]:
        model = LinearSVC(C=cost, dual=not primal, random_state=0, max_iter=most)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return timed(lambda: model.fit(x, target))

    if count == classes:
        model, spent = fit(y, MOST)
        return Hyperplanes.of(model, count), spent, int(np.max(model.n_iter_)) < MOST
    _, once = fit(y == 0, 1)
    fitted = [fit(y == k, MOST) for k in range(count)]
    total = once + classes / count * sum(np.maximum(spent - once, 0) for _, spent in fitted)
    weight, bias = (np.concatenate([getattr(m, n) for m, _ in fitted]) for n in ("coef_", "intercept_"))
    return Hyperplanes(weight, bias, cost), total, max(int(np.max(m.n_iter_)) for m, _ in fitted) < MOST


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
    parser.add_argument(
        "--primal", action="store_true", help="LinearSVC's primal solver instead of its dual one"
    )
    parser.add_argument("--reference-classes", type=int, metavar="K", help="problems that LinearSVC solves")
    args = parser.parse_args()
    if args.quick:
        args.samples, args.features, args.classes = 400, 32, 4
    count = min(args.reference_classes or args.classes, args.classes)
    torch.set_num_threads(args.threads)
    costs = [float(cost) for cost in args.costs.split(",")]
    x, y = features(args.samples + args.samples // 4, args.features, args.classes)
    train, test = (x[: args.samples], y[: args.samples]), x[args.samples :]
    print(
        f"{args.samples} x {args.features}, {args.classes} classes, {args.device}, {args.threads} threads, load "
        f"average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; seconds of the processor (of the clock)"
    )
    if count < args.classes:
        print(f"LinearSVC: measured on {count} of {args.classes} problems, extrapolated to all of them")
    OneVsRestSVM(device=args.device).fit(x[:100], np.arange(100) % 2)  # loads what is loaded once
    print(
        "C               LinearSVC             ours          ratio   f least     f most     equal   both converged"
    )
    whole = np.zeros(2)
    theirs = []
    for cost in costs:
        ours, fast = timed(lambda c=cost: OneVsRestSVM(c, device=args.device).fit(*train))
        reference, slow, converged = liblinear(*train, cost, count, args.classes, args.primal)
        whole += slow
        theirs.append((reference, objective(reference, *train), reference.predict(test)))
        f, same = compared(Hyperplanes.of(ours, count), *theirs[-1][1:], train, test)
        print(
            f"{cost:<8g} {seconds(slow, fast)}   {f.min():+.1e}   {f.max():+.1e}   {same:.4f}   "
            f"{ours.converged_ and converged}",
            flush=True,
        )
    models, fast = timed(lambda: OneVsRestSVM(device=args.device).sweep(*train, costs))
    found = [
        compared(Hyperplanes.of(m, count), *t[1:], train, test) for m, t in zip(models, theirs, strict=True)
    ]
    print(
        f"sweep    {seconds(whole, fast)}   target >= 10; |f| at most {max(abs(f).max() for f, _ in found):.1e}, "
        f"target <= 1e-4; equal {min(same for _, same in found):.4f} or more, target >= 0.999"
    )


def seconds(slow: np.ndarray, fast: np.ndarray) -> str:
    """Of both, and their ratio; those of the clock in brackets."""
    cells = [(slow, "9.2f"), (fast, "7.2f"), (slow / fast, "5.1f")]
    return " ".join(f"{x[0]:{form}} ({x[1]:{form}})" for x, form in cells)


def compared(
    ours: Hyperplanes,
    values: np.ndarray,
    predicted: np.ndarray,
    train: tuple[np.ndarray, np.ndarray],
    test: np.ndarray,
) -> tuple[np.ndarray, float]:
    """The relative differences of the objectives, and the share of equal predictions."""
    return objective(ours, *train) / values - 1, float((ours.predict(test) == predicted).mean())


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


def objective(model: Hyperplanes, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """f of each class from 0 on that there is a hyperplane for, in float64 from the weights."""
    w, b = model.weight, model.bias
    sign = np.where(y[:, None] == np.arange(len(w)), 1.0, -1.0)
    loss = np.zeros(len(w))
    for at in range(0, len(x), 4096):
        rows = slice(at, at + 4096)
        loss += (np.maximum(0, 1 - sign[rows] * (x[rows].astype(np.float64) @ w.T + b)) ** 2).sum(axis=0)
    return 0.5 * ((w**2).sum(axis=1) + b**2) + model.cost * loss


def timed(do: Callable[[], Result]) -> tuple[Result, np.ndarray]:
    """What it gives, and the seconds of the processor and of the clock that it took."""
    begin = np.array([time.process_time(), time.perf_counter()])
    result = do()
    return result, np.array([time.process_time(), time.perf_counter()]) - begin


if __name__ == "__main__":
    main()
