"""The one-vs-rest SVM against scikit-learn's LinearSVC and against plain arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from ssl_av.errors import UserError
from ssl_av.evaluation.squared_hinge import solve, turn
from ssl_av.evaluation.svm import OneVsRestSVM

COSTS = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0]
Floats = NDArray[np.float64]


def problem(
    n: int, d: int, classes: int, seed: int = 0, signal: float = 0.6
) -> tuple[np.ndarray, np.ndarray]:
    """Correlated features with overlapping classes."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    x = signal * np.random.default_rng(9).normal(size=(classes, d))[y] + rng.normal(size=(n, d))
    mix = np.random.default_rng(8).normal(size=(d, d)) * np.arange(1, d + 1) ** -0.5
    return (x @ mix).astype(np.float32) + 0.5, y


def objective(model: OneVsRestSVM | LinearSVC, x: np.ndarray, y: np.ndarray) -> Floats:
    """½‖w‖² + ½b² + C Σ max(0, 1 − y(w·x + b/s·s))², one class after the other."""
    out = []
    positive = model.classes_[1:] if len(model.classes_) == 2 else model.classes_
    for k, w, b in zip(positive, model.coef_, model.intercept_, strict=True):
        sign = np.where(y == k, 1.0, -1.0)
        slack = np.maximum(0, 1 - sign * (x.astype(np.float64) @ w.astype(np.float64) + b))
        penalised = b / model.intercept_scaling
        out.append(0.5 * (np.sum(w.astype(np.float64) ** 2) + penalised**2) + model.C * np.sum(slack**2))
    return np.array(out)


def reference(x: np.ndarray, y: np.ndarray, cost: float, scaling: float = 1.0) -> LinearSVC:
    return LinearSVC(
        C=cost,
        intercept_scaling=scaling,
        tol=1e-7,
        max_iter=200_000,
        random_state=0,
        dual=len(x) < x.shape[1],
    ).fit(x, y)


@pytest.mark.parametrize(("n", "d"), [(300, 20), (60, 120)], ids=["more samples", "more features"])
def test_every_c_gives_liblinears_objective_and_predictions(n: int, d: int):
    x, y = problem(n, d, 5)
    fresh, _ = problem(400, d, 5, seed=1)
    for model, cost in zip(OneVsRestSVM().sweep(x, y, COSTS), COSTS, strict=True):
        theirs = reference(x, y, cost)
        assert model.converged_
        assert cost == model.C
        np.testing.assert_allclose(objective(model, x, y), objective(theirs, x, y), rtol=1e-4)
        np.testing.assert_allclose(model.objective_, objective(model, x, y), rtol=1e-4)
        assert np.mean(model.predict(fresh) == theirs.predict(fresh)) >= 0.995


@pytest.mark.parametrize("cost", [1e-3, 10.0])
def test_the_gradient_is_zero_in_double_precision(cost: float):
    x, y = problem(200, 30, 4)
    model = OneVsRestSVM(cost, dtype="float64", tol=1e-14).fit(x, y)
    for k, w, b in zip(model.classes_, model.coef_, model.intercept_, strict=True):
        sign = np.where(y == k, 1.0, -1.0)
        pull = 2 * cost * sign * np.maximum(0, 1 - sign * (x @ w + b))
        np.testing.assert_allclose(w, pull @ x, atol=1e-6 * np.abs(w).max())
        assert b == pytest.approx(pull.sum(), abs=1e-6 * np.abs(w).max())


def test_exact_and_conjugate_steps_agree(monkeypatch: pytest.MonkeyPatch):
    from ssl_av.evaluation import squared_hinge

    x, y = problem(300, 40, 4)
    found = []
    for forced in (0.0, 1e9):
        plain = squared_hinge._direction
        calls = []

        def direction(*args, plain=plain, forced=forced, calls=calls):
            calls.append(forced)
            return plain(*args[:-1], forced)

        with monkeypatch.context() as patch:
            patch.setattr(squared_hinge, "_direction", direction)
            found.append(OneVsRestSVM(0.1, dtype="float64", tol=1e-12).fit(x, y))
        assert calls
    np.testing.assert_allclose(found[0].coef_, found[1].coef_, atol=1e-5)


