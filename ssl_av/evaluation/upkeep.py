"""What features lie on the disk, which of them can still be of use, and how the others go."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ssl_av.errors import UserError
from ssl_av.evaluation.store import ABOUT, ASKED, read_about
from ssl_av.lock import NAMES, is_held, locked

FOLDER = "features"
"""Where a run has them."""
KEY = re.compile(r"[0-9a-f]{16}")
PASS = re.compile(r"[0-9a-f]{16}|\.[0-9a-f]{16}\.part")

USABLE, IN_USE = "usable", "in use"


@dataclass(frozen=True)
class Kept:
    """Features of one cut of some samples by one network.

    Attributes:
        folder: where they lie.
        bytes: on the disk.
        state: ``usable``, ``in use``, or why nothing will take them again.
        about: what made them; empty where no pass was finished.
        samples: that are in them.
    """

    folder: Path
    bytes: int
    state: str
    about: dict[str, Any]
    samples: int


def kept_below(folder: Path) -> list[Kept]:
    """All features below a folder, e.g. of the runs of a suite.

    Nothing will take them again if other code made them, if the files that they are of have gone, if no checkpoint of
    the run that they lie in has their weights, or if nothing of them was finished (the same command goes on there).
    """
    return [_kept(found) for found in sorted(_folders(folder))]


def discard(folder: Path) -> bool:
    """Removes the features of one cut, unless a process makes them; arrays that one has opened stay readable."""
    if is_held(folder):
        return False
    with locked(folder):
        shutil.rmtree(folder)
    if folder.parent.name == FOLDER and not any(folder.parent.iterdir()):
        folder.parent.rmdir()
    return True


def _folders(top: Path) -> Iterator[Path]:
    """Folders that are named and filled as `ssl_av.evaluation.store.Store` does it, and hold nothing else."""
    for here, below, files in os.walk(top):
        folder = Path(here)
        passes = [name for name in below if PASS.fullmatch(name)]
        mine = KEY.fullmatch(folder.name) and len(passes) == len(below) and set(files) <= NAMES
        if mine and (passes or NAMES & set(files)):
            below.clear()
            if all(_is_pass(folder / name) for name in passes):
                yield folder


def _is_pass(folder: Path) -> bool:
    return (folder / ABOUT).is_file() or folder.name.endswith(".part")


def _kept(folder: Path) -> Kept:
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    about: dict[str, Any] = {}
    names = []
    for meta in sorted(folder.glob(f"[0-9a-f]*/{ABOUT}")):
        try:
            about = read_about(meta)
            names.append(np.load(meta.with_name(ASKED)))
        except (OSError, ValueError, EOFError, UserError):
            return Kept(folder, size, "damaged", {}, 0)
    state = IN_USE if is_held(folder) else _state(folder, about)
    return Kept(folder, size, state, about, len(np.unique(np.concatenate(names))) if names else 0)


def _state(folder: Path, about: dict[str, Any]) -> str:
    from ssl_av.evaluation.code import code_version

    if not about:
        return "unfinished"
    if about["code"] != code_version():
        return "made by other code"
    if "root" in about and not Path(about["root"]).exists():
        return "their files have gone"
    weights = _weights(folder.parent.parent) if folder.parent.name == FOLDER else frozenset()
    if weights and about["weights"] not in weights:
        return "of other weights"
    return USABLE


@cache
def _weights(run: Path) -> frozenset[str]:
    """What the weights of a run's checkpoints are called; nothing where that cannot be told."""
    from ssl_av.checkpoint import load_method
    from ssl_av.evaluation.towers import Towers
    from ssl_av.training.resume import checkpoints

    try:
        return frozenset(Towers(load_method(file)).digest() for file in checkpoints(run))
    except UserError:
        return frozenset()
