"""Optical flow on disk: one Arrow file a video, made once by ``ssl-av data flow``, mapped into memory to be read.

A row of the file is a field: its ``time`` (seconds from the beginning of the video, float64) and its ``field``, uint8
[height, width, 2], the motion to the right and downwards in each 1/25 s. The grey level 128 is no motion; 1 and 255
are ``clip`` pixels to either side, and what moves faster is clipped. The rest (`FlowInfo`) stands in the metadata.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ssl_av.cache import cache_dir
from ssl_av.data.datasets._files import relative_path
from ssl_av.data.media import MediaError, VideoRequest
from ssl_av.data.views import FlowView, Views
from ssl_av.errors import UserError

Fields = NDArray[np.uint8]

UNIT = 1 / 25
"""Seconds in which the stored motion takes place: that of one frame in the literature on flow (I3D)."""

ZERO, TOP = 128, 127
"""Grey level of no motion; grey levels from there to the clipping range."""

SLACK = 1e-3
"""Seconds that a field may be later than it is asked for: times are not exact."""

HINT = "make it once with `ssl-av data flow NAME --root DIR`"
KEY = b"ssl_av_flow"
DESCRIBED = ("fps", "size", "clip", "version")
"""What a run's record says about its flow."""


@dataclass(frozen=True)
class FlowInfo:
    """How a file of flow was made.

    Attributes:
        fps: fields a second.
        size: short side of a field in pixels.
        clip: largest motion that is kept, in pixels in 1/25 s, to either side.
        height: of a field.
        width: of a field; the frame's true aspect is kept.
        period: seconds between the two frames of a pair.
        spans: (from, to) in seconds: what of the video is covered.
        source: bytes of the video and its date in nanoseconds.
        version: of this format.
    """

    fps: float
    size: int
    clip: float
    height: int
    width: int
    period: float
    spans: tuple[tuple[float, float], ...]
    source: tuple[int, int]
    version: int = 1

    @property
    def step(self) -> float:
        """The motion of one grey level in 1/25 s, as a share of the short side."""
        return self.clip / TOP / min(self.height, self.width)


def encode(flow: NDArray[np.float32], clip: float) -> Fields:
    """Pixels in 1/25 s to grey levels.

    Raises:
        MediaError: if a value is not finite.
    """
    if not np.isfinite(flow).all():
        raise MediaError("its optical flow is not finite")
    levels: Fields = (np.clip(flow / clip, -1, 1) * TOP + ZERO).round().astype(np.uint8)
    return levels


def decode(fields: Fields, clip: float) -> NDArray[np.float32]:
    """Grey levels to pixels in 1/25 s."""
    return (fields.astype(np.float32) - ZERO) * np.float32(clip / TOP)


def default_folder(root: Path) -> Path:
    """Where the flow of a data set is kept if nothing else is said."""
    return cache_dir() / "flow" / hashlib.sha256(os.path.abspath(root).encode()).hexdigest()[:16]


def flow_path(folder: Path, root: Path, video: str) -> Path:
    """The file of flow of a video: the same path below ``folder`` as below ``root``."""
    name = relative_path(video, root)
    inside = name if not os.path.isabs(name) else f"_elsewhere/{name.replace(':', '').lstrip('/')}"
    return folder / f"{inside}.arrow"


def source_of(video: str) -> tuple[int, int]:
    """Size and date of a video.

    Raises:
        MediaError: if it is not there.
    """
    try:
        stat = os.stat(video)
    except (OSError, ValueError):
        raise MediaError("no such file") from None
    return stat.st_size, stat.st_mtime_ns


def write_flow(path: Path, info: FlowInfo, chunks: Iterable[tuple[NDArray[np.float64], Fields]]) -> int:
    """Writes a file of flow, whole or not at all.

    Args:
        path: where to.
        info: how it is made.
        chunks: (times [n], fields [n, height, width, 2]), in order of time.

    Returns:
        The number of fields.
    """
    width = info.height * info.width * 2
    schema = pa.schema([("time", pa.float64()), ("field", pa.binary(width))], {KEY: json.dumps(asdict(info))})
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    count = 0
    try:
        with pa.ipc.new_file(str(part), schema) as writer:
            for times, fields in chunks:
                data = pa.py_buffer(np.ascontiguousarray(fields))
                column = pa.Array.from_buffers(pa.binary(width), len(times), [None, data])
                writer.write_batch(pa.record_batch([pa.array(times), column], schema=schema))
                count += len(times)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return count


