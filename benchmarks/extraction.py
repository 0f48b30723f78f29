"""Features of a data set, as an evaluation makes them, against the least that this can take.

    python benchmarks/extraction.py            # 32 pieces of 8 files, 3 clips each, three rounds; a few minutes
    python benchmarks/extraction.py --quick    # seconds; says only that it runs

"bare" decodes the same clips with the same reader and forgets them, and runs the same networks on numbers that lie
ready: nothing is cut, normalised, turned into a spectrogram, batched or stored. "prepared" also cuts and normalises
frames and makes spectrograms, which no way can do without. "ours" is the evaluation: clips of 340x256 files, prepared,
through both networks, averaged, written to the disk and read again, and the k nearest neighbours on top. "again" is
another protocol on the same features.

The ways take turns, round by round. A ratio is another way's time over ours in the same round, of the processor by all
threads and processes, as the median of the rounds and their quartiles: other work on the machine disturbs some of them.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from clips import make_clips
from loading import now

from ssl_av.backbones import create_backbone
from ssl_av.data.datamodule import AVDataModule, ClipDataset
from ssl_av.data.loading import Loading
from ssl_av.data.manifest import Row, build_manifest
from ssl_av.data.media import create_reader
from ssl_av.evaluation.engine import measure
from ssl_av.evaluation.plain import Modules
from ssl_av.evaluation.protocols import load_protocol
from ssl_av.evaluation.towers import Towers
from ssl_av.evaluation.views import cut
from ssl_av.methods.settings import Inputs
from ssl_av.training.allocator import keep_freed_memory

TARGET = 0.9
INPUTS = Inputs(frames=8, fps=16.0, size=112, audio_seconds=2.0, front_end="avid")
NETWORKS = {
    "small": ("r2plus1d_10", {"width": 16, "pool": "avg"}, "resnet9_audio", {"width": 16, "pool": "avg"}),
    "AVID's": ("r2plus1d_18", {}, "conv9_audio", {}),
}
"""Where decoding is most of the work, and where the networks are."""


def main() -> None:
    """Makes the files, measures, prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="two files of 5 s, the small networks, one round"
    )
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clips", type=int, default=3, help="of each piece of 2.5 s")
    parser.add_argument("--workers", type=int, default=0, help="reading processes of ours")
    parser.add_argument("--networks", default=",".join(NETWORKS), help="of these")
    args = parser.parse_args()
    files, seconds, rounds = (2, 5.0, 1) if args.quick else (args.files, 10.0, args.rounds)
    torch.set_num_threads(1)
    keep_freed_memory()  # as `eval` does
    print(f"{os.cpu_count()} cores, {args.workers} reading processes, load average {os.getloadavg()[0]:.2f}")
    print(
        "networks  bare (quartiles)     prepared  by the clock  target  again: time, clips decoded  clips/s (clock)"
    )
    with tempfile.TemporaryDirectory(prefix="ssl-av-extraction-") as folder:
        paths = make_clips(Path(folder), files, seconds)
        rows = [
            Row(str(path), label=k % 2, split=("train", "test")[i % 2], start=at, end=at + 2.5)
            for i, path in enumerate(paths)
            for k, at in enumerate(np.arange(0, seconds, 2.5))
        ]
        manifest = build_manifest(rows, ("even", "odd"), Path(folder), create_reader())
        for name in ["small"] if args.quick else args.networks.split(","):
            data = AVDataModule(manifest, Loading(batch_size=8, num_workers=args.workers))
            print(f"{name:8} {line(name, data, args.clips, rounds, Path(folder))}", flush=True)


def line(name: str, data: AVDataModule, clips: int, rounds: int, folder: Path) -> str:
    """One pair of networks."""
    video, video_args, audio, audio_args = NETWORKS[name]
    nets = {"video": create_backbone(video, **video_args), "audio": create_backbone(audio, **audio_args)}
    towers = Towers(Modules(nets, INPUTS)).eval()
    knn, retrieval = (load_protocol(p) for p in ("knn", "retrieval"))
    view = cut(knn.with_clips(clips), knn.with_clips(clips).test, INPUTS, nets)
    views = towers.views(view, nets)
    batch = next(iter(data.serve(data.manifest, views, batch_size=data.loading.batch_size)))

    def ready() -> dict[str, torch.Tensor]:
        """What the networks take of one full batch, by modality."""
        return {m: torch.cat(list(towers._inputs(m, batch, view, 0))) for m in towers.modalities}

    once = ready()
    spent: dict[str, list[np.ndarray]] = {way: [] for way in ("bare", "prepared", "ours", "again")}
    decoded = 0
    # imports and the like, once
    measure(towers, [data], [knn, retrieval], cache=folder / f"features-{name}", clips=clips)
    for k in range(rounds):
        cache = folder / f"features-{name}-{k}"

        def ours(protocol: object = knn, cache: Path = cache) -> None:
            measure(towers, [data], [protocol], cache=cache, clips=clips)  # type: ignore[list-item]

        ways: dict[str, Callable[[], object]] = {
            "bare": lambda: bare(towers, data, views, lambda: once),
            "prepared": lambda: bare(towers, data, views, ready),
            "ours": ours,
        }
        for way in list(ways)[:: 1 if k % 2 == 0 else -1]:
            spent[way].append(timed(ways[way]))
        counter = Reads()
        ways["again"] = lambda counter=counter, ours=ours: counter.watch(lambda: ours(retrieval))
        spent["again"].append(timed(ways["again"]))
        decoded += counter.count
    times = {way: np.array(found) for way, found in spent.items()}  # [rounds, 2]
    low, cpu, high = np.quantile(times["bare"][:, 0] / times["ours"][:, 0], (0.25, 0.5, 0.75))
    prepared, clock, share = (
        np.median(times[way][:, k] / times["ours"][:, k])
        for way, k in (("prepared", 0), ("bare", 1), ("again", 0))
    )
    rate = len(data.manifest) * clips / np.median(times["ours"][:, 1])
    return (
        f"{cpu:5.2f} ({low:.2f} - {high:.2f}) {prepared:12.2f} {clock:13.2f}  >= {TARGET} {100 * share:11.1f} %, "
        f"{decoded:14d} {rate:16.1f}"
    )


class Reads:
    """Counts the samples that are read; in this process, so that it needs no reading processes."""

    count = 0

    def watch(self, do: Callable[[], None]) -> None:
        """Does it and counts."""
        read = ClipDataset.__getitem__

        def counted(data: ClipDataset, key: tuple[int, int]) -> object:
            self.count += 1
            return read(data, key)

        ClipDataset.__getitem__ = counted  # type: ignore[method-assign, assignment]
        try:
            do()
        finally:
            ClipDataset.__getitem__ = read  # type: ignore[method-assign]


@torch.inference_mode()
def bare(
    towers: Towers, data: AVDataModule, views: dict, ready: Callable[[], dict[str, torch.Tensor]]
) -> None:
    """Decodes everything; runs the networks on as many clips."""
    for split in ("train", "test"):
        part = data.manifest.split(split)
        dataset = ClipDataset(part, views, data.loading)
        for index in range(len(part)):
            dataset[0, index]
        size = data.loading.batch_size
        for begin in range(0, len(part), size):
            share = min(size, len(part) - begin) / size
            for modality, x in ready().items():
                net = towers.method.net(modality)
                net.pool(net.forward_features(x[: round(share * len(x))]))


def timed(way: Callable[[], object]) -> np.ndarray:
    """Seconds of the processor and of the clock."""
    begin = now()
    way()
    return now() - begin


if __name__ == "__main__":
    main()
