"""Newton's method for all classes of a linear one-vs-rest SVM with the squared hinge loss at once.

For each class, with y = ±1 and the bias as one more feature, so penalised (liblinear's L2-loss SVC):

    f(w) = ½‖w‖² + C Σ_i max(0, 1 − y_i w·x_i)²

f is piecewise quadratic: with the active samples A (those of positive slack) the gradient is
w − 2C Xᵀ(y ∘ slack) and the Hessian I + 2C X_AᵀX_A (Keerthi & DeCoste 2005). A step solves the Newton system by
conjugate gradients, whose products are matrix products over all classes, or exactly for a class with few active
samples, and then finds the minimum of f along it. The samples are first turned onto their principal axes: f does not
change, and the diagonal of the Hessian becomes a good preconditioner for every class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_av.errors import UserError

CHUNK = 8192
"""Rows that are copied to the device, or squared, at once."""
MOST_AXES = 4096
"""Above so many axes the eigenvectors cost more than they save."""
MOST_SCORES = 2**26
"""Samples × classes that are solved at once: bounds the memory."""
MOST_PRODUCTS = 100
"""Hessian products of one step."""


@dataclass(frozen=True)
class Turned:
    """Samples in a basis of their own.

    Attributes:
        rows: [N, R] samples with the bias's feature, R = min(N, D + 1) where they were turned.
        axes: [D + 1, R] orthonormal columns that lead back; none where the samples are as they were.
    """

    rows: Tensor
    axes: Tensor | None

    def back(self, weight: Tensor) -> Tensor:
        """[R, K] weights for the given features: [D + 1, K]; the last row is the bias's."""
        return weight if self.axes is None else self.axes @ weight


def turn(x: np.ndarray, bias: float, device: torch.device, dtype: torch.dtype) -> Turned:
    """Brings features [N, D] to the device, adds the feature ``bias`` and turns them onto their principal axes.

    ``x`` may be a memory map: it is read in chunks.

    Raises:
        UserError: if a value is not finite.
    """
    rows = torch.empty(len(x), x.shape[1] + 1, dtype=dtype, device=device)
    for at in range(0, len(x), CHUNK):
        part = torch.from_numpy(np.ascontiguousarray(x[at : at + CHUNK])).to(device, dtype)
        bad = (~part.isfinite().all(dim=1)).nonzero()[:, 0]
        if len(bad):
            raise UserError(
                f"SVM: sample {at + int(bad[0])} of {len(x)} has features that are not a number or infinite; "
                "leave such samples out, or see why the backbone gives them"
            )
        rows[at : at + len(part)] = F.pad(part, (0, 1), value=bias)
    if min(rows.shape) > MOST_AXES:
        return Turned(rows, None)
    if len(rows) >= rows.shape[1]:
        axes = torch.linalg.eigh(rows.T @ rows).eigenvectors
        for part in rows.split(CHUNK):
            part.copy_(part @ axes)
        return Turned(rows, axes)
    # Fewer samples than features: the solution lies in their span.
    span, upper = torch.linalg.qr(rows.T)
    inner = torch.linalg.eigh(upper @ upper.T).eigenvectors
    return Turned(upper.T @ inner, span @ inner)


@dataclass(frozen=True)
class Solution:
    """Of K classes.

    Attributes:
        weight: [R, K].
        objective: [K] f of each class, float64.
        converged: whether the last step of every class promised less than the tolerance.
        steps: Newton steps of the slowest class.
    """

    weight: Tensor
    objective: Tensor
    converged: bool
    steps: int


