"""A folder of videos with every fault that the doctor knows, each planted on purpose."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np

from ssl_av.data import synthav
from ssl_av.data.synthav import render_sample, write_mp4

#: good videos of each of the classes a and b
GOOD = {"train": 4, "val": 2, "test": 2}


@dataclass
class Faults:
    """The folder, and what was planted in it.

    Attributes:
        root: with the splits train, val and test, and the classes a and b in each.
        codes: file → the codes that the doctor must find for it, and no others; a good file has none.
        unreadable: file → how the reason begins for which nothing can read it.
        damaged: files that can be opened, but of which no clip in their middle can be read.
    """

    root: Path
    codes: dict[str, set[str]] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    damaged: set[str] = field(default_factory=set)


def sample(index: int, seconds: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Frames and sound of an event."""
    frames, wave, _ = render_sample(0, "train", index)
    return frames[: round(seconds * synthav.FPS)], wave[: round(seconds * synthav.RATE)]


def write(path: Path, frames: np.ndarray, wave: np.ndarray) -> None:
    """A video file in a folder that is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_mp4(path, frames, synthav.FPS, wave, synthav.RATE)


def good_folder(root: Path, counts: dict[str, int]) -> None:
    """Videos of two classes in three splits, nothing wrong."""
    number = 0
    for split, count in counts.items():
        for label in "ab":
            for i in range(count):
                write(root / split / label / f"good{i}.mp4", *sample(number))
                number += 1


def plant(root: Path) -> Faults:
    """Makes the folder."""
    good_folder(root, GOOD)
    made = Faults(root)
    here = root / "train" / "a"

    def file(name: str, *codes: str) -> Path:
        made.codes[f"train/a/{name}"] = set(codes)
        return here / name

    file("empty.mp4", "empty").touch()
    file("text.mp4", "unreadable").write_text("this is no video")
    made.unreadable = {"train/a/empty.mp4": "the file is empty", "train/a/text.mp4": "invalid data"}
    if hasattr(os, "mkfifo"):  # who opened it would wait for ever
        os.mkfifo(file("pipe.mp4", "unreadable"))
        made.unreadable["train/a/pipe.mp4"] = "is no file but a pipe"

    frames, wave = sample(20, 3.0)
    write(file("silent.mp4", "silent"), frames[:24], wave[:24_000] * 0)
    write(file("longer.mp4", "length_mismatch"), frames[:32], wave[:20_800])
    write(file("one.mp4", "one_frame"), frames[:1], wave[:1000])
    write(file("tiny.mp4", "tiny_picture"), frames[:24, :8, :8], wave[:24_000])
    _copy_streams(here / "silent.mp4", file("mute.mp4", "no_audio"), audio=False)
    shutil.copy(root / "train/a/good0.mp4", file("good0_copy.mp4", "duplicate"))
    shutil.copy(root / "test/b/good0.mp4", file("leak.mp4", "duplicate", "leakage"))
    _copy_streams(root / "train/a/good1.mp4", file("good1_copy.mkv", "duplicate"))
    write(here / "other.mp4", *sample(21))
    (here / "other.mp4").rename(file("other.avi", "wrong_extension"))

    write(here / "whole.mp4", *sample(22, 3.0))
    # The index of a "faststart" file still promises three seconds when the rest is gone.
    _copy_streams(here / "whole.mp4", here / "faststart.mp4", options={"movflags": "faststart"})
    data = (here / "faststart.mp4").read_bytes()
    begin = data.index(b"mdat")
    size = len(data) - begin
    file("cut.mp4", "truncated", "corrupt").write_bytes(data[: begin + size // 8])
    noise = np.random.default_rng(0).bytes(round(0.65 * size))
    first = begin + round(0.15 * size)
    file("noise.mp4", "corrupt").write_bytes(data[:first] + noise + data[first + len(noise) :])
    made.damaged = {"train/a/cut.mp4", "train/a/noise.mp4"}
    (here / "whole.mp4").unlink()
    (here / "faststart.mp4").unlink()
    return made


def _copy_streams(
    source: Path, target: Path, audio: bool = True, options: dict[str, str] | None = None
) -> None:
    """The same packets in another container."""
    with av.open(str(source)) as old, av.open(str(target), "w", options=options or {}) as new:
        kept = {s.index: new.add_stream_from_template(s) for s in old.streams if audio or s.type == "video"}
        for packet in old.demux():
            if packet.dts is not None and packet.stream_index in kept:
                packet.stream = kept[packet.stream_index]
                new.mux(packet)
