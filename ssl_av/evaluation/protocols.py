"""Ways to measure features. Each is one function from the splits' features to named numbers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torchmetrics.functional.classification import multiclass_accuracy

from ssl_av.errors import unknown
from ssl_av.evaluation.features import Features
from ssl_av.evaluation.metrics import recall_at

Splits = Mapping[str, Features]
Results = dict[str, Any]
Protocol = Callable[[Splits, int, int], Results]


class NotApplicableError(Exception):
    """The protocol cannot run on these features; the message says why. Recorded, not raised to the user."""


@dataclass(frozen=True)
class LinearSVM:
    """What the linear SVM protocol fixes.

    Attributes:
        costs: values of C; the best on validation is used (BraVe B sweeps such a set).
        tolerance: of liblinear.
        max_iter: of liblinear; not converging is reported in the result.
    """

    costs: tuple[float, ...] = (1e-3, 1e-2, 1e-1)
    tolerance: float = 1e-3
    max_iter: int = 3000


def linear_svm(splits: Splits, classes: int, seed: int, settings: LinearSVM = LinearSVM()) -> Results:
    """Top-1 of a linear SVM on frozen features of each modality.

    Features are standardised with the training split's statistics (BraVe B: a batch norm without parameters).
    C is chosen on validation with a model fitted on the training split; that model is measured on test.

    Returns:
        ``{modality: {"top1", "top1_val", "C", "converged"}}``.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    split = {name: _labelled(features) for name, features in splits.items()}
    _need(split, classes)
    results: Results = {}
    for modality in splits["train"].pooled:
        x = {s: f.pooled[modality][keep] for s, (f, keep) in split.items()}
        y = {s: f.label[keep] for s, (f, keep) in split.items()}
        best: Results = {}
        for cost in settings.costs:
            model = make_pipeline(
                StandardScaler(),
                LinearSVC(C=cost, tol=settings.tolerance, max_iter=settings.max_iter, random_state=seed),
            )
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", ConvergenceWarning)
                model.fit(x["train"], y["train"])
            val = _top1(model.predict(x["val"]), y["val"], classes)
            if not best or val > best["top1_val"]:
                best = {
                    "top1": _top1(model.predict(x["test"]), y["test"], classes),
                    "top1_val": val,
                    "C": cost,
                    "converged": not any(issubclass(w.category, ConvergenceWarning) for w in caught),
                }
        results[modality] = best
    return results


def retrieval(splits: Splits, classes: int, seed: int) -> Results:
    """R@1/5/20 of test queries in the training split, video → video: a neighbour of the same class is a match.

    Cosine between the clips' averaged features (CrissCross E.3).
    """
    split = {name: _labelled(splits[name]) for name in ("train", "test")}
    _need(split, classes)
    if "video" not in splits["test"].pooled:
        raise NotApplicableError("no video backbone")
    (gallery, g), (query, q) = split["train"], split["test"]
    match = torch.from_numpy(query.label[q])[:, None] == torch.from_numpy(gallery.label[g])[None]
    queries, keys = (torch.from_numpy(f.pooled["video"][keep]) for f, keep in ((query, q), (gallery, g)))
    return {"video": recall_at(queries, keys, match)}


def av_retrieval(splits: Splits, classes: int, seed: int) -> Results:
    """R@1/5/20 across modalities inside the test split: the match is the same sample's other modality.

    Cosine in the space that the method's two modalities share. ``chance_r1`` is 1 / number of samples.
    """
    test = splits["test"]
    if not {"video", "audio"} <= set(test.query):
        raise NotApplicableError("the method has no space that picture and sound share")
    match = torch.eye(len(test), dtype=torch.bool)
    results: Results = {}
    for query, key in (("audio", "video"), ("video", "audio")):
        found = recall_at(torch.from_numpy(test.query[query]), torch.from_numpy(test.key[key]), match)
        chance = {f"chance_{name}": min(int(name[1:]) / len(test), 1.0) for name in found}
        results[f"{query}_to_{key}"] = found | chance
    return results


PROTOCOLS: dict[str, Protocol] = {
    "linear-svm": linear_svm,
    "retrieval": retrieval,
    "av-retrieval": av_retrieval,
}


def check_protocols(names: list[str]) -> list[str]:
    """The names, if all exist; else a `UserError` with the nearest ones."""
    for name in names:
        if name not in PROTOCOLS:
            raise unknown("protocol", name, PROTOCOLS, hint="ssl-av list protocols")
    return names


def _labelled(features: Features) -> tuple[Features, np.ndarray]:
    return features, features.label >= 0


def _need(split: Mapping[str, tuple[Features, np.ndarray]], classes: int) -> None:
    """Labels are there, in every split, and of at least two classes to learn from."""
    if classes < 2:
        raise NotApplicableError("the data have no labels of at least two classes")
    for name, (_, keep) in split.items():
        if not keep.any():
            raise NotApplicableError(f"no labelled sample in the {name} split")
    train, keep = split["train"]
    if len(np.unique(train.label[keep])) < 2:
        raise NotApplicableError("the training split holds one class only")


def _top1(predicted: np.ndarray, label: np.ndarray, classes: int) -> float:
    p, t = torch.from_numpy(predicted), torch.from_numpy(label)
    return float(multiclass_accuracy(p, t, num_classes=classes, average="micro"))
