"""The pictures of runs in a report, and the diagnostics of its records."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ssl_av.bench.analysis.columns import diagnostics_table
from ssl_av.bench.analysis.groups import group_runs
from ssl_av.bench.merge import merge_suites, report
from ssl_av.bench.plots.style import colours
from ssl_av.bench.records import append_record
from ssl_av.bench.report import write_report
from ssl_av.evaluation.export import Embeddings, save_embeddings

Record = dict[str, Any]
DIAGNOSTICS = {
    "video": {"std": 0.91, "effective_rank": 12.3},
    "audio_to_video": {"alignment": 0.4},
    "memory_audio": {"mean_inner_product": 0.23},
}


@pytest.fixture(autouse=True)
def nothing_else_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other plots have tests of their own, and take seconds."""
    monkeypatch.setattr("ssl_av.bench.report.PLOTS", {})


def drawn(run: Record, folder: Path) -> Record:
    """The record of a run that drew a map and kept its vectors."""
    home = folder / f"{run['method']}-seed0" / "figures"
    home.mkdir(parents=True)
    Image.new("RGB", (40, 20), "red").save(home / "map.png")
    x = np.random.default_rng(0).normal(size=(30, 8)).astype(np.float16)
    save_embeddings(
        Embeddings([str(k) for k in range(30)], {"video": x}, np.zeros(30, int)), home / "features.npz"
    )
    return run | {"figures": ["map.png", "gone.png"], "diagnostics": DIAGNOSTICS}


def test_pictures_are_in_the_page_and_linked_in_the_text(
    record: Callable[..., Record], write, tmp_path: Path
):
    folder = write([drawn(record("avid"), tmp_path), record("brave")])
    page = write_report(folder).read_text(encoding="utf-8")
    assert 'id="features"' in page
    assert page.count("Map of the test split&#39;s features (t-SNE): AVID") == 1
    assert "How widely the features of each method are spread" in page
    with Image.open(folder / "plots" / "features.png") as picture:
        seen = np.asarray(picture.convert("RGB")).reshape(-1, 3).astype(int)
    orange = [int(colours(["avid"])["avid"][k : k + 2], 16) for k in (1, 3, 5)]
    assert (np.abs(seen - orange).max(axis=1) < 12).sum() > 50, "AVID's colour, as in every other figure"
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert "- AVID: [Map of the test split's features (t-SNE)](avid-seed0/figures/map.png)" in text
    assert "![How widely features are spread](plots/features.png)" in text
    assert 'id="diagnostics"' in page
    assert "memory of audio" in page


def test_runs_that_drew_nothing_have_no_section(record: Callable[..., Record], write, tmp_path: Path):
    # pictures of an earlier run, which the record does not name
    drawn(record("avid"), tmp_path)
    folder = write([record("avid")])
    page = write_report(folder).read_text(encoding="utf-8")
    assert 'id="features"' not in page
    assert 'id="diagnostics"' not in page
    assert not (folder / "plots" / "features.png").exists()


def test_a_row_for_each_of_what_was_diagnosed(record: Callable[..., Record]):
    table = diagnostics_table(group_runs([record("avid", diagnostics=DIAGNOSTICS)]))
    assert [[c.text for c in row.cells] for row in table.rows] == [
        ["video", "0.91", "12.3", "–", "–"],
        ["audio → video", "–", "–", "0.4", "–"],
        ["memory of audio", "–", "–", "–", "0.23"],
    ]
    assert not table.footnotes


def test_a_report_of_several_suites_shows_the_pictures_of_each(record: Callable[..., Record], tmp_path: Path):
    for suite, method in (("one", "avid"), ("two", "brave")):
        folder = tmp_path / suite
        append_record(folder, drawn(record(method), folder))
        (folder / "suite.json").write_text(json.dumps({"name": "tiny", "methods": [method]}))
    assert report([tmp_path / "one", tmp_path / "two"], tmp_path / "both") == 0
    page = (tmp_path / "both" / "report.html").read_text(encoding="utf-8")
    for label in ("AVID", "BraVe"):
        assert f"Map of the test split&#39;s features (t-SNE): {label}" in page
    text = (tmp_path / "both" / "report.md").read_text(encoding="utf-8")
    assert "(../two/brave-seed0/figures/map.png)" in text
    assert (tmp_path / "both" / "plots" / "features.png").is_file()
    merge_suites([tmp_path / "both", tmp_path / "one"], tmp_path / "all")  # a merge of a merge finds them too
    assert (
        str((tmp_path / "two").resolve())
        in json.loads((tmp_path / "all" / "suite.json").read_text())["merged"]
    )
