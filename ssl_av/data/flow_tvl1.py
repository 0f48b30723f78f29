"""Making optical flow: TV-L1 (Zach et al. 2007, OpenCV contrib's implementation), many videos at a time."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl_av.data.flow import UNIT, Fields, FlowInfo, encode, flow_path, open_flow, source_of, write_flow
from ssl_av.data.manifest import Manifest, Skip
from ssl_av.data.media import MediaError, VideoRequest, create_reader
from ssl_av.errors import UserError

CHUNK = 32
"""Pairs of frames that are decoded at a time."""

FASTEST = 60.0
"""Frames a second: some files claim more than they hold; two frames of a pair are never closer than this."""

WIDEST = 8.0
"""Largest ratio of a frame's sides: beyond, it would be scaled to a very large one."""


@dataclass(frozen=True)
class FlowSettings:
    """How flow is made.

    Attributes:
        fps: fields a second (BraVe's broad visual view has 6.25 frames a second).
        size: short side in pixels that frames are scaled to before (BraVe A.2: 128).
        clip: largest motion that is kept, in pixels in 1/25 s. The ± 20 of I3D are for a short side of 256.
    """

    fps: float = 6.25
    size: int = 128
    clip: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.fps <= FASTEST:
            raise UserError(f"fps must be above 0 and at most {FASTEST:g}, got {self.fps:g}")
        if not 16 <= self.size <= 1024:
            raise UserError(f"size must be from 16 to 1024 pixels, got {self.size}")
        if not (self.clip > 0 and math.isfinite(self.clip)):
            raise UserError(f"clip must be above 0, got {self.clip:g}")


@dataclass
class FlowReport:
    """What came of it: files made now, files that were there already, failures with their reasons, bytes in all."""

    made: int = 0
    kept: int = 0
    failed: list[Skip] = field(default_factory=list)
    bytes: int = 0


@dataclass(frozen=True)
class _Video:
    path: str
    aspect: float
    spans: tuple[tuple[float, float], ...]

    @property
    def seconds(self) -> float:
        return sum(end - start for start, end in self.spans)


class _Stopped(Exception):
    """The user has interrupted."""


def load_opencv() -> Any:
    """The module cv2 with its contrib part.

    Raises:
        UserError: if it is not installed; says how.
    """
    how = "pip install 'ssl-av[flow]' (or opencv-contrib-python-headless)"
    try:
        import cv2
    except ImportError as e:
        raise UserError(f"optical flow needs OpenCV with its contrib modules: {how} ({e})") from None
    if not hasattr(cv2, "optflow"):
        raise UserError(
            f"the installed OpenCV {cv2.__version__} lacks the contrib modules (cv2.optflow): pip uninstall it "
            f"(opencv-python, opencv-python-headless), then {how}"
        )
    return cv2


def make_flow(
    manifest: Manifest,
    folder: Path,
    settings: FlowSettings = FlowSettings(),
    workers: int = 1,
    reader: str = "pyav",
    progress: bool = False,
) -> FlowReport:
    """Makes the flow of all samples of a manifest that is not there yet.

    What is there, was made with the same settings, and from the same file (size and date) is kept; so an interrupted
    run is continued by starting it again.

    Args:
        manifest: the samples; those without video are passed over.
        folder: where the flow goes.
        settings: how it is made.
        workers: videos at a time, in threads (OpenCV and FFmpeg run beside each other).
        reader: the media backend.
        progress: whether to show a bar with the time left.
    """
    from rich.console import Console
    from rich.progress import Progress

    cv2 = load_opencv()
    videos = _videos(manifest)
    report, stop = FlowReport(), threading.Event()

    def work(video: _Video) -> bool:
        return _make(video, manifest.root, folder, settings, reader, stop)

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # one video a thread: OpenCV's own threads would only get in their way
    bar = Progress(console=Console(stderr=True), transient=True, disable=not progress)
    pool = ThreadPoolExecutor(max(workers, 1))
    try:
        with bar:
            task = bar.add_task("optical flow", total=sum(v.seconds for v in videos))
            jobs = {pool.submit(work, video): video for video in videos}
            for job in as_completed(jobs):
                video = jobs[job]
                try:
                    if job.result():
                        report.made += 1
                    else:
                        report.kept += 1
                    report.bytes += flow_path(folder, manifest.root, video.path).stat().st_size
                except (MediaError, cv2.error) as e:
                    report.failed.append(Skip(os.path.relpath(video.path, manifest.root), str(e).strip()))
                bar.advance(task, video.seconds)
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
        cv2.setNumThreads(threads)
    report.failed.sort(key=lambda skip: skip.path)
    return report


