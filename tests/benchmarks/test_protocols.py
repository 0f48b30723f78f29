"""The benchmark of protocols runs the command line; what it makes smaller stays a sound protocol, of another hash."""

from __future__ import annotations

import os
import runpy
from pathlib import Path
from typing import Any

import pytest

from ssl_av.data.datasets import create_dataset
from ssl_av.evaluation.protocols import load_protocol

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "protocols.py"

TRAINING = (
    "finetune",
    "brave-finetune-grid",
    "stica-finetune",
    "avid-finetune-ucf101-8",
    "avid-kinetics-blocks",
)
LARGE = ("crisscross-video", "stica-dcase")


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


def test_what_is_made_smaller_is_another_protocol(script: dict[str, Any], tmp_path: Path) -> None:
    small = set()
    for name in (*TRAINING, *LARGE, "avid-esc", "brave-audio", "linear-svm", "memory"):
        p = load_protocol(name)
        if change := script["smaller"](p, tmp_path):
            mine = load_protocol(tmp_path / f"{name}.yaml")
            assert (mine.name, mine.kind) == (f"{name}-small", p.kind)
            assert mine.hash != p.hash
            assert " → " in change
            small.add(name)
    assert small == {*TRAINING, *LARGE}


def test_a_part_of_grid_is_divided_as_the_whole(script: dict[str, Any], shared: Path, tmp_path: Path) -> None:
    whole = {row.path: row for row in create_dataset("grid", root=shared / "grid").rows()[0]}
    rows, _ = create_dataset("grid", root=script["some"](shared / "grid", tmp_path)).rows()
    assert len(rows) == 60
    assert all((tmp_path / row.path).is_file() and whole[row.path] == row for row in rows)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_cells_are_measured_and_kept(quick, tmp_path: Path) -> None:
    words = ("protocols.py", "--out", tmp_path, "--only", "knn,memory,avid-kinetics-blocks")
    first = quick(*words)
    assert "cma-synthav trained" in first
    assert [line.split()[1] for line in first.splitlines() if "@synthav" in line] == ["measured"] * 3
    rows = {
        name: line for line in first.splitlines() if (name := line.partition("` | ")[0]).startswith("| `")
    }
    assert ["*" in rows[f"| `{name}"] for name in ("knn", "memory", "avid-kinetics-blocks")] == [
        False,
        False,
        True,
    ]
    assert "- `avid-kinetics-blocks`: " in first
    again = quick(*words)
    assert "trained" not in again
    assert again.strip() == first[first.index("| protocol") :].strip()
