"""A manifest of millions of rows: how long it takes to open, and what it costs the workers.

    python benchmarks/manifest.py                     # 2,000,000 rows, 8 workers
    python benchmarks/manifest.py --rows 20000        # a quick look

Each worker is forked, as a DataLoader's are, and reads random rows. Beside it, the same with a list of Python objects:
reading an object changes its reference count, so that the pages that were shared are copied for each worker.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ssl_av.data.manifest import SCHEMA, Manifest
from ssl_av.data.rows import Sample, Skip


def private_megabytes() -> float:
    """Memory that this process alone has written (Linux): pages of a file that it maps are the system's to drop."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty")) / 1024


def visit(data: Sequence[Any], reads: int, seed: int, answers: Any) -> None:
    """What a worker does; answers with the memory that it has come to own."""
    gc.disable()
    before = private_megabytes()
    rng = np.random.default_rng(seed)
    for i in rng.integers(0, len(data), reads).tolist():
        assert data[i].duration > 0
    answers.put(private_megabytes() - before)


def cost(data: Sequence[Any], workers: int, reads: int) -> float:
    """Megabytes that all workers together come to own."""
    fork = multiprocessing.get_context("fork")
    answers = fork.Queue()
    processes = [fork.Process(target=visit, args=(data, reads, w, answers)) for w in range(workers)]
    for process in processes:
        process.start()
    total = sum(answers.get() for _ in processes)
    for process in processes:
        process.join()
    return float(total)


def make(file: Path, n: int) -> None:
    """A manifest of ``n`` rows, for half as many more of which the file is gone."""
    columns = {
        "path": [f"class_{i % 400:03d}/video_{i:08d}_000010_000020.mp4" for i in range(n)],
        "label": np.arange(n) % 400, "split": ["test" if i % 20 == 0 else "train" for i in range(n)],
        "start": np.zeros(n), "duration": np.full(n, 10.0), "has_video": np.ones(n, bool),
        "has_audio": np.ones(n, bool), "aspect": np.full(n, 4 / 3), "labels": [[]] * n, "fps": np.full(n, 25.0),
        "audio_duration": np.full(n, 10.0), "width": np.full(n, 340), "height": np.full(n, 256),
        "codec": ["h264"] * n, "audio_codec": ["aac"] * n, "audio_rate": np.full(n, 44_100),
        "silent": np.zeros(n, bool),
    }  # fmt: skip
    gone = [Skip(f"class_000/gone_{i:08d}_000010_000020.mp4", "no such file") for i in range(n // 2)]
    Manifest(pa.table(columns, schema=SCHEMA), file.parent, (), gone).save(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--reads", type=int, default=20_000)
    args = parser.parse_args()
    n = args.rows
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "m.arrow"
        # In another process: memory that this one frees would count for the workers that are forked from it.
        making = multiprocessing.get_context("fork").Process(target=make, args=(file, n))
        making.start()
        making.join()
        begin = time.perf_counter()
        manifest = Manifest.load(file)
        opened = time.perf_counter()
        train = manifest.split("train")
        assert len(manifest.skipped) == n // 2
        what, split = f"{n:,} rows and {n // 2:,} missing files", time.perf_counter() - opened
        print(f"{what}: opened in {opened - begin:.3f} s, split in {split:.3f} s")
        ours = cost(train, args.workers, args.reads)  # type: ignore[arg-type]
        objects = [Sample(f"video_{i:08d}.mp4", i % 400, 0.0, 10.0, True, True, 1.0) for i in range(n)]
        theirs = cost(objects, args.workers, args.reads)
        print(f"{args.workers} workers together: manifest {ours:.0f} MB, list of objects {theirs:.0f} MB")


if __name__ == "__main__":
    main()
