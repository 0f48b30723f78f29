"""Linear one-vs-rest SVM with liblinear's objective, solved for all classes at once on any device.

    model = OneVsRestSVM(C=1e-3).fit(x, y)
    models = OneVsRestSVM().sweep(x, y, [1e-5, 1e-4, 1e-3, 1e-2])

The objective is that of scikit-learn's `LinearSVC` with its defaults (squared hinge, L2, the bias penalised through
``intercept_scaling``), which stays available as ``backend="sklearn"``.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin, clone

from ssl_av.errors import UserError, unknown
from ssl_av.evaluation.precision import full_precision
from ssl_av.evaluation.squared_hinge import Turned, solve, turn

BACKENDS = ("torch", "sklearn")
DTYPES = {"float32": torch.float32, "float64": torch.float64}


class OneVsRestSVM(ClassifierMixin, BaseEstimator):
    """A scikit-learn classifier: ½‖w‖² + C Σ max(0, 1 − y w·x)² for each class against the rest.

    As in `LinearSVC`, two classes are one problem, whose positive class is the second one.

    Args:
        C: weight of the loss.
        backend: ``torch`` (Newton's method for all classes at once) or ``sklearn`` (`LinearSVC`).
        device: of the torch backend.
        dtype: ``float32`` or ``float64``, of the torch backend.
        tol: a class is done when a Newton step promises to lower its objective by less than this share of it.
        max_iter: Newton steps.
        intercept_scaling: the value of the feature that stands for the bias; the smaller, the more it is penalised.
        liblinear: arguments of `LinearSVC` for the sklearn backend, which has a ``tol``, ``max_iter``,
            ``dual`` and ``random_state`` of its own.

    Attributes:
        classes_: [K] the labels that were seen in training; a class that was absent has no column.
        coef_: [K, D], or [1, D] for two classes.
        intercept_: [K] or [1].
        objective_: [K] or [1] f of each class, float64 (torch backend).
        converged_: whether every class is done; a solver that gave up is not hidden.
        n_iter_: steps of the slowest class.
    """

    def __init__(
        self,
        C: float = 1.0,
        *,
        backend: str = "torch",
        device: str | torch.device = "cpu",
        dtype: str = "float32",
        tol: float = 1e-6,
        max_iter: int = 100,
        intercept_scaling: float = 1.0,
        liblinear: Mapping[str, Any] | None = None,
    ) -> None:
        self.C, self.backend, self.device, self.dtype = C, backend, device, dtype
        self.tol, self.max_iter, self.intercept_scaling = tol, max_iter, intercept_scaling
        self.liblinear = liblinear

    def fit(self, x: ArrayLike, y: ArrayLike) -> OneVsRestSVM:
        """Fits to features [N, D] and labels [N].

        Raises:
            UserError: if features are not finite, there are fewer than two classes, or an argument is off.
        """
        fitted = self.sweep(x, y, [self.C])[0]
        self.__dict__.update(vars(fitted))
        return self

    def sweep(self, x: ArrayLike, y: ArrayLike, costs: Sequence[float]) -> list[OneVsRestSVM]:
        """One fitted model for each C, in the order given; features are prepared once.

        The torch backend goes from the smallest C to the largest and starts each from the one before.

        Raises:
            UserError: as `fit`.
        """
        x, y = np.asanyarray(x), np.asarray(y)
        self._check(x, y, costs)
        models = [clone(self).set_params(C=float(cost)) for cost in costs]
        ordered = sorted(models, key=lambda model: model.C)
        if self.backend == "sklearn":
            for model in ordered:
                model._fit_sklearn(x, y)
            return models
        with full_precision():
            data = turn(x, self.intercept_scaling, torch.device(self.device), DTYPES[self.dtype])
            found, label = np.unique(y, return_inverse=True)
            where = torch.from_numpy(label.reshape(-1)).to(data.rows.device)
            positive = torch.arange(len(found), device=where.device)[1 if len(found) == 2 else 0 :]
            weight = data.rows.new_zeros(data.rows.shape[1], len(positive))
            for model in ordered:
                weight = model._fit_torch(data, where, positive, weight)
                model.classes_ = found
        return models

    def decision_function(self, x: ArrayLike) -> np.ndarray:
        """[N, K] scores, or [N] for two classes (positive: the second one), as scikit-learn has it."""
        scores = np.asanyarray(x) @ self.coef_.T + self.intercept_
        return scores[:, 0] if len(self.coef_) == 1 else scores

    def predict(self, x: ArrayLike) -> np.ndarray:
        """[N] labels."""
        scores = self.decision_function(x)
        return self.classes_[(scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)]

    def class_scores(self, x: ArrayLike, classes: int) -> np.ndarray:
        """[N, classes] scores for labels 0 … classes − 1, whatever was seen in training.

        A column each also for two classes, and −∞ for a class that was absent in training: what clips'
        scores are averaged over.
        """
        scores = self.decision_function(x)
        if scores.ndim == 1:
            scores = np.stack([-scores, scores], axis=1)
        out = np.full((len(scores), classes), -np.inf, dtype=scores.dtype)
        out[:, self.classes_] = scores
        return out

    def _fit_torch(
        self, data: Turned, label: torch.Tensor, positive: torch.Tensor, start: torch.Tensor
    ) -> torch.Tensor:
        found = solve(data.rows, label, positive, self.C, start, self.tol, self.max_iter)
        full = data.back(found.weight).T.cpu().numpy()
        self.coef_ = np.ascontiguousarray(full[:, :-1])
        self.intercept_ = full[:, -1] * self.intercept_scaling
        self.objective_ = found.objective.cpu().numpy()
        self.converged_, self.n_iter_ = found.converged, found.steps
        return found.weight

    def _fit_sklearn(self, x: np.ndarray, y: np.ndarray) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.svm import LinearSVC

        if not np.isfinite(x).all():
            raise UserError("SVM: features hold values that are not a number or infinite")
        options = {"random_state": 0} | dict(self.liblinear or {})
        model = LinearSVC(C=self.C, intercept_scaling=self.intercept_scaling, **options)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            model.fit(x, y)
        self.coef_, self.intercept_, self.classes_ = model.coef_, model.intercept_, model.classes_
        self.converged_ = not any(issubclass(w.category, ConvergenceWarning) for w in caught)
        self.n_iter_ = int(np.max(model.n_iter_))

    def _check(self, x: np.ndarray, y: np.ndarray, costs: Sequence[float]) -> None:
        for kind, name, known in (("backend", self.backend, BACKENDS), ("dtype", self.dtype, DTYPES)):
            if name not in known:
                raise unknown(kind, name, known)
        if x.ndim != 2 or y.shape != x.shape[:1]:
            raise UserError(
                f"SVM: features must be [N, D] and labels [N], got {list(x.shape)} and {list(y.shape)}"
            )
        if not len(costs) or min(costs) <= 0 or not np.isfinite(costs).all():
            raise UserError(f"SVM: C must be positive numbers, at least one, got {list(costs)}")
        if self.intercept_scaling <= 0:
            raise UserError(f"SVM: intercept_scaling must be positive, got {self.intercept_scaling}")
        if len(np.unique(y)) < 2:
            raise UserError(
                f"SVM: {len(np.unique(y))} class in {len(y)} training samples; at least two are needed"
            )
