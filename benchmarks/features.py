"""Memory of measurements whose features are larger than what they may take of it.

    python benchmarks/features.py            # 0.8 GB in half precision, 1.6 GB in single; a minute or two
    python benchmarks/features.py --quick    # seconds; says only that it runs

Features of two folds lie on the disk in half precision, several clips a sample. Each way begins in a process of its
own, puts a fold together from both, and measures it. What is counted is the memory that belongs to the process alone
(RssAnon of Linux) beyond what it had before: pages of mapped files are the system's, which takes them back when it
needs them. "copied" does the same with arrays in memory.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ssl_av.evaluation import rows
from ssl_av.evaluation.features import Features
from ssl_av.evaluation.kinds import KINDS
from ssl_av.evaluation.protocols import load_protocol

CLASSES = 8
STICA = load_protocol("stica-esc")
PROTOCOLS = {
    "knn": load_protocol("knn"),
    "probe": replace(STICA, settings=replace(STICA.settings, epochs=2)),
}


def main() -> None:
    """Writes the features, measures each way, prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few MB, of which little may be in memory")
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--clips", type=int, default=10)
    parser.add_argument("--width", type=int, default=2048)
    args = parser.parse_args()
    n, clips, width = (600, 4, 256) if args.quick else (args.samples, args.clips, args.width)
    allowed = 2**18 if args.quick else rows.MEMORY
    fork = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory(prefix="ssl-av-features-", dir=".") as folder:
        write(Path(folder), n, clips, width)
        print(
            f"{2 * n * clips * width / 1e6:.0f} MB in half precision; {allowed / 1e6:.0f} MB an array may take"
        )
        print("protocol     way       MB of memory at most   seconds of the processor")
        for name in PROTOCOLS:
            for way, limit in (("ours", allowed), ("copied", 2**60)):
                process = fork.Process(target=measure, args=(name, way, limit, Path(folder)))
                process.start()
                process.join()
                if process.exitcode:
                    raise SystemExit(f"{name}: the process ended with {process.exitcode}")


def write(folder: Path, n: int, clips: int, width: int) -> None:
    """Two files, of half of the samples each."""
    draw = np.random.default_rng(0)
    for k in range(2):
        x = np.lib.format.open_memmap(folder / f"{k}.npy", "w+", np.float16, (n // 2, clips, width))
        for at in range(0, n // 2, 256):
            x[at : at + 256] = draw.standard_normal((len(x[at : at + 256]), clips, width), dtype=np.float32)
        x.flush()


def measure(name: str, way: str, allowed: int, folder: Path) -> None:
    """Prints one line."""
    torch.set_num_threads(1)
    rows.MEMORY, rows.PART = allowed, min(rows.PART, allowed)
    arrays = [np.load(folder / f"{k}.npy", mmap_mode="c") for k in range(2)]
    total = sum(map(len, arrays))
    order = np.arange(total).reshape(2, -1).T.ravel()  # a sample of the one, then one of the other
    label = np.arange(total) % CLASSES
    protocol = PROTOCOLS[name]
    peak = Peak()
    begin = time.process_time()
    with rows.scratch_in(folder):
        train, test = order[: total * 9 // 10], order[total * 9 // 10 :]
        splits = {
            split: Features(label[some], {"audio": rows.gathered(some, arrays)})
            for split, some in (("train", train), ("val_as_train", test[:0]), ("test", test))
        }
        found = KINDS[protocol.kind].measure(splits, protocol, CLASSES, 0).results["audio"]["top1"]
    spent = time.process_time() - begin
    print(f"{name:12} {way:8} {peak.stop() / 1e6:12.0f} {spent:26.1f}   top-1 {found:.3f}", flush=True)


class Peak:
    """Most memory of the process alone, from now on."""

    def __init__(self) -> None:
        self.before = self.most = anonymous()
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()

    def _watch(self) -> None:
        while not self.done.wait(0.02):
            self.most = max(self.most, anonymous())

    def stop(self) -> int:
        """Bytes."""
        self.done.set()
        self.thread.join()
        return self.most - self.before


def anonymous() -> int:
    """Bytes that belong to this process alone."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("RssAnon")).split()[1])


if __name__ == "__main__":
    main()
