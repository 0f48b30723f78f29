"""Batches through the DataLoader against reading processes that hand nothing over.

    python benchmarks/loading.py            # 20 files of 10 s, 400 clips, three rounds
    python benchmarks/loading.py --quick    # seconds; says only that it runs

A clip is view A (8 frames at 16 a second, 2 s of sound at 24 kHz) of a 340x256 file, H.264 + AAC. "raw" are processes
that each read their share through the data module's data set and forget it. "uint8" is the data module's DataLoader;
"float" the same with frames made float and normalised in the workers, four times as many bytes to hand over.

The three take turns, round by round. The ratio is that of the processor's time of all processes; that of the clock
means something on an idle machine only.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from clips import make_clips

from ssl_av.data.datamodule import AVDataModule, ClipDataset
from ssl_av.data.loading import Loading
from ssl_av.data.manifest import Manifest, Row, build_manifest
from ssl_av.data.media import create_reader
from ssl_av.data.views import AudioView, StartsWith, VideoView
from ssl_av.training.allocator import keep_freed_memory

VIEWS = {"video": VideoView(8, 16.0, 112), "audio": AudioView(2.0, 24_000, when=StartsWith("video"))}
TARGET = 0.95


class FloatClips(ClipDataset):
    """Normalises in the worker."""

    def __getitem__(self, key: tuple[int, int]) -> object:  # type: ignore[override]
        item = super().__getitem__(key)
        item["video"] = (item["video"].float() / 255 - 0.45) / 0.225
        return item


def main() -> None:
    """Makes the files, measures, prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two files of 3 s, a few clips")
    parser.add_argument("--files", type=int, default=20)
    parser.add_argument("--clips", type=int, default=400, help="in each round and way")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    args = parser.parse_args()
    files, clips, seconds, rounds = (
        (2, 16, 3.0, 1) if args.quick else (args.files, args.clips, 10.0, args.rounds)
    )
    torch.set_num_threads(1)
    # As `fit` does: else processes that forget each clip at once pay for new pages, and look slower than the loader.
    keep_freed_memory()
    with tempfile.TemporaryDirectory(prefix="ssl-av-loading-") as folder:
        paths = make_clips(Path(folder), files, seconds)
        rows = [Row(str(paths[i % files]), split="train") for i in range(clips)]
        # Of the training split, which is what the loader reads: of clips without a split some are kept for test.
        manifest = build_manifest(rows, (), Path(folder), create_reader()).split("train")
        measure(manifest, args.workers, rounds)


def measure(manifest: Manifest, workers: int, rounds: int) -> None:
    """The table: each way of batching against the raw processes."""
    loading = Loading(batch_size=min(32, len(manifest) // 2), num_workers=workers, decode_size=128)
    ways = {
        "raw": lambda: raw(manifest, loading),
        "uint8": lambda: batches(manifest, loading, ClipDataset),
        "float": lambda: batches(manifest, loading, FloatClips),
    }
    print(f"{len(manifest)} clips, {workers} processes, {rounds} rounds, {os.cpu_count()} cores, "
          f"load average {os.getloadavg()[0]:.2f}")  # fmt: skip
    spent = {name: np.zeros(2) for name in ways}
    for k in range(rounds):
        for name in list(ways)[:: 1 if k % 2 == 0 else -1]:
            spent[name] += timed(ways[name])
    print("way     ratio to raw (cpu)  ratio (clock)  target   clips/s (clock)")
    for name, time_spent in spent.items():
        cpu, clock = spent["raw"] / time_spent
        goal = f">= {TARGET}" if name == "uint8" else ""
        print(f"{name:6} {cpu:19.2f}  {clock:13.2f}  {goal:7} {rounds * len(manifest) / time_spent[1]:16.1f}")
    print(f"load average {os.getloadavg()[0]:.2f}")


def timed(way: Callable[[], None]) -> np.ndarray:
    """Seconds of the processor (this process and those that it started and that have ended) and of the clock."""
    begin = now()
    way()
    return now() - begin


def now() -> np.ndarray:
    """Processor's time of all processes, and the clock."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return np.array([sum(u.ru_utime + u.ru_stime for u in used), time.perf_counter()])


def raw(manifest: Manifest, loading: Loading) -> None:
    """Each process reads its share."""
    fork = multiprocessing.get_context("fork")
    count = (
        len(manifest) // loading.batch_size * loading.batch_size
    )  # the loader drops the last part of a batch

    def work(first: int) -> None:
        data = ClipDataset(manifest, VIEWS, loading)
        for index in range(first, count, loading.workers):
            data[0, index]

    processes = [fork.Process(target=work, args=(k,)) for k in range(loading.workers)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()


def batches(manifest: Manifest, loading: Loading, dataset: type[ClipDataset]) -> None:
    """The data module's loader over the same clips; its processes end with the round."""
    data = AVDataModule(manifest, loading)
    data.train_views = VIEWS
    loader = data.train_dataloader()
    loader.dataset.__class__ = dataset
    for batch in loader:
        assert len(batch["index"]) == loading.batch_size
    del loader._iterator, loader


if __name__ == "__main__":
    main()
