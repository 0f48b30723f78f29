"""Methods two by two: t-tests and McNemar's by the formulas of a textbook, corrected by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import special

from ssl_av.bench.analysis.groups import Group, group_runs
from ssl_av.bench.analysis.headline import main_tasks
from ssl_av.bench.analysis.pairs import SAME, over_samples, over_seeds, pair_table
from ssl_av.bench.analysis.predictions import Right, paired, read_right, right_of
from ssl_av.bench.analysis.tasks import Task, tasks

Record = dict[str, Any]
Make = Callable[..., Record]
VIDEO = Task("linear-svm", "video", "top1")
#: accuracy by seed
THREE = {"brave": (0.50, 0.52, 0.54), "avid": (0.40, 0.43, 0.43), "cma": (0.51, 0.50, 0.55)}


def grouped(record: Make, scores: dict[str, tuple[float, ...]]) -> list[Group]:
    return group_runs(
        record(method, seed, results={"linear-svm": {"video": {"top1": value}}})
        for method, values in scores.items()
        for seed, value in enumerate(values)
    )


def two_sided_t(gaps: list[float]) -> tuple[float, float]:
    """Mean and p of a paired t-test: t from the sums, p by the incomplete beta function."""
    n = len(gaps)
    mean = sum(gaps) / n
    std = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / (n - 1))
    t, free = mean / (std / math.sqrt(n)), n - 1
    return mean, float(special.betainc(free / 2, 0.5, free / (free + t * t)))


def holm_by_hand(p: dict[Any, float]) -> dict[Any, float]:
    most, out = 0.0, {}
    for place, key in enumerate(sorted(p, key=lambda k: p[k])):
        most = max(most, min(1.0, (len(p) - place) * p[key]))
        out[key] = most
    return out


def test_paired_t_tests_over_seeds_with_holm_s_correction(record: Make):
    pairs = over_seeds(grouped(record, THREE), [VIDEO])
    wanted, means = {}, {}
    for a, b in (("brave", "avid"), ("brave", "cma"), ("avid", "cma")):
        gaps = [x - y for x, y in zip(THREE[a], THREE[b], strict=True)]
        means[a, b], wanted[a, b] = two_sided_t(gaps)
    adjusted = holm_by_hand(wanted)
    assert [(pair.first.method, pair.second.method) for pair in pairs] == list(wanted)
    for pair in pairs:
        key = pair.first.method, pair.second.method
        assert pair.p_value == pytest.approx(wanted[key])
        assert pair.adjusted == pytest.approx(adjusted[key])
        assert pair.difference is not None
        assert pair.difference.value == pytest.approx(means[key])
    # BraVe − AVID: 10, 9, 11 points; t(0.975, 2) = 4.3027 by the tables
    first = pairs[0].difference
    assert first is not None
    assert first.high - first.value == pytest.approx(4.3027 * 0.01 / math.sqrt(3), rel=1e-4)
    assert [pair.verdict for pair in pairs] == ["BraVe is higher", SAME, "CMA is higher"]


def test_only_seeds_that_both_have_are_compared(record: Make):
    pairs = over_seeds(grouped(record, {"brave": (0.5, 0.6, 0.7), "avid": (0.4, 0.48)}), [VIDEO])
    (pair,) = pairs
    assert pair.difference is not None
    assert pair.difference.value == pytest.approx((0.1 + 0.12) / 2)


def test_what_cannot_be_tested_over_seeds(record: Make):
    (pair,) = over_seeds(grouped(record, {"brave": (0.5, 0.6), "avid": (0.4,)}), [VIDEO])
    assert pair.adjusted is None
    assert "nothing can be concluded about seeds" in pair.why
    (pair,) = over_seeds(grouped(record, {"brave": (0.5, 0.6), "avid": (0.4, 0.5)}), [VIDEO])
    assert pair.adjusted == 1.0
    assert pair.verdict == SAME
    assert "no spread to test it with" in pair.why


def test_references_are_not_compared(record: Make):
    groups = grouped(record, {"brave": (0.5, 0.6), "random": (0.1, 0.2), "supervised": (0.3, 0.3)})
    assert over_seeds(groups, [VIDEO]) == []


def keep(
    folder: Path, name: str, truth: list[int], predicted: list[int], index: list[int], fold: str = "0"
) -> None:
    """Predictions as a run leaves them."""
    out = folder / name / "predictions"
    out.mkdir(parents=True, exist_ok=True)
    arrays = {
        f"video.{fold}.truth": truth,
        f"video.{fold}.predicted": predicted,
        f"video.{fold}.index": index,
    }
    np.savez(out / "linear-svm.npz", **{key: np.array(value) for key, value in arrays.items()})


def test_mcnemar_over_the_samples_that_both_predicted(record: Make, tmp_path: Path):
    groups = grouped(record, {"brave": (0.9,), "avid": (0.1,)})
    truth = [k % 3 for k in range(40)]
    wrong = [(k + 1) % 3 for k in truth]
    # BraVe alone right on 12, AVID alone on 2, both on 20, neither on 6
    brave = truth[:12] + wrong[12:14] + truth[14:34] + wrong[34:]
    avid = wrong[:12] + truth[12:34] + wrong[34:]
    keep(tmp_path, "brave-seed0", truth, brave, list(range(40)))
    order = list(range(39, -1, -1))  # in another order, and a sample more
    keep(
        tmp_path, "avid-seed0", [truth[k] for k in order] + [0], [avid[k] for k in order] + [0], [*order, 99]
    )
    right = {(g.method, VIDEO): one for g in groups if (one := right_of(g, VIDEO, [tmp_path]))}
    (pair,) = over_samples(groups, [VIDEO], right)
    exact = 2 * sum(math.comb(14, k) for k in range(3)) / 2**14
    assert pair.p_value == pytest.approx(exact)
    assert pair.adjusted == pytest.approx(exact)
    assert pair.difference is not None
    assert pair.difference.value == pytest.approx(10 / 40)
    assert pair.difference.low < 10 / 40 < pair.difference.high
    assert pair.verdict == "BraVe is higher"


def test_several_seeds_share_each_sample(record: Make, tmp_path: Path):
    groups = grouped(record, {"brave": (0.9, 0.9), "avid": (0.1, 0.1)})
    truth = [0, 1, 0, 1, 0, 1]
    hits = {
        "brave-seed0": [1, 1, 1, 1, 0, 1], "brave-seed1": [1, 0, 1, 1, 1, 1],
        "avid-seed0": [0, 0, 1, 0, 0, 1], "avid-seed1": [1, 0, 1, 0, 0, 0],
    }  # fmt: skip
    for name, hit in hits.items():
        keep(
            tmp_path,
            name,
            truth,
            [t if h else 1 - t for t, h in zip(truth, hit, strict=True)],
            list(range(6)),
        )
    right = {(g.method, VIDEO): right_of(g, VIDEO, [tmp_path / "elsewhere", tmp_path]) for g in groups}
    brave = right["brave", VIDEO]
    assert brave is not None
    assert brave.runs == 2
    assert [brave.share["0", k] for k in range(6)] == [1, 0.5, 1, 1, 0.5, 1]
    (pair,) = over_samples(groups, [VIDEO], {key: one for key, one in right.items() if one})
    mean, p = two_sided_t([0.5, 0.5, 0.0, 1.0, 0.5, 0.5])
    assert pair.difference is not None
    assert pair.difference.value == pytest.approx(mean)
    assert pair.p_value == pytest.approx(p)


def test_predictions_that_say_nothing(record: Make, tmp_path: Path):
    (group,) = grouped(record, {"brave": (0.9, 0.8)})
    file = tmp_path / "brave-seed0" / "predictions" / "linear-svm.npz"
    assert read_right(file, "video") == {}
    keep(tmp_path, "brave-seed0", [0, 1], [0, 0], [5, 7])
    assert read_right(file, "video") == {("0", 5): True, ("0", 7): False}
    assert read_right(file, "audio") == {}
    assert right_of(group, VIDEO, [tmp_path]) is None, "one of two runs kept none"
    file.write_bytes(file.read_bytes()[:50])
    assert read_right(file, "video") == {}
    many = {"video.0.truth": np.eye(2), "video.0.predicted": np.eye(2), "video.0.index": np.arange(2)}
    np.savez(file, **many)
    assert read_right(file, "video") == {}, "several labels a sample are neither right nor wrong"


def test_folds_are_kept_apart():
    one, two = Right(1, {("0", 1): 1.0, ("1", 1): 0.0}), Right(1, {("1", 1): 1.0, ("2", 1): 1.0})
    a, b = paired(one, two)
    assert (a.tolist(), b.tolist()) == ([0.0], [1.0])


def test_the_table_of_pairs(record: Make):
    table, left_out = pair_table("Pairs", over_seeds(grouped(record, THREE), [VIDEO]))
    assert left_out == ""
    assert [row.label for row in table.rows] == ["BraVe − AVID", "BraVe − CMA", "AVID − CMA"]
    cells = [cell.text for cell in table.rows[0].cells]
    assert cells[0] == "+10.0"
    assert cells[1] == "+7.5 to +12.5"
    assert cells[3] == "BraVe is higher"
    assert table.rows[1].cells[3].text == SAME


def test_of_many_pairs_those_with_the_best_are_shown(record: Make):
    records = [
        record(
            "avid",
            seed,
            row=f"row{k}",
            results={"linear-svm": {"video": {"top1": 0.1 * k + 0.01 * seed * (k % 3)}}},
        )
        for k in range(7)
        for seed in range(2)
    ]
    table, left_out = pair_table("Pairs", over_seeds(group_runs(records), [VIDEO]))
    assert left_out.startswith("Of 21 pairs, those with row6 are shown")
    assert len(table.rows) == 6
    assert all("row6" in row.label for row in table.rows)


def test_tasks_are_a_number_each(record: Make):
    groups = group_runs([record("avid"), record("random")])
    assert [task.title for task in tasks(groups)] == [
        "linear-svm video top-1", "linear-svm audio top-1", "retrieval video R@1", "retrieval audio R@1",
        "av-retrieval audio → video R@1", "av-retrieval video → audio R@1",
    ]  # fmt: skip
    assert [task.side for task in main_tasks(groups)] == ["video", "audio"]
    other = group_runs([record("avid", results={"mine@esc50": {"audio": {"map": 0.2, "loss": 3}}})])
    assert main_tasks(other) == [Task("mine@esc50", "audio", "map")]
    assert tasks(group_runs([record("avid", results={"knn": {"skipped": "no labels"}})])) == []
