"""The confusion matrix's picture shows the numbers it is given."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from ssl_av.bench.plots.confusion import BARS, confusion_plot
from ssl_av.bench.plots.style import png
from ssl_av.errors import UserError
from ssl_av.style import Style


@pytest.mark.parametrize("style", [Style(), Style(dark=True), Style(narrow=True)])
def test_shares_and_accuracies_are_those_of_the_counts(style: Style):
    counts = np.array([[8, 2, 0], [0, 0, 0], [5, 0, 15]])
    figure = confusion_plot(counts, ["dog", "silent", "sea"], style)
    matrix, bars = figure.axes[:2]
    assert {t.get_text() for t in matrix.texts} == {"80", "20", "25", "75"}
    np.testing.assert_allclose(
        matrix.images[0].get_array() ** 2, [[0.8, 0.2, 0], [0, 0, 0], [0.25, 0, 0.75]], atol=1e-9
    )
    assert [t.get_text() for t in bars.get_yticklabels()] == [
        "sea",
        "dog",
    ]  # worst first, no bar without samples
    assert [patch.get_width() for patch in bars.patches] == pytest.approx([0.75, 0.8])
    assert [t.get_text() for t in bars.texts] == ["75   15/20", "80   8/10"]
    with Image.open(io.BytesIO(png(figure))) as picture:
        assert picture.width > 500


def test_many_classes_show_the_worst_and_the_best():
    counts = np.diag(np.arange(1, 102)) + np.roll(np.diag(np.full(101, 10)), 1, axis=1)
    figure = confusion_plot(counts, [f"class {k}" for k in range(101)])
    labels = [t.get_text() for t in figure.axes[1].get_yticklabels()]
    assert len(labels) == BARS
    assert (labels[0], labels[-1]) == ("class 0", "class 100")
    assert "worst" in figure.axes[1].get_title(loc="left")


def test_names_and_counts_must_fit():
    with pytest.raises(UserError, match=r"\[2, 2\] counts for 3"):
        confusion_plot(np.eye(2), ["a", "b", "c"])


def test_seeds_on_the_same_samples_do_not_narrow_the_whiskers():
    one = np.array([[6, 4], [2, 8]])
    drawn = [confusion_plot(counts, ["a", "b"], runs=runs) for counts, runs in ((one, 1), (3 * one, 3))]
    first, second = ([list(line.get_xdata()) for line in figure.axes[1].lines] for figure in drawn)
    assert first == second


def test_a_class_s_name_is_no_formula():
    figure = confusion_plot(np.eye(2, dtype=int), [r"$\no$", "a"])
    assert len(png(figure)) > 1000  # a formula that there is not would end the drawing
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [r"\$\no\$", "a"]
