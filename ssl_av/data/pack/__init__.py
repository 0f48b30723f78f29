"""Packs: a manifest's samples decoded once and kept in a form that is quick to read (docs/packs.md).

A pack is a folder: `PACK_FILE` says how it was made, ``source.arrow`` is the manifest it was made from,
``manifest.arrow`` is the same with the samples' paths pointing into the pack, ``shards/00000.arrow`` … hold the samples
in the manifest's order, `Pack.per_shard` in each.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ssl_av.data.views import AudioView, VideoView, Views
from ssl_av.errors import UserError, unknown
from ssl_av.text import parse_json, read_text

PACK_FILE = "ssl-av-pack.json"
MANIFEST_FILE = "manifest.arrow"
SOURCE_FILE = "source.arrow"
SHARDS = "shards"
VERSION = 1
"""Raise it whenever a pack that was written before can no longer be read."""

MOST = 1 << 16
"""Bytes of a pack's description that are read at most."""

LARGEST = 8192
"""Pixels of a frame's short side that a pack may keep."""

GOP = 12
"""Frames from one keyframe to the next in the form ``video``."""

FORMS = {
    "video": f"H.264 without B-frames, a keyframe every {GOP} frames, quick to decode",
    "frames": "every frame as uint8 RGB, mapped into memory: nothing to decode",
}
SHAPES = {
    "square": "squashed to a square, as training reads them; the true aspect is in the manifest",
    "aspect": "the picture's own shape, its short side scaled",
}


@dataclass(frozen=True)
class Pack:
    """How a pack was made, and from what.

    Attributes:
        source: name of the data set.
        hash: of the manifest it was made from.
        samples: rows of that manifest.
        reader: the media backend that read the files.
        form: one of `FORMS`.
        size: pixels of the short side.
        shape: one of `SHAPES`.
        fps: frames kept a second; None: every frame of the file at its own time.
        rate: samples of sound a second.
        per_shard: samples in a shard.
        version: of the format.
    """

    source: str
    hash: str
    samples: int
    reader: str = "pyav"
    form: str = "video"
    size: int = 128
    shape: str = "square"
    fps: float | None = None
    rate: int = 24_000
    per_shard: int = 64
    version: int = VERSION

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise unknown("form", self.form, FORMS)
        if self.shape not in SHAPES:
            raise unknown("shape", self.shape, SHAPES)
        if not 8 <= self.size <= LARGEST or self.size % 2:
            raise UserError(
                f"--size {self.size}: give an even number of pixels, at least 8, at most {LARGEST}"
            )
        if self.fps is not None and self.fps <= 0:
            raise UserError(f"--fps {self.fps}: frames a second must be more than 0")
        if self.rate < 1000:
            raise UserError(f"--rate {self.rate}: samples of sound a second must be at least 1000")
        if self.per_shard < 1:
            raise UserError(f"--per_shard {self.per_shard}: a shard holds at least one sample")

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.samples // self.per_shard)

    def member(self, index: int) -> str:
        """The path, from the pack's folder, of a sample by its row in the manifest."""
        shard, row = divmod(index, self.per_shard)
        return f"{SHARDS}/{shard:05d}.arrow#{row}"

    def number(self, member: str) -> int:
        """The row in the manifest of a sample by its path: `member` backwards."""
        shard, row = member.removeprefix(f"{SHARDS}/").split(".arrow#")
        return int(shard) * self.per_shard + int(row)

    def record(self) -> dict[str, Any]:
        """What a run's record says of it."""
        names = ("form", "size", "shape", "fps", "rate", "source", "reader")
        return {name: getattr(self, name) for name in names} | {"manifest": self.hash}

    def check(self, views: Views, decode_size: int, where: Path) -> None:
        """Whether the pack can serve these views, frames squashed to ``decode_size``.

        Raises:
            UserError: if it holds less than one of them asks for.
        """
        for name, view in views.items():
            if isinstance(view, VideoView):
                if decode_size > self.size:
                    raise self._refused(where, name, f"--data.decode_size {decode_size}", "size", decode_size)
                if self.fps is not None and view.fps > self.fps:
                    raise self._refused(where, name, f"{view.fps:g} frames a second", "fps", view.fps)
            elif isinstance(view, AudioView) and view.rate > self.rate:
                raise self._refused(where, name, f"sound at {view.rate} Hz", "rate", view.rate)

    def _refused(self, where: Path, view: str, asked: str, field: str, value: float) -> UserError:
        have = {
            "size": f"{self.size} pixels",
            "fps": f"{self.fps:g} frames a second" if self.fps else "",
            "rate": f"sound at {self.rate} Hz",
        }
        return UserError(
            f"the pack {where} holds {have[field]}, view '{view}' asks for {asked}: ask for less, "
            f"or pack again with --{field} {value:g}"
        )


def pack_at(folder: str | os.PathLike[str]) -> Pack | None:
    """The pack that lies in a folder, or None where there is none.

    Raises:
        UserError: if it was written by another version, or is damaged.
    """
    file = Path(folder) / PACK_FILE
    try:
        if not file.exists():
            return None
        values = parse_json(read_text(file, MOST))
    except (OSError, ValueError) as e:
        raise UserError(f"{file}: cannot be read ({e}); remove the folder and pack again") from None
    version = values.get("version") if isinstance(values, Mapping) else None
    if version != VERSION:
        raise UserError(
            f"{file}: a pack of version {version}, this ssl-av reads version {VERSION}: pack again"
        )
    kinds = {f.name: str(f.type) for f in fields(Pack)}
    wrong = [
        name for name, value in values.items() if type(value).__name__ not in kinds.get(name, "").split(" | ")
    ]
    wrong = [
        name for name in wrong if not (name == "fps" and (values[name] is None or type(values[name]) is int))
    ]
    try:
        if wrong:
            raise TypeError(f"wrong: {', '.join(map(str, wrong))[:100]}")
        return Pack(**values)
    except (TypeError, UserError) as e:
        raise UserError(f"{file}: not a pack of ssl-av ({e})") from None


def check_views(root: Path, views: Views, decode_size: int) -> None:
    """`Pack.check` where a manifest's ``root`` is a pack; nothing to check where it is not.

    Raises:
        UserError: if the pack cannot serve the views.
    """
    pack = pack_at(root)
    if pack is not None:
        pack.check(views, decode_size, root)


def describe_pack(root: Path) -> dict[str, Any]:
    """``{"pack": …}`` for the data's part of a record where ``root`` is a pack, else nothing."""
    pack = pack_at(root)
    return {} if pack is None else {"pack": pack.record()}
