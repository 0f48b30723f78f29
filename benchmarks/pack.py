"""Reading from packs against reading from files: speed and disk space.

    python benchmarks/pack.py            # 8 files of 10 s, 200 clips of each way
    python benchmarks/pack.py --quick    # seconds; says only that it runs

A clip is view A: 8 frames at 16 a second and 2 s of sound at 24 kHz, from a random time of a random file (340x256,
H.264 with a keyframe every 12 frames, AAC), one process, nothing kept from one clip to the next; the files are in the
system's cache. The ways take turns clip by clip, each asked for the same, so that what else runs on the machine slows
them alike; the ratio is that of the processor's time, with the clock's beside it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from clips import make_clips

from ssl_av.data.loading import Loading
from ssl_av.data.manifest import Row, build_manifest
from ssl_av.data.media import AudioRequest, Frames, VideoRequest, create_reader
from ssl_av.data.pack import Pack
from ssl_av.data.pack.build import build_pack
from ssl_av.data.prepare import prepare_manifest

SIZES = {"aspect": (128, 170), "square": (128, 128)}
TARGETS = {"video": 3.8, "frames": 30.0}


def main() -> None:
    """Makes the files and the packs, measures, prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two files of 3 s, a few clips")
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--gop", type=int, default=12, help="frames from one keyframe of a file to the next")
    parser.add_argument("--clips", type=int, default=200, help="of each way")
    args = parser.parse_args()
    files, clips, seconds = (2, 6, 3.0) if args.quick else (args.files, args.clips, 10.0)
    with tempfile.TemporaryDirectory(prefix="ssl-av-pack-") as folder:
        measure(Path(folder), files, clips, seconds, args.gop)


def measure(folder: Path, files: int, clips: int, seconds: float, gop: int) -> None:
    """One table: each form and shape against the files."""
    reader = create_reader()
    paths = make_clips(folder / "files", files, seconds, gop)
    manifest = build_manifest([Row(str(p), split="train") for p in paths], (), folder / "files", reader)
    print(f"{files} files of {seconds:g} s, a keyframe every {gop} frames, {clips} clips of each way")
    print(
        "form    frames   ms a clip: files  pack   ratio (cpu)  ratio (clock)   PSNR dB   pack / files on disk"
    )
    for shape, size in SIZES.items():
        for form, target in TARGETS.items():
            pack = Pack("files", manifest.hash, len(manifest), form=form, shape=shape)
            out = folder / f"{form}-{shape}"
            built = build_pack(manifest, pack, out)
            packed = prepare_manifest("pack", {"root": out}, Loading())

            def read(paths: list[str], file: int, start: float, size: tuple[int, int] = size) -> Frames:
                video = VideoRequest(start + np.arange(8) / 16, size)
                frames, waves = reader.read(paths[file], [video], [AudioRequest(start, 2.0, 24_000)])
                assert frames[0].shape == (8, *size, 3)
                assert waves[0].shape == (48_000,)
                return frames[0]

            ways = [[m[i].path for i in range(files)] for m in (manifest, packed)]
            (cpu, clock), (cpu_pack, clock_pack) = take_turns(ways, read, clips, files, seconds)
            ratios = f"{cpu / cpu_pack:6.1f} (≥ {target:<3g})  {clock / clock_pack:8.1f}"
            times = f"{1e3 * cpu / clips:15.2f}  {1e3 * cpu_pack / clips:5.2f}"
            likeness = psnr(*(read(paths, 0, 0.5) for paths in ways))
            space = built.bytes / built.original
            print(
                f"{form:7} {size[1]}x{size[0]}  {times}  {ratios}  {likeness:8.1f}  {space:20.2f}", flush=True
            )


def psnr(a: Frames, b: Frames) -> float:
    """How alike frames are, in dB; infinite if they are the same."""
    error = np.square(a.astype(np.float64) - b).mean()
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def take_turns(
    ways: list[list[str]],
    read: Callable[[list[str], int, float], Frames],
    clips: int,
    files: int,
    seconds: float,
) -> list[tuple[float, float]]:
    """Seconds of the processor and of the clock that each way took for the same clips, turn by turn."""
    rng = np.random.default_rng(0)
    spent = np.zeros((len(ways), 2))
    for k in range(-2 * files, clips):  # the first ones warm up
        file, start = k % files, rng.uniform(0, seconds - 2)
        for i, paths in enumerate(ways):
            begin = np.array([time.process_time(), time.perf_counter()])
            read(paths, file, start)
            if k >= 0:
                spent[i] += np.array([time.process_time(), time.perf_counter()]) - begin
    return [(float(cpu), float(clock)) for cpu, clock in spent]


if __name__ == "__main__":
    main()