@torch.no_grad()
def solve(
    rows: Tensor, label: Tensor, classes: Tensor, cost: float, start: Tensor, tol: float, max_iter: int
) -> Solution:
    """Minimises f for every class against the rest.

    Args:
        rows: [N, R] samples.
        label: [N].
        classes: [K] the label of each problem's positive samples.
        cost: C.
        start: [R, K] weights to begin with.
        tol: a class is done when a step promises to lower f by less than this share of it.
        max_iter: Newton steps.
    """
    width = max(1, MOST_SCORES // max(len(rows), 1))
    parts = [
        _solve(rows, label, some, cost, first.clone(), tol, max_iter)
        for some, first in zip(classes.split(width), start.split(width, dim=1), strict=True)
    ]
    return Solution(
        torch.cat([p.weight for p in parts], dim=1),
        torch.cat([p.objective for p in parts]),
        all(p.converged for p in parts),
        max(p.steps for p in parts),
    )


def _solve(
    x: Tensor, label: Tensor, classes: Tensor, cost: float, weight: Tensor, tol: float, max_iter: int
) -> Solution:
    sign = torch.where(label[:, None] == classes, 1.0, -1.0).to(x.dtype)
    score = x @ weight
    value = torch.full((len(classes),), torch.inf, dtype=torch.float64, device=x.device)
    done = torch.zeros(len(classes), dtype=torch.bool, device=x.device)
    live = torch.arange(len(classes), device=x.device)
    products, steps = 4, 0
    while len(live) and steps < max_iter:
        steps += 1
        w, y, z = weight[:, live], sign[:, live], score[:, live]
        slack = (1 - y * z).clamp_min_(0)
        now = _objective(w, slack, cost)
        active = (slack > 0).to(x.dtype)
        gradient = w - 2 * cost * (x.T @ (y * slack))
        step, moved, products = _direction(x, y, active, w, gradient, cost, products)
        length = _line_search(w, y, z, step, moved, cost)
        weight[:, live] = w + length * step
        score[:, live] = z + length * moved
        near = -0.5 * (gradient * step).sum(dim=0) <= tol * now
        # Where f falls no more, the precision of its arithmetic is reached: no step would help.
        stuck = now >= value[live]
        value[live], done[live] = now, near
        live = live[~(near | stuck)]
    slack = (1 - sign * (x @ weight)).clamp_min_(0)
    return Solution(weight, _objective(weight, slack, cost), bool(done.all()), steps)


def _objective(weight: Tensor, slack: Tensor, cost: float) -> Tensor:
    squares = (weight * weight).sum(dim=0, dtype=torch.float64)
    return 0.5 * squares + cost * (slack * slack).sum(dim=0, dtype=torch.float64)


def _direction(
    x: Tensor, y: Tensor, active: Tensor, w: Tensor, gradient: Tensor, cost: float, products: int
) -> tuple[Tensor, Tensor, int]:
    """Newton steps [R, K], what they change in the scores [N, K], and how many products the CG took.

    A class is solved exactly where that is cheaper than as many products as the last step took.
    """
    count = active.sum(dim=0)
    small = count.clamp(max=x.shape[1])
    # Float64 costs twice as much; a product goes through all samples twice, with thin matrices that reach about a
    # quarter of the speed of square ones.
    exact = 2 * (2 * count * small**2 + small**3 / 3) < 4 * products * 4.0 * x.numel()
    step, moved = torch.empty_like(w), torch.empty_like(y)
    if bool(exact.any()):
        for k in exact.nonzero()[:, 0].tolist():
            step[:, k] = _exact(x, y[:, k], active[:, k] > 0, cost) - w[:, k]
        moved[:, exact] = x @ step[:, exact]
    if not bool(exact.all()):
        rest = ~exact
        found = _conjugate(x, active[:, rest], gradient[:, rest], cost)
        step[:, rest], moved[:, rest], products = found
    return step, moved, products


def _exact(x: Tensor, y: Tensor, active: Tensor, cost: float) -> Tensor:
    """The minimum of the quadratic piece: (I + 2C AᵀA) w = 2C Aᵀy, by samples or by features."""
    a, target = x[active].double(), y[active].double()
    if len(a) <= a.shape[1]:
        gram = a @ a.T
        gram.diagonal().add_(1 / (2 * cost))
        return (a.T @ torch.cholesky_solve(target[:, None], torch.linalg.cholesky(gram)))[:, 0].to(x.dtype)
    hessian = a.T @ a
    hessian.diagonal().add_(1 / (2 * cost))
    w = torch.cholesky_solve((a.T @ target)[:, None], torch.linalg.cholesky(hessian))
    return w[:, 0].to(x.dtype)


def _conjugate(x: Tensor, active: Tensor, gradient: Tensor, cost: float) -> tuple[Tensor, Tensor, int]:
    """Preconditioned conjugate gradients until the residual is a tenth of the gradient, for all classes."""
    curvature = torch.zeros_like(gradient)
    for part, on in zip(x.split(CHUNK), active.split(CHUNK), strict=True):
        curvature += (part * part).T @ on
    inverse = 1 / (1 + 2 * cost * curvature)
    step, moved = torch.zeros_like(gradient), torch.zeros_like(active)
    residual = -gradient
    search = inverse * residual
    energy = (residual * search).sum(dim=0)
    goal = 0.01 * energy
    tiny = torch.finfo(x.dtype).tiny
    products = 0
    while products < MOST_PRODUCTS:
        products += 1
        scores = x @ search
        curved = search + 2 * cost * (x.T @ (active * scores))
        length = energy / (search * curved).sum(dim=0).clamp_min(tiny)
        step += length * search
        moved += length * scores
        residual -= length * curved
        ahead = inverse * residual
        after = (residual * ahead).sum(dim=0)
        if bool((after <= goal).all()):
            break
        search = ahead + (after / energy.clamp_min(tiny)) * search
        energy = after
    return step, moved, products


def _line_search(w: Tensor, y: Tensor, z: Tensor, step: Tensor, moved: Tensor, cost: float) -> Tensor:
    """The length [K] at which f is least along each step: Newton on its piecewise linear slope, bracketed."""
    length = torch.ones_like(w[0])
    low, high = torch.zeros_like(length), torch.full_like(length, torch.inf)
    first, square = (w * step).sum(dim=0), (step * step).sum(dim=0)
    gain = y * moved
    for _ in range(20):
        slack = (1 - y * z - length * gain).clamp_min_(0)
        slope = first + length * square - 2 * cost * (slack * gain).sum(dim=0)
        bend = square + 2 * cost * ((slack > 0) * gain * gain).sum(dim=0)
        low, high = torch.where(slope < 0, length, low), torch.where(slope > 0, length, high)
        better = length - slope / bend.clamp_min(torch.finfo(w.dtype).tiny)
        # Outside its bracket Newton's point is worth nothing: the middle, or twice as far.
        middle = torch.where(high.isinf(), 2 * length, (low + high) / 2)
        better = torch.where((better > low) & (better < high), better, middle)
        near = (better - length).abs() <= 1e-3 * length
        length = torch.where(slope == 0, length, better)
        if bool((near | (slope == 0)).all()):
            break
    return length
