"""Batched augmentation on the device against the usual way: torchvision v2, one clip after the other.

    python benchmarks/augment.py [--quick] [--threads N]

Both do a paper's video set with the same numbers on the same uint8 clips, in turn, several rounds; printed is the
median of the rounds' ratios of process CPU time (on a GPU: of wall time until the device is done) and their spread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torchvision.transforms import v2

from ssl_av.training.allocator import keep_freed_memory
from ssl_av.transforms import VideoAugment, VideoTransform, video_augment
from ssl_av.transforms.texture import blur_kernel_size

#: name, clips, frames, side as decoded, side as seen
SIZES = [("suite tiny", 32, 8, 64, 40), ("AVID's ablations", 8, 8, 128, 112), ("Kinetics", 4, 8, 256, 224)]
QUICK = [("quick", 4, 2, 32, 24)]
SETS = ("avid", "crisscross", "none")


def usual_way(a: VideoAugment, size: int) -> v2.Compose:
    """The set as torchvision's own transforms; each call draws anew, alike for all frames of a clip."""
    if a.crop_area is None:
        crop: list[torch.nn.Module] = [v2.Resize((size, size), antialias=True)]
    else:
        crop = [v2.RandomResizedCrop(size, a.crop_area, a.crop_aspect, antialias=True)]
    steps = [*crop, v2.RandomHorizontalFlip(a.flip), v2.ToDtype(torch.float32, scale=True)]
    if any(a.jitter):
        steps.append(v2.RandomApply([v2.ColorJitter(*a.jitter)], a.jitter_p))
    if a.grey_p:
        steps.append(v2.RandomGrayscale(a.grey_p))
    if a.blur_p:
        steps.append(v2.RandomApply([v2.GaussianBlur(blur_kernel_size(size), a.blur_sigma)], a.blur_p))
    if a.cutout:  # the nearest that torchvision has: a rectangle of one side in three and no paper's mean
        most = (a.cutout / size) ** 2
        steps.append(v2.RandomErasing(p=1.0, scale=(most / 100, most), ratio=(1.0, 1.0)))
    return v2.Compose([*steps, v2.Normalize(list(a.mean), list(a.std))])


def one_by_one(single: v2.Compose, video: Tensor) -> Tensor:
    """Clips [B, 3, T, H, W], each augmented alone as torchvision wants them, [T, 3, H, W]."""
    return torch.stack([single(clip.transpose(0, 1)).transpose(0, 1) for clip in video])


def measure(
    ours: Callable[[], Tensor], theirs: Callable[[], Tensor], rounds: int, gpu: bool
) -> list[tuple[float, float]]:
    """Seconds of both, in turn, a pair a round."""

    def seconds(work: Callable[[], Tensor]) -> float:
        clock = time.perf_counter if gpu else time.process_time
        begin = clock()
        work()
        if gpu:
            torch.cuda.synchronize()
        return clock() - begin

    for work in (ours, theirs):
        seconds(work)
    return [(seconds(ours), seconds(theirs)) for _ in range(rounds)]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="small clips and two rounds: does it run")
    parser.add_argument("--threads", type=int, default=1, help="of torch on the CPU (default: 1)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_freed_memory()  # as a run does
    rounds, sizes = (2, QUICK) if args.quick else (15, SIZES)
    table = Table(
        "", "set", "batch", "here, ms", "one by one, ms", "times as fast", box=None, padding=(0, 2, 0, 0)
    )
    for device in ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]:
        for name, clips, frames, side, size in sizes:
            video = torch.randint(0, 256, (clips, 3, frames, side, side), dtype=torch.uint8, device=device)
            for way in SETS:
                augment = video_augment(way)
                batched = VideoTransform(size, augment).train(way != "none")
                single = usual_way(augment, size)

                pairs = measure(
                    partial(batched, video), partial(one_by_one, single, video), rounds, device == "cuda"
                )
                ratios = sorted(theirs / ours for ours, theirs in pairs)
                table.add_row(
                    f"{device}, {name}", way, f"{clips} × {frames} × {side} → {size}",
                    f"{median(p[0] for p in pairs) * 1e3:.1f}", f"{median(p[1] for p in pairs) * 1e3:.1f}",
                    f"{median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})",
                )  # fmt: skip
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
