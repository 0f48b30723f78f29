"""The notebooks run from their first cell to their last, and are kept without their outputs."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SAID = {
    "evaluate_any_network": ("%", "hash"),
    "tour": ("BraVe", "shuffled", "'steps': 30", "conv5x", "top1"),
}
"""What a notebook prints: every output holds one of these."""
PICTURES = {"evaluate_any_network": 0, "tour": 2}


@pytest.mark.slow
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_it_runs(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient")
    monkeypatch.setenv("SSL_AV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FOLDER.parent), os.environ.get("PYTHONPATH", "")]))
    book = nbformat.read(file, as_version=4)
    nbclient.NotebookClient(
        book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    said = [
        output["text"]
        for cell in book.cells
        for output in cell.get("outputs", ())
        if output.get("name") == "stdout"
    ]
    assert all(any(word in text for word in SAID[file.stem]) for text in said)
    assert all(any(word in text for text in said) for word in SAID[file.stem])
    shown = [o for cell in book.cells for o in cell.get("outputs", ()) if "image/png" in o.get("data", ())]
    assert len(shown) == PICTURES[file.stem]


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_its_outputs_are_not_kept(file: Path) -> None:
    for cell in nbformat.read(file, as_version=4).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
