"""What the features of each method look like: the pictures that its run drew, and all of them side by side."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ssl_av.bench.analysis.groups import Group, seed
from ssl_av.bench.plots.style import colours
from ssl_av.bench.writing.by_class import run_folder
from ssl_av.bench.writing.markdown import escaped
from ssl_av.bench.writing.pictures import embedded, palette
from ssl_av.evaluation.export import load_embeddings
from ssl_av.evaluation.figures import distributions, save
from ssl_av.evaluation.glance import DPI, VECTORS
from ssl_av.text import file_name

TITLES = {
    "views": "What the method sees: its views as read, and as the networks get them",
    "map": "Map of the test split's features (t-SNE)",
    "retrieval-video": "Nearest neighbours by the picture",
    "retrieval-audio": "Nearest neighbours by the sound",
    "saliency": "Where the picture's network looks (Grad-CAM)",
    "agreement": "What the memory relates, and what it rejects by its sound",
}
DISTRIBUTIONS = "features"
"""Name in plots/ of the figure of all methods together."""


@dataclass(frozen=True)
class Picture:
    """One picture of a run."""

    title: str
    data: Markup
    file: str


@dataclass(frozen=True)
class Looks:
    """What a method's features look like, of its first seed."""

    label: str
    method: str
    seed: int
    pictures: tuple[Picture, ...]


def looks(groups: Sequence[Group], folder: Path, homes: Sequence[Path] = ()) -> tuple[Looks, ...]:
    """The pictures that the methods' runs drew (``evaluation.figures``).

    Args:
        groups: the methods.
        folder: of the report.
        homes: the folders that hold the runs; without any, ``folder``.
    """
    found = []
    for group in groups:
        for run in group.runs[:1]:
            names = [name for name in run.get("figures") or () if name.endswith(".png")]
            found_at = (_kept(homes or [folder], run, file_name(name)) for name in names)
            files = [file for file in found_at if file is not None]
            pictures = tuple(
                Picture(
                    TITLES.get(f.stem, f.stem),
                    embedded(palette(f.read_bytes())),
                    Path(os.path.relpath(f, folder)).as_posix(),
                )
                for f in files
            )
            if pictures:
                found.append(Looks(group.label, group.method, seed(run), pictures))
    return tuple(found)


def side_by_side(groups: Sequence[Group], folder: Path, homes: Sequence[Path] = ()) -> Markup:
    """How widely the features of all methods are spread (CrissCross figure 1), also in plots/; "" without vectors."""
    target = folder / "plots" / f"{DISTRIBUTIONS}.png"
    target.unlink(missing_ok=True)  # no figure of an earlier report may stay
    vectors = {}
    for group in groups:
        for run in group.runs[:1]:
            file = _kept(homes or [folder], run, VECTORS) if run.get("figures") else None
            if file is not None:
                vectors[group.label] = load_embeddings(file).vectors
    if not vectors:
        return Markup("")
    own = colours(group.method for group in groups)
    figure = distributions(vectors, colours={group.label: own[group.method] for group in groups})
    save(figure, target, DPI)
    return embedded(palette(target.read_bytes()))


def _kept(homes: Sequence[Path], run: Mapping[str, Any], name: str) -> Path | None:
    """A file of a run's figures, in the first of the folders that has it."""
    files = (run_folder(home, run) / "figures" / name for home in homes)
    return next((file for file in files if file.is_file()), None)


def markdown(found: Sequence[Looks], together: bool) -> list[str]:
    """The pictures as links."""
    blocks = [f"![How widely features are spread](plots/{DISTRIBUTIONS}.png)"] if together else []
    lines = [
        f"- {escaped(one.label)}: " + ", ".join(f"[{p.title}]({p.file})" for p in one.pictures)
        for one in found
    ]
    blocks += ["\n".join(lines)] if lines else []
    return ["## Features", *blocks] if blocks else []