def _videos(manifest: Manifest) -> list[_Video]:
    """The files of a manifest, each once, with what of them its samples cover."""
    spans: dict[str, list[tuple[float, float]]] = {}
    aspects: dict[str, float] = {}
    for sample in (manifest[i] for i in range(len(manifest))):
        if sample.has_video:
            spans.setdefault(sample.path, []).append((sample.start, sample.start + sample.duration))
            aspects[sample.path] = sample.aspect
    return [_Video(path, aspects[path], tuple(sorted(set(s)))) for path, s in spans.items()]


def _make(
    video: _Video, root: Path, folder: Path, settings: FlowSettings, reader: str, stop: threading.Event
) -> bool:
    """Makes the flow of one file; False if it is there already."""
    path, source = flow_path(folder, root, video.path), source_of(video.path)
    wanted = (settings.fps, settings.size, settings.clip, video.spans, source)
    try:
        with open_flow(path) as (info, _):
            if (info.fps, info.size, info.clip, info.spans, info.source) == wanted:
                return False
    except MediaError:  # it is not there, or something else wrote it
        pass
    if not 1 / WIDEST <= video.aspect <= WIDEST:
        raise MediaError(f"its frames are {video.aspect:.3g} times as wide as high")
    backend = create_reader(reader)
    fps = backend.probe(video.path).fps
    period = 1 / min(fps, FASTEST) if fps > 0 else UNIT
    short, long = settings.size, round(settings.size * max(video.aspect, 1 / video.aspect))
    height, width = (short, long) if video.aspect >= 1 else (long, short)
    times = field_times(video.spans, settings.fps, period)
    if not len(times):
        raise MediaError("it is shorter than two frames")
    info = FlowInfo(settings.fps, settings.size, settings.clip, height, width, period, video.spans, source)

    def chunks() -> Iterator[tuple[NDArray[np.float64], Fields]]:
        for begin in range(0, len(times), CHUNK):
            now = times[begin : begin + CHUNK]
            size = (height, width)
            (first, second), _ = backend.read(
                video.path, [VideoRequest(now, size), VideoRequest(now + period, size)]
            )
            fields = np.empty((len(now), height, width, 2), np.uint8)
            for k, pair in enumerate(zip(first, second, strict=True)):
                if stop.is_set():
                    raise _Stopped
                fields[k] = encode(tvl1(*pair) * np.float32(UNIT / period), settings.clip)
            yield now, fields

    try:
        write_flow(path, info, chunks())
    except OSError as e:
        raise UserError(f"cannot write optical flow to {path}: {e.strerror or e}") from e
    return True


def field_times(spans: Sequence[tuple[float, float]], fps: float, period: float) -> NDArray[np.float64]:
    """Where fields are wanted: every 1/fps of the file's time from before each span to its last pair of frames.

    Half a period is kept at the end, for there the second frame of a pair would be the first one again: no motion.
    """
    wanted: set[int] = set()
    for start, end in spans:
        first, last = math.floor(start * fps + 1e-6), math.floor((end - 1.5 * period) * fps + 1e-6)
        wanted |= set(range(first, last + 1))
    return np.array(sorted(wanted), np.float64) / fps


def tvl1(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
    """TV-L1 flow in pixels from one RGB frame to another, float32 [H, W, 2] (right, down); OpenCV's settings."""
    cv2 = load_opencv()
    grey = [cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) for frame in (first, second)]
    flow: NDArray[np.float32] = cv2.optflow.DualTVL1OpticalFlow_create().calc(*grey, None)
    return flow
