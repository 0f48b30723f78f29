"""Reading clips: the default reader against pure decoding, decord and torchcodec; two processes against one.

    python benchmarks/decoding.py            # 20 files of 10 s and each spacing of keyframes, 5 clips of each file
    python benchmarks/decoding.py --quick    # seconds; says only that it runs

The files are 340x256, H.264 + AAC, a keyframe every 12 or 250 frames; frames are scaled to 170x128 at decoding. View A
is 8 frames at 16 a second and 2 s of sound at 24 kHz from a random time; view B is 16 frames at 12.5 a second and 64
frames over the whole file, with the same sound. "pure" decodes the pictures from the keyframe before the first asked
one to the last, and does nothing else: no scaling, no conversion, no sound.

The ways take turns clip by clip, each asked for the same, so that what else runs on the machine slows them alike. The
ratio is that of the processor's time, all threads of a process counted; the clock's stands beside it. With two
processes the clock says what was won, and means something on an idle machine only; the processor's time says what
would be won on free cores.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from clips import make_clips

from ssl_av.data.media import AudioRequest, VideoRequest, create_reader

SIZE = (128, 170)
RATE = 24_000
TARGETS = {(12, "A", "pure"): 0.70, (12, "B", "pure"): 0.95, (250, "A", "pure"): 1.0}
DECORD = 2.0


@dataclass(frozen=True)
class Clip:
    """What one clip asks for: times of frames, and where its sound starts."""

    path: str
    times: tuple[np.ndarray, ...]
    start: float


Way = Callable[[Clip], object]


def draw(view: str, path: Path, seconds: float, rng: np.random.Generator) -> Clip:
    """A clip of view A or B."""
    start = float(rng.uniform(0, seconds - 2))
    if view == "A":
        return Clip(str(path), (start + np.arange(8) / 16,), start)
    return Clip(str(path), (start + np.arange(16) / 12.5, np.arange(64) * seconds / 64), start)


def ours() -> Way:
    """The default reader."""
    reader = create_reader()

    def read(clip: Clip) -> object:
        sound = [AudioRequest(clip.start, 2.0, RATE)]
        return reader.read(clip.path, [VideoRequest(times, SIZE) for times in clip.times], sound)

    return read


def pure() -> Way:
    """Decodes the span of pictures with PyAV."""

    def read(clip: Clip) -> object:
        first, last = (f(f(t) for t in clip.times) for f in (min, max))
        with av.open(clip.path) as container:
            stream = container.streams.video[0]
            stream.thread_type = "NONE"
            base = float(stream.time_base)
            container.seek(int(first / base), stream=stream)
            for frame in container.decode(stream):
                if (frame.pts + frame.duration) * base > last:
                    return frame
        return None

    return read


def decord() -> Way:
    """decord as its documentation shows it; it is asked by number of frame."""
    import decord as d

    def read(clip: Clip) -> object:
        video = d.VideoReader(clip.path, width=SIZE[1], height=SIZE[0], num_threads=1)
        ends = video.get_frame_timestamp(np.arange(len(video)))[:, 1]
        frames = [
            video.get_batch(np.minimum(np.searchsorted(ends, times, side="right"), len(video) - 1)).asnumpy()
            for times in clip.times
        ]
        sound = d.AudioReader(clip.path, sample_rate=RATE, mono=True)
        first = round(clip.start * RATE)
        return frames, sound[first : first + 2 * RATE].asnumpy()

    return read


def torchcodec() -> Way:
    """torchcodec with exact seeking, scaling in its own decoder."""
    from torchcodec.decoders import AudioDecoder, VideoDecoder
    from torchcodec.transforms import Resize

    def read(clip: Clip) -> object:
        video = VideoDecoder(clip.path, transforms=[Resize(SIZE)])
        end = video.metadata.end_stream_seconds_from_content - 1e-6
        frames = [video.get_frames_played_at(np.minimum(times, end).tolist()).data for times in clip.times]
        sound = AudioDecoder(clip.path, sample_rate=RATE, num_channels=1)
        return frames, sound.get_samples_played_in_range(clip.start, clip.start + 2.0).data

    return read


WAYS = {"pure": pure, "decord": decord, "torchcodec": torchcodec}


def main() -> None:
    """Makes the files, measures, prints tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two files of 3 s, a few clips")
    parser.add_argument("--files", type=int, default=20)
    parser.add_argument("--clips", type=int, default=5, help="of each file, view and way")
    parser.add_argument("--ways", default=",".join(WAYS), help="what to compare with")
    parser.add_argument("--gops", default="12,250", help="frames from one keyframe to the next")
    args = parser.parse_args()
    files, clips, seconds = (2, 2, 3.0) if args.quick else (args.files, args.clips, 10.0)
    with tempfile.TemporaryDirectory(prefix="ssl-av-decoding-") as folder:
        print(f"{files} files of {seconds:g} s, {files * clips} clips of each view and way; {load()}")
        print("gop  view  other       ratio (cpu)  ratio (clock)  target   clips/s (cpu): ours   other")
        for gop in map(int, args.gops.split(",")):
            paths = make_clips(Path(folder), files, seconds, gop)
            for view in "AB":
                asked = [
                    draw(view, p, seconds, np.random.default_rng(k)) for k in range(clips) for p in paths
                ]
                for other in args.ways.split(","):
                    compare(gop, view, other, asked)
                two(gop, view, asked)
    print(load())