def test_features_that_are_not_turned_give_the_same(monkeypatch: pytest.MonkeyPatch):
    from ssl_av.evaluation import squared_hinge

    x, y = problem(200, 30, 4)
    turned = OneVsRestSVM(0.01, dtype="float64", tol=1e-12).fit(x, y)
    monkeypatch.setattr(squared_hinge, "MOST_AXES", 5)
    monkeypatch.setattr(squared_hinge, "MOST_SCORES", 300)  # one class at a time
    monkeypatch.setattr(squared_hinge, "CHUNK", 64)
    plain = OneVsRestSVM(0.01, dtype="float64", tol=1e-12).fit(x, y)
    np.testing.assert_allclose(turned.coef_, plain.coef_, atol=1e-6)
    np.testing.assert_allclose(turned.intercept_, plain.intercept_, atol=1e-6)


def test_a_sweep_is_the_fits_in_the_order_asked():
    x, y = problem(200, 20, 3)
    costs = [0.1, 1e-4, 0.01]
    for cost, model in zip(costs, OneVsRestSVM(tol=1e-9).sweep(x, y, costs), strict=True):
        alone = OneVsRestSVM(cost, tol=1e-9).fit(x, y)
        assert cost == model.C
        np.testing.assert_allclose(model.objective_, alone.objective_, rtol=1e-6)
        np.testing.assert_allclose(model.coef_, alone.coef_, atol=1e-3 * np.abs(alone.coef_).max())


def test_the_bias_is_penalised_as_liblinear_does():
    x, y = problem(200, 10, 3)
    for scaling in (0.1, 1.0, 10.0):
        ours = OneVsRestSVM(0.01, intercept_scaling=scaling).fit(x, y)
        theirs = reference(x, y, 0.01, scaling)
        np.testing.assert_allclose(ours.intercept_, theirs.intercept_, atol=1e-3)
        np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-3)


def test_imbalanced_classes_and_duplicate_rows():
    x, _ = problem(330, 15, 3)
    y = np.r_[np.zeros(300, int), np.ones(25, int), np.full(5, 2)]
    x, y = np.concatenate([x, x[:100], x[300:]]), np.concatenate([y, y[:100], y[300:]])
    for cost in (1e-3, 1.0):
        ours, theirs = OneVsRestSVM(cost).fit(x, y), reference(x, y, cost)
        np.testing.assert_allclose(objective(ours, x, y), objective(theirs, x, y), rtol=1e-4)
        assert np.mean(ours.predict(x) == theirs.predict(x)) >= 0.995


def test_constant_and_zero_features():
    x, y = problem(100, 8, 3)
    x[:, 2], x[:, 5] = 0.0, 7.0
    for cost in (1e-4, 1.0):
        theirs = reference(x, y, cost)
        np.testing.assert_allclose(
            objective(OneVsRestSVM(cost).fit(x, y), x, y), objective(theirs, x, y), rtol=1e-4
        )


def test_a_class_that_is_absent_in_training_has_no_column():
    x, y = problem(120, 10, 4)
    keep = y != 2
    model = OneVsRestSVM(0.1).fit(x[keep], y[keep])
    assert model.classes_.tolist() == [0, 1, 3]
    assert model.decision_function(x).shape == (120, 3)
    assert set(model.predict(x)) <= {0, 1, 3}
    scores = model.class_scores(x, 5)
    assert np.isneginf(scores[:, [2, 4]]).all()
    assert (scores.argmax(axis=1) == model.predict(x)).all()


@pytest.mark.parametrize("backend", ["torch", "sklearn"])
def test_two_classes_are_one_problem(backend: str):
    x, y = problem(120, 10, 2)
    model = OneVsRestSVM(0.1, backend=backend).fit(x, y + 3)
    theirs = reference(x, y + 3, 0.1)
    assert model.coef_.shape == (1, 10)
    assert model.decision_function(x).shape == (120,)
    np.testing.assert_allclose(model.decision_function(x), theirs.decision_function(x), atol=1e-2)
    assert (model.class_scores(x, 5).argmax(axis=1) == theirs.predict(x)).mean() >= 0.99


