"""Memory of a process that reads clip after clip.

    python benchmarks/memory.py                          # 5,000 clips with the default reader
    python benchmarks/memory.py --readers pyav,decord,torchcodec
    python benchmarks/memory.py --quick                  # seconds; says only that it runs

A clip is view A (8 frames at 16 a second scaled to 170x128, 2 s of sound at 24 kHz) from a random time of one of 20
files of 10 s, one of which has noise in its middle. Growth is counted from the 500th clip on: libraries and caches
have filled by then. "decord's sound" is what the readers avoid: decord's own AudioReader.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from clips import make_clips

from ssl_av.data.media import AudioRequest, MediaError, VideoRequest, create_reader
from ssl_av.training.allocator import keep_freed_memory

TARGET = 50.0
"""MB of growth."""

Read = Callable[[Path, float], None]


def main() -> None:
    """Makes the files, measures each reader in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two files of 3 s, a few clips")
    parser.add_argument("--files", type=int, default=20)
    parser.add_argument("--clips", type=int, default=5000)
    parser.add_argument("--readers", default="pyav", help="pyav, decord, torchcodec, decord's sound")
    args = parser.parse_args()
    files, clips, seconds = (2, 40, 3.0) if args.quick else (args.files, args.clips, 10.0)
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="ssl-av-memory-") as folder:
        paths = make_clips(Path(folder), files, seconds)
        damaged = paths[-1].with_name("damaged.mp4")
        damaged.write_bytes(spoil(paths[-1].read_bytes()))
        print("reader          clips   refused   MB at first   MB at last   growth   target")
        for name in args.readers.split(","):
            process = spawn.Process(target=measure, args=(name, [*paths[:-1], damaged], clips, seconds))
            process.start()
            process.join()
            if process.exitcode:
                raise SystemExit(f"{name}: the process ended with {process.exitcode}")


def spoil(data: bytes) -> bytes:
    """The file with noise in its middle."""
    noise = np.random.default_rng(0).integers(0, 256, len(data) // 3, dtype=np.uint8).tobytes()
    return data[: len(noise)] + noise + data[2 * len(noise) :]


def measure(name: str, paths: list[Path], clips: int, seconds: float) -> None:
    """Prints one line."""
    keep_freed_memory()  # as `fit` does
    read = sound_of_decord() if name == "decord's sound" else clip_of(name)
    rng = np.random.default_rng(0)
    me = psutil.Process()
    refused = 0
    sizes = []
    for k in range(clips):
        try:
            read(paths[k % len(paths)], rng.uniform(0, seconds - 2))
        except MediaError:
            refused += 1
        if k >= min(500, clips // 2):
            sizes.append(me.memory_info().rss / 1e6)
    growth = sizes[-1] - sizes[0]
    print(
        f"{name:14} {clips:6} {refused:9} {sizes[0]:13.0f} {sizes[-1]:12.0f} {growth:8.1f}   < {TARGET:.0f}",
        flush=True,
    )


def clip_of(name: str) -> Read:
    """Reads with a reader of ours."""
    reader = create_reader(name)

    def read(path: Path, start: float) -> None:
        video = [VideoRequest(start + np.arange(8) / 16, (128, 170))]
        reader.read(path, video, [AudioRequest(start, 2.0, 24_000)])

    return read


def sound_of_decord() -> Read:
    """Reads sound with decord's AudioReader."""
    import decord

    decord.logging.set_level(decord.logging.QUIET)

    def read(path: Path, start: float) -> None:
        try:
            sound: Any = decord.AudioReader(str(path), sample_rate=24_000, mono=True)
            sound[: 2 * 24_000].asnumpy()
        except decord.DECORDError as e:
            raise MediaError(str(e)) from e

    return read


if __name__ == "__main__":
    main()