def load() -> str:
    """How busy the machine is."""
    return f"load average {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores"


def compare(gop: int, view: str, other: str, asked: list[Clip]) -> None:
    """Prints one line: the reader against another way, turn by turn."""
    ways = [ours(), WAYS[other]()]
    spent = np.zeros((2, 2))
    for k, clip in enumerate([*asked[:2], *asked]):  # the first two warm up
        for i in (0, 1) if k % 2 else (1, 0):
            begin = now()
            ways[i](clip)
            if k >= 2:
                spent[i] += now() - begin
    cpu, clock = spent[1] / spent[0]
    target = DECORD if other == "decord" else TARGETS.get((gop, view, other))
    goal = f">= {target:.2f}" if target else ""
    speeds = len(asked) / spent[:, 0]
    print(
        f"{gop:3}  {view:4}  {other:10} {cpu:11.2f}  {clock:13.2f}  {goal:7} {speeds[0]:20.1f}  {speeds[1]:6.1f}",
        flush=True,
    )


def now() -> np.ndarray:
    """Seconds of the processor and of the clock."""
    return np.array([time.process_time(), time.perf_counter()])


def two(gop: int, view: str, asked: list[Clip], rounds: int = 3) -> None:
    """Prints one line: two processes against one, each process reading all clips, in alternating rounds."""
    cpu, clock = np.zeros(2), np.zeros(2)
    for _ in range(rounds):
        for i, count in enumerate((1, 2)):
            a, b = together(count, asked)
            cpu[i] += a / count
            clock[i] += b / count
    ratio = 2 * cpu[0] / cpu[1]
    print(f"{gop:3}  {view:4}  2 proc / 1 {ratio:11.2f}  {clock[0] / clock[1]:13.2f}  >= 1.80", flush=True)


def together(count: int, asked: list[Clip]) -> tuple[float, float]:
    """Seconds of the processor (sum) and of the clock for ``count`` processes that each read all clips."""
    fork = multiprocessing.get_context("fork")
    ready, results = fork.Barrier(count + 1), fork.Queue()

    def work() -> None:
        read = ours()
        read(asked[0])
        ready.wait()
        begin = now()
        for clip in asked:
            read(clip)
        results.put(float(now()[0] - begin[0]))
        ready.wait()

    processes = [fork.Process(target=work) for _ in range(count)]
    for process in processes:
        process.start()
    ready.wait()
    begin = time.perf_counter()
    ready.wait()
    clock = time.perf_counter() - begin
    cpu = sum(results.get() for _ in processes)
    for process in processes:
        process.join()
    return cpu, clock


if __name__ == "__main__":
    main()
