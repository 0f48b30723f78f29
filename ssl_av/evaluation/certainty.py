"""What is kept of a measurement's predictions: intervals and classes in the results, the predictions in a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ssl_av.arrays import read_npz
from ssl_av.errors import UserError
from ssl_av.evaluation.average_precision import bootstrap_map, class_precision
from ssl_av.evaluation.kinds import Outcome, Predicted, Results, Splits
from ssl_av.evaluation.kinds._labels import labelled
from ssl_av.evaluation.statistics import bootstrap, class_accuracy, over_runs

LEVEL, DRAWS, SEED = 0.95, 2000, 0
"""Of the intervals. The seed is not the run's: the same predictions have the same interval."""


def locate(outcome: Outcome, splits: Splits) -> None:
    """Says of each prediction which row of the test split it belongs to, where the kind did not.

    Raises:
        ValueError: if a kind predicted other samples than those that have a label, and does not say which.
    """
    for side, predicted in outcome.predicted.items():
        if predicted.index is not None:
            continue
        test = splits.get("test")
        known = np.empty(0, dtype=bool) if test is None else labelled(test)
        if test is None or int(known.sum()) != len(predicted.truth):
            raise ValueError(
                f"{side}: {len(predicted.truth)} predictions for {int(known.sum())} test samples with a label; a "
                "kind that predicts others says which, by Predicted.index"
            )
        rows = test.index if len(test.index) == len(test) else np.arange(len(test))
        predicted.index = rows[known]


def identify(outcome: Outcome, names: np.ndarray) -> None:
    """Says of each prediction which sample it is of, whatever the fold.

    Args:
        outcome: located (`locate`).
        names: [N] of the samples of the fold's test split.
    """
    for predicted in outcome.predicted.values():
        assert predicted.index is not None
        predicted.sample = names[predicted.index]


def attach(results: Results, outcomes: Sequence[Outcome], classes: Sequence[str]) -> None:
    """Adds to each side that was predicted its ``interval`` and its numbers ``by_class``.

    Over several folds, both are of the pooled predictions of all folds; a sample that several of them test is drawn
    with all of its predictions (HMDB51's test splits overlap). ``interval_over_folds`` takes each fold as one number.

    Args:
        results: of a protocol; changed.
        outcomes: one a fold.
        classes: names.
    """
    for side, numbers in results.items():
        if all(side in o.hits for o in outcomes):
            metric, right = outcomes[0].hits[side]
            if len(outcomes) == 1:
                found = bootstrap(right, draws=DRAWS, level=LEVEL, seed=SEED)
                numbers["interval"] = asdict(found) | {"metric": metric}
            _over_folds(numbers, outcomes, side, metric)
        if not all(side in o.predicted for o in outcomes):
            continue
        truth, scores = (
            np.concatenate([getattr(o.predicted[side], part) for o in outcomes])
            for part in ("truth", "scores")
        )
        group = _samples([o.predicted[side] for o in outcomes])
        if truth.ndim == 1:
            metric, best = "top1", scores.argmax(axis=1)
            found = bootstrap(best == truth, group=group, draws=DRAWS, level=LEVEL, seed=SEED)
            each = class_accuracy(best, truth, len(classes))
        else:
            metric = "map"
            found = bootstrap_map(scores, truth, group=group, draws=DRAWS, level=LEVEL, seed=SEED)
            each = class_precision(scores, truth)
        how = found.how + (f", {len(outcomes)} folds pooled" if len(outcomes) > 1 else "")
        if metric in numbers:
            numbers["interval"] = asdict(found) | {"metric": metric, "how": how}
        _over_folds(numbers, outcomes, side, metric)
        numbers["by_class"] = {
            name: None if np.isnan(x) else float(x) for name, x in zip(classes, each, strict=True)
        }


def _over_folds(numbers: Results, outcomes: Sequence[Outcome], side: str, metric: str) -> None:
    """Adds ``interval_over_folds``, where there are several."""
    each = [o.results[side][metric] for o in outcomes if metric in o.results.get(side, {})]
    over = over_runs(each, level=LEVEL).interval if each else None
    if over is not None:
        how = f"t over {len(outcomes)} folds, whose training splits overlap"
        numbers["interval_over_folds"] = asdict(over) | {"metric": metric, "how": how}


