from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from ssl_av.bench.analysis.groups import Group, group_runs
from ssl_av.bench.plots import PLOTS
from ssl_av.bench.plots.bars import accuracy_plot, cost_plot
from ssl_av.bench.plots.curves import loss_plot, probe_plot
from ssl_av.bench.plots.style import colours, png
from ssl_av.style import OKABE_ITO, Style

Make = Callable[..., dict[str, Any]]


@pytest.fixture
def groups(suite_records: list[dict[str, Any]]) -> list[Group]:
    return group_runs(suite_records)


def test_accuracy_shows_every_number_and_the_reference_lines(groups: list[Group]) -> None:
    figure = accuracy_plot(groups)
    assert figure is not None
    video, audio = figure.axes
    assert "Video" in video.get_title(loc="left")
    widths = [bar.get_width() for bar in audio.patches]
    assert widths == pytest.approx([0.544, 0.575, 0.519, 0.612, 0.606, 0.294, 0.556])
    texts = [text.get_text() for text in audio.texts]
    assert texts == ["54.4", "57.5", "51.9", "61.2", "60.6", "29.4", "55.6"]
    lines = {line.get_label(): line.get_xdata()[0] for line in audio.lines}
    assert lines == {"chance 12.5": 0.125, "untrained 29.4": pytest.approx(0.294)}
    labels = [label.get_text() for label in video.get_yticklabels()]
    assert labels[-2:] == ["Untrained", "Supervised"]


def test_error_bars_only_with_several_seeds(record: Make, groups: list[Group]) -> None:
    several = group_runs([record(m, s) for m in ("avid", "random") for s in (0, 1, 2)])
    one, many = accuracy_plot(groups), accuracy_plot(several)
    assert one is not None
    assert many is not None
    assert not one.axes[0].collections
    assert many.axes[0].collections


def test_a_missing_modality_has_no_panel_and_nan_no_bar(record: Make) -> None:
    silent = record("brave", results={"linear-svm": {"video": {"top1": 0.4}}})
    broken = record("avid", results={"linear-svm": {"video": {"top1": float("nan")}}})
    figure = accuracy_plot(group_runs([silent, broken]))
    assert figure is not None
    (only,) = figure.axes
    assert len(only.patches) == 1
    assert [text.get_text() for text in only.texts] == ["40.0", "–"]


def test_loss_has_one_panel_a_method_with_its_own_scale(groups: list[Group]) -> None:
    figure = loss_plot(groups)
    assert figure is not None
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.get_visible()]
    assert titles == ["BraVe", "STiCA", "CrissCross", "AVID", "CMA", "Supervised"]
    first, second, *_ = figure.axes
    assert not first.get_shared_y_axes().joined(first, second)


def test_loss_leaves_out_what_is_not_finite(record: Make) -> None:
    curves = {"loss": [[1, 2.0], [2, None], [3, float("nan")], [4, 1.0]]}
    figure = loss_plot(group_runs([record("brave", curves=curves)]))
    assert figure is not None
    assert list(figure.axes[0].lines[0].get_xdata()) == [1, 4]


def test_curves_of_a_mangled_record_are_left_out(record: Make) -> None:
    for junk in ([1, 2], "x", {"a": 1}, [[1], [2, "x"], None]):
        assert group_runs([record("avid", curves={"loss": junk})])[0].curve("loss") == []


def test_probe_is_the_mean_over_seeds(record: Make) -> None:
    runs = [
        record("avid", s, curves={"probe_audio": [[0, 0.1 + s / 10], [100, 0.5 + s / 10]]}) for s in (0, 1)
    ]
    figure = probe_plot(group_runs(runs))
    assert figure is not None
    (axes,) = figure.axes
    line = next(line for line in axes.lines if line.get_label() == "AVID")
    np.testing.assert_allclose(line.get_ydata(), [0.15, 0.55])


def test_cost_does_not_draw_training_of_the_untrained_network(groups: list[Group]) -> None:
    figure = cost_plot(groups)
    assert figure is not None
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [
        "Seconds: train + evaluate",
        "Clips a second",
        "Waiting for data (%)",
        "Peak memory (MB)",
    ]
    assert len(figure.axes[1].patches) == len(groups) - 1


@pytest.mark.parametrize("name", PLOTS)
def test_nothing_recorded_is_no_figure(name: str) -> None:
    empty = {"method": "brave", "seed": 0, "status": "completed"}
    assert PLOTS[name](group_runs([empty]), Style()) is None


def test_colours_are_one_a_method_and_the_same_in_every_report() -> None:
    known = ["brave", "stica", "crisscross", "avid", "cma"]
    whole = colours([*known, "random", "supervised", "mine"])
    assert len(set(whole.values())) == len(whole)
    assert colours(["cma", "mine"])["cma"] == whole["cma"]
    assert {whole[name] for name in (*known, "mine")} <= set(OKABE_ITO.values())


def test_bars_have_the_colour_of_their_method(groups: list[Group]) -> None:
    figure = accuracy_plot(groups)
    assert figure is not None
    found = [to_hex(bar.get_facecolor()) for bar in figure.axes[0].patches]
    assert found == [colour.lower() for colour in colours(group.method for group in groups).values()]


def test_png_of_both_papers_and_no_global_state(groups: list[Group]) -> None:
    before = dict(mpl.rcParams)
    pictures = []
    for style in (Style(), Style(dark=True, narrow=True)):
        figure = accuracy_plot(groups, style)
        assert figure is not None
        pictures.append(Image.open(io.BytesIO(png(figure))).convert("RGB"))
    assert pictures[0].getpixel((0, 0)) == (255, 255, 255)
    assert sum(pictures[1].getpixel((0, 0))) < 150
    assert pictures[1].width < pictures[0].width / 2
    assert dict(mpl.rcParams) == before
