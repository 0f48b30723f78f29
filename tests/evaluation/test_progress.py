"""The progress of an evaluation: a bar in a terminal, one line a phase elsewhere."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from ssl_av.evaluation.progress import Evaluating


@pytest.mark.parametrize("terminal", [True, False])
def test_phases_are_said_once(terminal: bool) -> None:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=80)
    with Evaluating(console) as said:
        for done in (1, 2):
            said("features of test", done, 2, {})
        said("linear-svm", 0, 0, {})
    text = console.file.getvalue()  # type: ignore[attr-defined]
    if terminal:
        assert "linear-svm" in text
    else:
        assert text == "features of test …\nlinear-svm …\n"
