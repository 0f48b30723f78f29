"""Figures: what is said in them, that any data can be drawn, and that they are PNG files."""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from ssl_av.config import Evaluation
from ssl_av.errors import UserError
from ssl_av.evaluation.figures import Tile, distributions, embedding_map, gallery, save


def texts(figure) -> list[str]:
    found = [t.get_text() for t in figure.findobj(lambda a: hasattr(a, "get_text"))]
    return [t for t in found if t]


def clusters(n: int = 60, classes: int = 3) -> tuple[dict[str, np.ndarray], np.ndarray]:
    rng = np.random.default_rng(0)
    label = np.arange(n) % classes
    return {m: 8 * np.eye(classes, 9)[label] + rng.normal(size=(n, 9)) for m in ("video", "audio")}, label


def test_map_keeps_classes_together():
    vectors, label = clusters()
    figure = embedding_map(vectors, label, ["run", "jump", "sing"])
    assert {"video", "audio", "run", "jump", "sing", "t-SNE of 60 samples"} <= set(texts(figure))
    assert len(figure.axes) == 2
    places = [c.get_offsets() for c in figure.axes[0].collections]
    assert [len(p) for p in places] == [20, 20, 20]
    within = np.mean([np.linalg.norm(p - p.mean(0), axis=1).mean() for p in places])
    between = np.linalg.norm(places[0].mean(0) - places[1].mean(0))
    assert between > 2 * within
    markers = [tuple(c.get_paths()[0].vertices.ravel()) for c in figure.axes[0].collections]
    assert len(set(markers)) == 3  # not by colour alone


def test_map_of_many_classes_and_of_none():
    vectors, _ = clusters()
    many = embedding_map(
        vectors, np.repeat(np.arange(20), 3), [f"c{k}" for k in range(20)], shown=5, limit=30
    )
    assert sum(t.startswith("c") for t in set(texts(many))) == 5
    assert "other or none" in texts(many)
    assert "t-SNE of 30 samples" in texts(many)
    assert "other or none" in texts(embedding_map(vectors, np.full(60, -1)))
    with pytest.raises(ValueError, match="at least 4"):
        embedding_map({"video": np.zeros((3, 2))}, np.zeros(3))


def test_map_by_another_way():
    vectors, label = clusters()
    with pytest.raises(UserError, match="did you mean tsne"):
        embedding_map(vectors, label, way="tnse")
    if importlib.util.find_spec("umap") is None:
        with pytest.raises(UserError, match="umap-learn"):
            embedding_map(vectors, label, way="umap")


def test_map_by_umap_where_it_is_asked_for_and_installed(monkeypatch: pytest.MonkeyPatch):
    class UMAP:
        def __init__(self, **kw: object) -> None:
            assert kw == {"n_neighbors": 15, "metric": "cosine", "random_state": 0}

        def fit_transform(self, x: np.ndarray) -> np.ndarray:
            return x[:, :2]

    vectors, label = clusters()
    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=UMAP, __spec__=ModuleSpec("umap", None)))
    assert f"UMAP of {len(label)} samples" in texts(embedding_map(vectors, label, way="umap"))
    with pytest.raises(UserError, match="did you mean umap"):
        Evaluation(map="umab")


def test_gallery_marks_right_and_wrong_in_words_too():
    image = np.zeros((8, 8, 3), np.uint8)
    rows = [[Tile(image, "run", "query"), Tile(image, "run", "right"), Tile(image, "cost $5 of $6", "wrong")]]
    figure = gallery(rows, [("query", 1), ("nearest", 2)], "Retrieval")
    assert {"query", "nearest", "run", "✓ run", r"✗ cost \$5 of \$6", "Retrieval"} <= set(texts(figure))
    figure.canvas.draw()
    assert len(figure.axes) == 3
    with pytest.raises(ValueError, match="up to 1 tiles"):
        gallery(rows, [("query", 1)])


def test_distributions_of_a_collapsed_and_a_spread_run():
    rng = np.random.default_rng(0)
    spread, narrow = rng.normal(size=(200, 16)), 5 + 0.1 * rng.normal(size=(200, 16))
    figure = distributions({"with": {"video": spread}, "without": {"video": narrow}})
    said = texts(figure)
    assert "with: mean -0.00" in said or "with: mean 0.00" in said
    assert "without: mean 1.00" in said
    assert any(t.startswith("with: std 0.9") or t.startswith("with: std 1.0") for t in said)
    assert "without: std 0.02" in said
    own = {"with": "#123456", "without": "#abcdef"}
    both = {"with": {"video": spread}, "without": {"video": narrow}}
    handles, labels = distributions(both, colours=own).axes[0].get_legend_handles_labels()
    drawn = {
        label.split(":")[0]: to_hex(patch.get_edgecolor())
        for label, patch in zip(labels, handles, strict=True)
    }
    assert drawn == own


def test_files_are_whole_and_repeatable(tmp_path: Path):
    vectors, label = clusters(12)
    first, second = (
        save(embedding_map(vectors, label, seed=1), tmp_path / "new" / f"{k}.png").read_bytes() for k in "ab"
    )
    assert first == second
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["a.png", "b.png"]
    with Image.open(tmp_path / "new" / "a.png") as picture:
        assert picture.width == 1600
        assert picture.convert("RGB").getpixel((2, 2)) == (255, 255, 255)
