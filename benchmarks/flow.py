"""Optical flow: what it costs to make, what its grey levels lose, and reading it against decoding the picture.

    python benchmarks/flow.py DIR      # a folder of videos; a few of them are used

Time is that of the processor (one thread), so that other work on the machine does not count; reading and decoding take
turns.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from ssl_av.data.flow import UNIT, FlowStore, decode, encode, flow_path, read_views
from ssl_av.data.flow_tvl1 import FlowSettings, make_flow, tvl1
from ssl_av.data.manifest import Row, build_manifest
from ssl_av.data.media import VideoRequest, create_reader


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=9, help="videos to measure motion on (default: 9)")
    parser.add_argument("--rounds", type=int, default=15, help="readings of each kind (default: 15)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    reader = create_reader()
    found = sorted(p for p in args.folder.rglob("*") if p.suffix in (".avi", ".mp4", ".mkv", ".webm"))
    if not found:
        sys.exit(f"no videos in {args.folder}")
    chosen = [
        found[i] for i in np.linspace(0, len(found) - 1, min(args.files, len(found))).round().astype(int)
    ]
    rows = [Row(str(path), 0, "train") for path in chosen]
    manifest = build_manifest(rows, ("a",), args.folder, reader).require(video=True)

    fields, spent = [], 0.0
    for sample in (manifest[i] for i in range(len(manifest))):
        period = 1 / reader.probe(sample.path).fps
        size = (128, round(128 * sample.aspect)) if sample.aspect > 1 else (round(128 / sample.aspect), 128)
        times = np.linspace(0, max(sample.duration - 3 * period, 0), 8)
        requests = [VideoRequest(times, size), VideoRequest(times + period, size)]
        (first, second), _ = reader.read(sample.path, requests)
        for a, b in zip(first, second, strict=True):
            begin = time.thread_time()
            fields.append(tvl1(a, b) * np.float32(UNIT / period))
            spent += time.thread_time() - begin
    print(f"TV-L1 at short side 128: {1000 * spent / len(fields):.0f} ms a field ({len(fields)} fields)")
    motion = np.concatenate([np.abs(f).ravel() for f in fields])
    print(f"motion in pixels in 1/25 s: rms {np.sqrt(np.mean(motion**2)):.2f}, largest {motion.max():.1f}")
    for clip in (5.0, 10.0, 20.0):
        error = np.concatenate(
            [(decode(encode(f, clip), clip) - f)[np.abs(f) <= clip].ravel() for f in fields]
        )
        share, rms = np.mean(motion > clip), np.sqrt(np.mean(error**2))
        print(f"  clip {clip:>4g}: {share:.3%} clipped, error of the rest {rms:.3f} rms")

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sample = max((manifest[i] for i in range(len(manifest))), key=lambda s: s.duration)
        make_flow(build_manifest([Row(sample.path)], (), args.folder, reader), folder, FlowSettings())
        store = FlowStore(folder, args.folder)
        stored = flow_path(folder, args.folder, sample.path).stat().st_size
        request = VideoRequest(np.mod(1.0 + np.arange(64) / 6.25, sample.duration), (128, 128))
        taken: dict[str, list[float]] = {"flow": [], "picture": []}
        for _ in range(args.rounds):
            begin = time.thread_time()
            read_views(store, sample.path, {"flow": request}, sample.aspect)
            middle = time.thread_time()
            reader.read(sample.path, [request])
            taken["flow"].append(middle - begin)
            taken["picture"].append(time.thread_time() - middle)
        flow, picture = (1000 * float(np.median(taken[k])) for k in ("flow", "picture"))
        print(f"stored: {stored / 2**20 / sample.duration:.2f} MiB a second of {Path(sample.path).name}")
        print(
            f"a view of 64 at 6.25 a second: flow {flow:.1f} ms, picture {picture:.1f} ms, ratio {picture / flow:.1f}"
        )


if __name__ == "__main__":
    main()
