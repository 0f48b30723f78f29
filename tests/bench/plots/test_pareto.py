"""Accuracy against cost, and values where a reader points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssl_av.bench.analysis.groups import group_runs
from ssl_av.bench.plots.bars import accuracy_plot
from ssl_av.bench.plots.hover import spots
from ssl_av.bench.plots.pareto import front, pareto_plot
from ssl_av.bench.plots.style import png
from ssl_av.style import Style

Make = Callable[..., dict[str, Any]]

POINTS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12)


@given(POINTS)
def test_the_front_is_what_no_other_point_beats(points: list[tuple[float, float]]) -> None:
    kept = front(points)
    for index, (cost, top) in enumerate(points):
        beaten = any(
            (c <= cost and t >= top) and ((c, t) != (cost, top) or other < index)
            for other, (c, t) in enumerate(points)
            if other != index
        )
        assert (index in kept) != beaten
    assert [points[i][0] for i in kept] == sorted({points[i][0] for i in kept})


def test_points_front_and_untrained(suite_records: list[dict[str, Any]]) -> None:
    figure = pareto_plot(group_runs(suite_records))
    assert figure is not None
    video, audio = figure.axes
    assert video.get_xlabel() == "training seconds"
    lines = {line.get_label(): line for line in audio.lines}
    # By rising cost: cma (82.2 s, 60.6 %), avid (89.2 s, 61.2 %); all others cost more for less.
    assert [list(a) for a in lines["Pareto front"].get_data()] == [
        pytest.approx([82.2, 89.2, 131.2]), pytest.approx([0.606, 0.612, 0.612]),
    ]  # fmt: skip
    assert list(lines["Untrained"].get_ydata()) == [pytest.approx(0.294)] * 2
    assert [c.get_label() for c in audio.containers] == [
        "BraVe",
        "STiCA",
        "CrissCross",
        "AVID",
        "CMA",
        "Supervised",
    ]


def test_flops_are_the_cost_where_every_run_has_them(suite_records: list[dict[str, Any]]) -> None:
    for number, one in enumerate(suite_records):
        one["budget"]["spent"]["flops"] = 10.0 ** (12 + number)
    figure = pareto_plot(group_runs(suite_records))
    assert figure is not None
    assert figure.axes[0].get_xlabel() == "training FLOPs"
    assert figure.axes[0].get_xscale() == "log"
    del suite_records[0]["budget"]["spent"]["flops"]
    figure = pareto_plot(group_runs(suite_records))
    assert figure is not None
    assert figure.axes[0].get_xlabel() == "training seconds"


def test_one_method_has_no_front(record: Make) -> None:
    assert pareto_plot(group_runs([record("avid"), record("random"), record("supervised")])) is None
    assert pareto_plot(group_runs([{"method": "avid", "seed": 0, "status": "completed"}])) is None


@pytest.mark.parametrize("narrow", [False, True])
def test_spots_lie_on_their_bars_and_on_the_picture(
    suite_records: list[dict[str, Any]], narrow: bool
) -> None:
    style = Style(narrow=narrow)
    figure = accuracy_plot(group_runs(suite_records), style)
    assert figure is not None
    png(figure)
    found = spots(figure)
    texts = [spot.text for spot in found]
    assert len(texts) == 14
    assert "AVID: 61.2" in texts
    for spot in found:
        assert 0 < spot.left < 100
        assert 0 < spot.top < spot.top + spot.height < 100
        assert 0 < spot.width < 100 - spot.left + 1
    audio = {spot.text.split(":")[0]: spot for spot in found[7:]}
    assert audio["AVID"].width / audio["Untrained"].width == pytest.approx(0.612 / 0.294, rel=0.01)
    assert audio["BraVe"].top < audio["AVID"].top < audio["Supervised"].top


def test_several_seeds_are_named_with_their_spread(record: Make) -> None:
    figure = accuracy_plot(group_runs([record("avid", s) for s in range(3)]))
    assert figure is not None
    png(figure)
    assert all(" ± " in spot.text for spot in spots(figure))