def test_scikit_learns_own_solver_is_the_reference_backend():
    x, y = problem(100, 10, 3)
    options = {"dual": False, "tol": 1e-6, "max_iter": 500}
    model = OneVsRestSVM(0.1, backend="sklearn", liblinear=options).fit(x, y)
    theirs = LinearSVC(C=0.1, random_state=0, **options).fit(x, y)
    assert np.array_equal(model.coef_, theirs.coef_)
    assert model.converged_
    assert not OneVsRestSVM(10.0, backend="sklearn", liblinear={"max_iter": 1}).fit(x, y).converged_


def test_it_says_when_it_gave_up():
    x, y = problem(200, 20, 3)
    assert not OneVsRestSVM(10.0, max_iter=1).fit(x, y).converged_


def test_it_is_a_scikit_learn_classifier():
    x, y = problem(150, 10, 3, signal=3.0)
    pipe = make_pipeline(StandardScaler(), OneVsRestSVM(0.01))
    assert cross_val_score(pipe, x, y, cv=3).mean() > 0.9
    assert clone(OneVsRestSVM(0.5, tol=1e-3)).get_params()["C"] == 0.5
    named = np.array(["dog", "sea", "rain"])[y]
    assert OneVsRestSVM(0.01).fit(x, named).score(x, named) > 0.9


def test_a_callers_low_precision_is_not_used_and_is_given_back():
    x, y = problem(200, 20, 3)
    exact = OneVsRestSVM(0.01).fit(x, y).coef_
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert np.array_equal(OneVsRestSVM(0.01).fit(x, y).coef_, exact)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("backend", ["torch", "sklearn"])
def test_what_is_wrong_is_said(backend: str):
    x, y = problem(50, 4, 2)
    model = OneVsRestSVM(backend=backend)
    bad = x.copy()
    bad[7, 1] = np.nan
    with pytest.raises(UserError, match="not a number or infinite"):
        model.fit(bad, y)
    with pytest.raises(UserError, match="1 class in 50"):
        model.fit(x, np.zeros(50, int))
    with pytest.raises(UserError, match=r"\[50, 4\] and \[49\]"):
        model.fit(x, y[1:])
    with pytest.raises(UserError, match="positive"):
        model.sweep(x, y, [1.0, 0.0])
    with pytest.raises(UserError, match="did you mean torch"):
        OneVsRestSVM(backend="toch").fit(x, y)
    with pytest.raises(UserError, match="float32"):
        OneVsRestSVM(dtype="float16").fit(x, y)


def test_the_first_sample_that_is_not_finite_is_named():
    x, y = problem(50, 4, 2)
    x[7, 1] = np.inf
    with pytest.raises(UserError, match="sample 7 of 50"):
        OneVsRestSVM().fit(x, y)


def test_turning_changes_no_product_and_keeps_a_memory_map_as_it_is(tmp_path):
    x, y = problem(40, 60, 3)
    file = np.memmap(tmp_path / "x", dtype=np.float32, mode="w+", shape=x.shape)
    file[:] = x
    data = turn(file, 2.0, torch.device("cpu"), torch.float64)
    full = np.c_[x, np.full(40, 2.0)].astype(np.float64)
    assert data.rows.shape == (40, 40)
    np.testing.assert_allclose(data.rows @ data.rows.T, full @ full.T, rtol=1e-9)
    w = torch.randn(40, 2, dtype=torch.float64)
    np.testing.assert_allclose(full @ data.back(w).numpy(), data.rows @ w, atol=1e-9)
    assert np.array_equal(file, x)
    found = solve(data.rows, torch.from_numpy(y), torch.arange(3), 0.1, torch.zeros(40, 3).double(), 1e-9, 50)
    assert found.converged
