"""A second figure beside a protocol's own, where a paper chose a number by looking at test samples."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ssl_av.evaluation.kinds import Outcome, Results

Choice = Literal["none", "test", "first-split"]
TUNED = {"test": "tuned_on_test", "first-split": "tuned_on_first_split"}


def add_tuned(results: Results, outcomes: list[Outcome], choice: str, key: str) -> Results:
    """``top1_tuned_on_test`` or ``top1_tuned_on_first_split``, chosen over all folds as the papers choose it.

    Args:
        results: of all folds together, by side; the figures are added to it.
        outcomes: one a fold.
        choice: ``test``: by the folds' mean on test, ``first-split``: by the first fold's, ``none``: no figure.
        key: where a side's results have the figure on test of each choice, ``{choice: figure}``.
    """
    if choice == "none":
        return results
    for side in results:
        each = [o.results[side][key] for o in outcomes]
        means = {c: float(np.mean([e[c] for e in each])) for c in each[0]}
        judged = means if choice == "test" else each[0]
        metric = "map" if "map" in outcomes[0].results[side] else "top1"
        results[side][f"{metric}_{TUNED[choice]}"] = means[max(judged, key=judged.__getitem__)]
    return results
