"""Linear SVM on frozen features of each modality; late fusion of the two by the same means."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from ssl_av.errors import UserError, unknown
from ssl_av.evaluation.features import Features
from ssl_av.evaluation.kinds import (
    NotApplicableError,
    Outcome,
    Predicted,
    Results,
    Splits,
    average,
    register_kind,
)
from ssl_av.evaluation.kinds._labels import accuracy, examples, labelled, need, sides
from ssl_av.evaluation.kinds._tuned import Choice, add_tuned
from ssl_av.evaluation.protocols import Protocol
from ssl_av.evaluation.rows import beside, each, selected, slices, stacked


@dataclass(frozen=True)
class LinearSVM:
    """What the linear SVM protocols fix.

    Attributes:
        normalise: ``standard``, by the training split's mean and deviation (BraVe B: a batch norm without
            parameters); ``l2``, each feature vector to length 1; or ``none``.
        costs: values of C; the best on validation is used, and of equal ones the first.
        refit: whether the model that is tested is fitted on training and validation together.
        paper_choice: a second figure beside ours, under its own name, where a paper chose C otherwise: the best on
            ``test`` (``top1_tuned_on_test``), or on the test part of the ``first-split``
            (``top1_tuned_on_first_split``). It is never the protocol's result.
        tolerance: of liblinear.
        max_iter: of liblinear; not converging is reported in the result.
        solver: ``liblinear`` (scikit-learn's) or ``newton`` (`ssl_av.evaluation.svm`, which stops far closer to the
            minimum whatever ``tolerance`` says).
    """

    normalise: Literal["standard", "l2", "none"] = "standard"
    costs: tuple[float, ...] = (1e-3, 1e-2, 1e-1)
    refit: bool = False
    paper_choice: Choice = "none"
    tolerance: float = 1e-3
    max_iter: int = 3000
    solver: str = "liblinear"

    def __post_init__(self) -> None:
        object.__setattr__(self, "costs", tuple(float(c) for c in self.costs))
        if not self.costs or min(self.costs) <= 0:
            raise UserError(f"settings.costs are values of C above 0, got {list(self.costs)}")
        if self.solver not in SOLVERS:
            raise unknown("settings.solver", self.solver, SOLVERS)


#: (x [N, D], y [N] or [N, classes], values of C, settings, seed) → for each C a fitted model with ``classes_``, and
#: whether it converged
Solver = Callable[[np.ndarray, np.ndarray, Sequence[float], LinearSVM, int], list[tuple[Any, bool]]]


def liblinear(
    x: np.ndarray, y: np.ndarray, costs: Sequence[float], settings: LinearSVM, seed: int
) -> list[tuple[Any, bool]]:
    """scikit-learn's `LinearSVC`: squared hinge, one against the rest."""
    return [_liblinear(x, y, cost, settings, seed) for cost in costs]


def _liblinear(x: np.ndarray, y: np.ndarray, cost: float, settings: LinearSVM, seed: int) -> tuple[Any, bool]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.svm import LinearSVC

    svm = LinearSVC(C=cost, tol=settings.tolerance, max_iter=settings.max_iter, random_state=seed)
    model = svm if y.ndim == 1 else OneVsRestClassifier(svm)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        warnings.filterwarnings("ignore", message="Label .* is present in all training examples")
        warnings.filterwarnings("ignore", message="Label not .* is present in all training examples")
        model.fit(x, y)
    return model, not any(issubclass(w.category, ConvergenceWarning) for w in caught)


def newton(
    x: np.ndarray, y: np.ndarray, costs: Sequence[float], settings: LinearSVM, seed: int
) -> list[tuple[Any, bool]]:
    """The same objective by `OneVsRestSVM`, for all classes at once, each C from the one before."""
    from sklearn.multiclass import OneVsRestClassifier

    from ssl_av.evaluation.svm import OneVsRestSVM

    if y.ndim == 1:
        return [(model, bool(model.converged_)) for model in OneVsRestSVM().sweep(x, y, costs)]
    several = [OneVsRestClassifier(OneVsRestSVM(C=cost)).fit(x, y) for cost in costs]
    # a label that all or no training samples have needs no solver, and has none
    return [(m, all(getattr(e, "converged_", True) for e in m.estimators_)) for m in several]


SOLVERS: dict[str, Solver] = {"liblinear": liblinear, "newton": newton}


def _splits(settings: LinearSVM) -> tuple[str, ...]:
    return ("train", "val", "test", *(("val_as_train",) if settings.refit else ()))


def _combine(outcomes: list[Outcome], protocol: Protocol) -> Results:
    """The folds' mean; the second figure is chosen over all folds, as the papers choose it."""
    return add_tuned(average(outcomes, protocol), outcomes, protocol.settings.paper_choice, "test_by_C")


