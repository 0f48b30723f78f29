"""Synthetic audio-visual events, eight classes, 4 s each; rendered on first use, nothing to download."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ssl_av.cache import cache_dir
from ssl_av.data.rows import Row
from ssl_av.data.splits import SPLITS
from ssl_av.errors import UserError

Job = tuple[str, int, str, int]
"""Path, seed, split, index: what `synthav.render_file` wants."""


@dataclass(frozen=True)
class SynthavDataset:
    """The embedded data set: events whose class shows only in how they move and how they sound.

    `rows` renders what is missing, in parallel and with a progress bar. Each file is written whole or not at
    all, so an interrupted rendering goes on where it stopped, and other sizes of the same seed share files.

    Attributes:
        root: where the folder ``v<version>-seed<seed>`` goes; the cache by default.
        seed: other seeds are other data sets.
        train: number of samples of the training split, classes in equal shares (as far as 8 divides it).
        val: the same of the validation split.
        test: the same of the test split.
        workers: processes that render; by default one for each core this process may use.
    """

    label_type: ClassVar[str] = "single"
    modalities: ClassVar[tuple[str, ...]] = ("video", "audio")
    folds: ClassVar[int] = 1
    needs: ClassVar[str] = "nothing: it is rendered"

    root: Path = None  # type: ignore[assignment]  # becomes a Path below
    seed: int = 0
    train: int = 480
    val: int = 80
    test: int = 160
    workers: int | None = None

    def __post_init__(self) -> None:
        root = cache_dir() / "synthav" if self.root is None else Path(self.root)
        object.__setattr__(self, "root", root)
        if self.seed < 0:
            raise UserError(f"synthav: seed is {self.seed}; it must not be negative")
        for split in SPLITS:
            if getattr(self, split) < 1:
                raise UserError(f"synthav: {split} is {getattr(self, split)}; every split needs a sample")
        if self.workers is not None and self.workers < 1:
            raise UserError(f"synthav: workers is {self.workers}; it must be 1 or more")

    def rows(self) -> tuple[list[Row], tuple[str, ...]]:
        """Every sample, rendered, and the names of the classes.

        Raises:
            UserError: if the folder cannot be written.
        """
        from ssl_av.data import synthav  # numpy and the encoder: listing the data sets needs neither

        folder = self.root / f"v{synthav.VERSION}-seed{self.seed}"
        rows: list[Row] = []
        missing: list[Job] = []
        for split in synthav.SPLITS:
            there = _make_folder(folder / split)
            for index in range(getattr(self, split)):
                label = index % len(synthav.EVENTS)
                path = folder / split / f"{index:05d}-{synthav.EVENTS[label]}.mp4"
                rows.append(Row(path=str(path), label=label, split=split))
                if path.name not in there:
                    missing.append((str(path), self.seed, split, index))
        if missing:
            try:
                _render(missing, self.workers or _cores())
            except BrokenProcessPool:
                raise UserError(
                    "synthav: a process that rendered it died (out of memory, or a script without "
                    "`if __name__ == '__main__':`); what is rendered stays: run the same again, or set workers to 1 "
                    "to render without further processes"
                ) from None
            except OSError as e:
                raise UserError(
                    f"synthav cannot be rendered into {folder}: {e}; choose another root"
                ) from None
        return rows, synthav.EVENTS


def _make_folder(folder: Path) -> set[str]:
    """Create the folder if need be; the names of the files in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return set(os.listdir(folder))
    except OSError as e:
        raise UserError(
            f"synthav cannot be rendered into {folder}: {e.strerror}; choose another root"
        ) from None


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _render(jobs: Sequence[Job], workers: int) -> None:
    """Render the jobs in processes of their own, with a progress bar."""
    from rich.progress import track

    from ssl_av.data import synthav

    title = f"rendering synthav ({len(jobs)} samples, once)"
    workers = min(workers, len(jobs))
    if workers == 1:
        for path, seed, split, index in track(jobs, title):
            synthav.render_file(Path(path), seed, split, index)
        return
    # Spawned, not forked: whoever calls may have threads.
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    try:
        pending = [
            pool.submit(synthav.render_file, Path(path), seed, split, index)
            for path, seed, split, index in jobs
        ]
        for done in track(as_completed(pending), title, total=len(jobs)):
            done.result()
    except BaseException:
        pool.shutdown(cancel_futures=True)  # what was rendered stays and is not rendered again
        raise
    pool.shutdown()