def _samples(predicted: Sequence[Predicted]) -> np.ndarray | None:
    """[N] number of the sample of each pooled prediction; None where no two are of one sample."""
    if any(p.sample is None for p in predicted):
        return None
    names = np.concatenate([p.sample for p in predicted if p.sample is not None])
    known, number = np.unique(names, return_inverse=True)
    return None if len(known) == len(names) else number.reshape(-1)


@dataclass(frozen=True)
class Kept:
    """The predictions of one side on one fold.

    Attributes:
        truth: [N] class, or [N, classes] bool.
        predicted: [N] class, or [N, classes] scores where a sample has several.
        index: [N] rows of the manifest's test split.
    """

    truth: np.ndarray
    predicted: np.ndarray
    index: np.ndarray


def predictions_file(run: Path, protocol: str) -> Path:
    """Where a run, or an evaluation, keeps the predictions of a protocol."""
    return run / "predictions" / f"{protocol.replace('/', '-')}.npz"


def save_predictions(outcomes: Mapping[str, Sequence[Outcome]], run: Path) -> None:
    """Writes ``predictions/PROTOCOL.npz`` for each protocol that classifies.

    Its arrays are ``SIDE.FOLD.truth``, ``SIDE.FOLD.predicted`` and ``SIDE.FOLD.index`` of `Kept`, folds from 0.
    """
    for protocol, folds in outcomes.items():
        arrays: dict[str, Any] = {}
        for number, outcome in enumerate(folds):
            for side, predicted in outcome.predicted.items():
                for name, x in vars(_kept(predicted)).items():
                    arrays[f"{side}.{number}.{name}"] = x
        if arrays:
            target = predictions_file(run, protocol)
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_suffix(".part")
            with part.open("wb") as file:
                np.savez_compressed(file, **arrays)
            part.replace(target)


def load_predictions(file: Path) -> dict[str, list[Kept]]:
    """What `save_predictions` wrote, by side, one a fold.

    Raises:
        UserError: if it cannot be read.
    """
    found: dict[str, dict[int, dict[str, np.ndarray]]] = {}
    try:
        for key, array in read_npz(file).items():
            side, number, name = key.rsplit(".", 2)
            found.setdefault(side, {}).setdefault(int(number), {})[name] = array
        return {side: [Kept(**folds[k]) for k in sorted(folds)] for side, folds in found.items()}
    except (ValueError, TypeError) as e:
        raise UserError(f"{file}: not the predictions of a protocol ({type(e).__name__}: {e})") from None


def bracketed(numbers: Mapping[str, Any], metric: str) -> str:
    """A side's number for the terminal: ``61.2 % ± 0.9 [53.8, 68.1]``: deviation over folds, interval."""
    text = f"{100 * numbers[metric]:.1f} %"
    std = (numbers.get("std") or {}).get(metric)
    if std is not None:
        text += f" ± {100 * std:.1f}"
    interval = numbers.get("interval") or {}
    if interval.get("metric") == metric:
        text += f" [{100 * interval['low']:.1f}, {100 * interval['high']:.1f}]"
    return text


def explained(results: Mapping[str, Any]) -> str:
    """A line on what the brackets are, of the first interval that a record's results hold; empty without one."""
    for sides in results.values():
        for numbers in sides.values() if "skipped" not in sides else ():
            if isinstance(numbers, Mapping) and "interval" in numbers:
                found = numbers["interval"]
                return f"[…]: {100 * found['level']:.0f} % interval, {found['how']}\n"
    return ""


def _kept(predicted: Predicted) -> Kept:
    assert predicted.index is not None
    several = predicted.truth.ndim == 2
    best = predicted.scores.astype(np.float32) if several else predicted.scores.argmax(axis=1)
    return Kept(predicted.truth, best, predicted.index)