@register_kind("linear-svm", LinearSVM, _splits, combine=_combine)
def linear_svm(splits: Splits, protocol: Protocol, classes: int, seed: int) -> Outcome:
    """Top-1, or mAP where samples have several labels, of a linear SVM on each modality.

    C is chosen on validation with a model fitted on the training split; that model is measured on test, or with
    ``refit`` one of the same C fitted on both. Where a sample's clips were kept, each training clip is an example
    and the decisions on a test sample's clips are averaged.

    Returns:
        ``{modality: {"top1", "top1_val", "C", "converged"}}``.
    """
    need(splits, classes)
    outcome = Outcome({})
    for side in sides(protocol.modalities, splits["train"]):
        sweep(splits, side, protocol.settings, classes, seed, outcome)
    return outcome


@register_kind("fusion", LinearSVM, _splits, combine=_combine, both=True)
def fusion(splits: Splits, protocol: Protocol, classes: int, seed: int) -> Outcome:
    """The linear SVM on sound, on picture, and on both features side by side (CrissCross E.1, late fusion)."""
    if not {"video", "audio"} <= set(splits["train"].pooled):
        raise NotApplicableError("fusion needs a video and an audio backbone")
    need(splits, classes)
    both: dict[str, Features] = {}
    for name, f in splits.items():
        joined = beside([f.pooled["audio"], f.pooled["video"]])
        both[name] = dataclasses.replace(f, pooled={**f.pooled, "audio+video": joined})
    outcome = Outcome({})
    for side in ("audio", "video", "audio+video"):
        sweep(both, side, protocol.settings, classes, seed, outcome)
    return outcome


def sweep(splits: Splits, side: str, settings: LinearSVM, classes: int, seed: int, outcome: Outcome) -> None:
    """The sweep over C for one side; adds to ``outcome``."""
    kept = {name: labelled(f) for name, f in splits.items()}
    x = {name: selected(f.pooled[side], kept[name]) for name, f in splits.items()}
    y = {name: f.label[kept[name]] for name, f in splits.items()}

    def fit(parts: tuple[str, ...], costs: Sequence[float]) -> list[tuple[Callable[[str], Predicted], bool]]:
        pairs = [examples(x[part], y[part]) for part in parts]
        rows, labels = (stacked(p) for p in zip(*pairs, strict=True))
        scale = normaliser(rows, settings.normalise)

        def predicting(model: Any) -> Callable[[str], Predicted]:
            return lambda part: Predicted(y[part], decisions(model, scale, x[part], classes))

        fitted = SOLVERS[settings.solver](scale(rows), labels, costs, settings, seed)
        return [(predicting(model), converged) for model, converged in fitted]

    tried = fit(("train",), settings.costs)
    found = [accuracy(predict("val"), classes) for predict, _ in tried]
    metric = next(iter(found[0]))
    best = max(range(len(found)), key=lambda k: found[k][metric])  # of equal ones the first
    tested = range(len(tried)) if settings.paper_choice != "none" else [best]
    chosen = [tried[k] for k in tested]
    if settings.refit:
        chosen = fit(("train", "val_as_train"), [settings.costs[k] for k in tested])
    by_cost: dict[str, float] = {}
    for k, (predict, converged) in zip(tested, chosen, strict=True):
        predicted = predict("test")
        test = accuracy(predicted, classes)
        cost = settings.costs[k]
        by_cost[f"{cost:g}"] = test[metric]
        if k == best:
            said = {f"{metric}_val": found[k][metric], "C": cost, "converged": converged}
            outcome.results[side] = {**test, **said}
            outcome.predicted[side] = predicted
    if settings.paper_choice != "none":
        outcome.results[side]["test_by_C"] = by_cost


def normaliser(x: np.ndarray, how: str) -> Callable[[np.ndarray], np.ndarray]:
    """A function that normalises [N, D] features as the training ones ask for."""
    if how == "standard":
        from sklearn.preprocessing import StandardScaler

        scaler = StandardScaler()
        for some in slices(x):
            scaler.partial_fit(x[some])
        return partial(each, scaler.transform)
    if how == "l2":
        return partial(
            each, lambda rows: rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        )
    return lambda rows: rows


def decisions(
    model: Any, scale: Callable[[np.ndarray], np.ndarray], x: np.ndarray, classes: int
) -> np.ndarray:
    """Decision values [N, classes], averaged over a sample's clips; −∞ for a class that was never trained."""

    def decide(some: np.ndarray) -> np.ndarray:
        decided = np.asarray(model.decision_function(scale(some.reshape(-1, some.shape[-1]))))
        if decided.ndim == 1:  # two classes have one hyperplane
            decided = np.stack([-decided, decided], axis=1)
        return decided.reshape(*some.shape[:2], -1).mean(axis=1) if some.ndim == 3 else decided

    decided = each(decide, x)
    known = np.asarray(model.classes_)
    if len(known) == classes:
        return decided
    scores = np.full((len(x), classes), -np.inf)
    scores[:, known] = decided
    return scores