@contextmanager
def open_flow(path: Path) -> Iterator[tuple[FlowInfo, pa.Table]]:
    """A file of flow, mapped into memory.

    Raises:
        MediaError: if it is not there or not what it should be.
    """
    try:
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
            given: dict[str, Any] = json.loads(table.schema.metadata[KEY])
            given |= {"spans": tuple(map(tuple, given["spans"])), "source": tuple(given["source"])}
            yield FlowInfo(**given), table
    except FileNotFoundError:
        raise MediaError(f"no optical flow ({HINT})") from None
    except (OSError, pa.ArrowInvalid, KeyError, TypeError, ValueError) as e:
        raise MediaError(f"its optical flow cannot be read ({type(e).__name__}; {HINT})") from e


class FlowStore:
    """The flow of a data set.

    Args:
        folder: where it is kept.
        root: the folder of the videos.

    Raises:
        UserError: if there is no such folder.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        if not folder.is_dir():
            raise UserError(
                f"there is no optical flow in {folder}; {HINT}, or say where it is: --data.flow DIR"
            )
        self.folder, self.root = folder, root

    @classmethod
    def serving(cls, views: Views, folder: str | None, root: Path) -> FlowStore | None:
        """The store in ``folder`` (None: where it is by default), or None if no view asks for flow."""
        if not any(isinstance(view, FlowView) for view in views.values()):
            return None
        return cls(Path(folder) if folder else default_folder(root), root)

    def read(self, video: str, requests: Sequence[VideoRequest]) -> tuple[list[Fields], float]:
        """Fields at the asked times: the last one that is not after it.

        Args:
            video: path of the video.
            requests: times in seconds from its beginning, and the size to squash to.

        Returns:
            For each request uint8 [T, H, W, 2]; the motion of one grey level as a share of the short side.

        Raises:
            MediaError: if there is no flow of this video, of another version of it, or not at these times.
        """
        size, _ = source_of(video)
        with open_flow(flow_path(self.folder, self.root, video)) as (info, table):
            if info.source[0] != size:
                raise MediaError(f"its optical flow was made from another version of the file ({HINT})")
            stamps = table.column("time").to_numpy()
            return [self._fields(info, table, stamps, r) for r in requests], info.step

    @staticmethod
    def _fields(
        info: FlowInfo, table: pa.Table, stamps: NDArray[np.float64], request: VideoRequest
    ) -> Fields:
        chosen = np.searchsorted(stamps, request.times + SLACK, side="right") - 1
        late = request.times - stamps[np.maximum(chosen, 0)]
        # The last field of a span answers until its end, where there is no further pair of frames.
        wrong = (chosen < 0) | (late > 1 / info.fps + 2 * info.period + SLACK)
        if wrong.any():
            raise MediaError(f"no optical flow at {request.times[wrong][0]:.2f} s ({HINT})")
        rows = table.column("field").take(pa.array(chosen)).combine_chunks()
        flat = np.frombuffer(rows.buffers()[1], np.uint8, count=len(chosen) * info.height * info.width * 2)
        fields: Fields = flat.reshape(len(chosen), info.height, info.width, 2)
        return fields if request.size in (None, fields.shape[1:3]) else _squash(fields, request.size)


def describe_flow(views: Views, folder: str | None, root: Path) -> dict[str, Any]:
    """The optical flow that a run reads, for its record: where it is and how it was made; nothing without flow."""
    store = FlowStore.serving(views, folder, root)
    if store is None:
        return {}
    made: dict[str, Any] = {"folder": str(store.folder)}
    for file in store.folder.rglob("*.arrow"):  # all are made with the same settings: the first is enough
        try:
            with open_flow(file) as (info, _):
                made |= {k: getattr(info, k) for k in DESCRIBED}
        except MediaError:
            continue
        break
    return {"flow": made}


def read_views(
    store: FlowStore, video: str, requests: Mapping[str, VideoRequest], aspect: float
) -> dict[str, Any]:
    """What a batch holds of the flow views of one sample.

    Args:
        store: where the flow is.
        video: path of the video.
        requests: by name of the view.
        aspect: true width / height of the frames.

    Returns:
        For each view NAME uint8 [2, T, S, S] under ``NAME``, and two numbers under ``NAME.aspect`` and ``NAME.step``.

    Raises:
        MediaError: see `FlowStore.read`.
    """
    import torch

    clips, step = store.read(video, list(requests.values()))
    item: dict[str, Any] = {}
    for name, fields in zip(requests, clips, strict=True):
        item[name] = torch.from_numpy(fields.transpose(3, 0, 1, 2).copy())
        item |= {f"{name}.aspect": aspect, f"{name}.step": step}
    return item


def _squash(fields: Fields, size: tuple[int, int] | None) -> Fields:
    import torch
    import torch.nn.functional as F

    images = torch.from_numpy(fields.copy()).permute(0, 3, 1, 2)
    out: Fields = F.interpolate(images, size, mode="bilinear", antialias=True).permute(0, 2, 3, 1).numpy()
    return out
