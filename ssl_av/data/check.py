"""The doctor: what is wrong with a data set, before a training finds out."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rich.console import Console
from rich.progress import track

from ssl_av.data.manifest import OUTSIDE, Manifest
from ssl_av.data.media import SILENT
from ssl_av.data.media.examine import Examination, examine
from ssl_av.data.probing import MISSING
from ssl_av.data.processes import Failed, in_processes
from ssl_av.data.splits import SPLITS

ENDS_EARLY = 0.5
"""Seconds by which a stream may end before its header says so, and sound and picture may differ in length."""

TINY = 16
"""Pixels; a smaller side is no picture."""

CODES = {
    "missing": ("error", "listed, but not on the disk"),
    "empty": ("error", "a file of no bytes"),
    "unreadable": ("error", "cannot be opened, or its decoder hangs or crashes"),
    "corrupt": ("error", "decodes with errors"),
    "truncated": ("error", f"ends more than {ENDS_EARLY} s before its header says"),
    "label_out_of_range": ("error", "a label that is no class's number"),
    "leakage": ("error", "the same file, or the same picture and sound, in two splits"),
    "outside_root": ("error", "lies outside the data set's root"),
    "no_video": ("warning", "no picture"),
    "no_audio": ("warning", "no sound"),
    "silent": ("warning", f"no sample above {SILENT:g} of full scale"),
    "one_frame": ("warning", "a single frame"),
    "tiny_picture": ("warning", f"a side below {TINY} pixels"),
    "length_mismatch": ("warning", f"picture and sound differ by more than {ENDS_EARLY} s"),
    "duplicate": ("warning", "the same picture and sound as another file, to the bit"),
    "wrong_extension": ("warning", "the ending is not the container's"),
    "class_missing_in_train": ("warning", "a class without a training sample"),
}
"""Code → severity, meaning."""


Seen = TypeVar("Seen")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        code: a key of `CODES`.
        path: the file (or the class) that it is about, relative to the root.
        detail: numbers or words about it.
    """

    code: str
    path: str
    detail: str = ""

    @property
    def severity(self) -> str:
        """``error`` or ``warning``."""
        return CODES[self.code][0]


def check_manifest(
    manifest: Manifest, fast: bool = False, jobs: int = 0, progress: bool = False, limit: float = 600.0
) -> list[Finding]:
    """Everything that is wrong with a manifest's files and labels, in the order of `CODES`.

    Args:
        manifest: with what was left out of it.
        fast: do not decode the files, which duplicates need too.
        jobs: processes that decode; 0: this one, which a broken file may take down.
        progress: whether to show a bar.
        limit: seconds that decoding one file may take in another process.
    """
    found = [*_skipped(manifest), *_table(manifest)]
    if not fast:
        split: dict[str, str] = dict(zip(*manifest.columns("path", "split").values(), strict=True))
        contents: dict[bytes, list[str]] = defaultdict(list)
        for path, seen in _examined(manifest, list(split), jobs, limit, progress):
            found += _judge(path, seen)
            if seen.content:
                contents[seen.content].append(path)
        for same in contents.values():
            found += _doubled(sorted(same), split)
    order = {code: i for i, code in enumerate(CODES)}
    return sorted(set(found), key=lambda f: (order[f.code], f.path, f.detail))


def _skipped(manifest: Manifest) -> Iterator[Finding]:
    for skip in manifest.skipped:
        full = os.path.join(manifest.root, skip.path)
        if skip.reason == OUTSIDE:
            yield Finding("outside_root", skip.path)
        elif not os.path.lexists(full):
            yield Finding("missing", skip.path)
        elif os.path.isfile(full) and os.path.getsize(full) == 0:
            yield Finding("empty", skip.path)
        else:
            yield Finding("unreadable", skip.path, skip.reason)


def _table(manifest: Manifest) -> Iterator[Finding]:
    """What the table alone shows."""
    rows = manifest.columns("path", "label", "split", "has_video", "has_audio", "silent", "width", "height")
    splits: dict[str, set[str]] = defaultdict(set)
    pictures = bool(rows["has_video"].any())  # a collection of sounds is not at fault
    trained: Counter[int] = Counter()
    classes = len(manifest.classes)
    for i, (path, label, split, video, audio, silent, width, height) in enumerate(
        zip(*rows.values(), strict=True)
    ):
        splits[path].add(split)
        if pictures and not video:
            yield Finding("no_video", path)
        if video and min(width, height) < TINY:
            yield Finding("tiny_picture", path, f"{width} × {height}")
        if not audio:
            yield Finding("no_audio", path)
        if silent:
            yield Finding("silent", path)
        several = manifest[i].labels if label == -1 else (int(label),)
        for number in several:
            if not 0 <= number < classes:
                yield Finding("label_out_of_range", path, f"label {number} of {classes} classes")
        trained.update(dict.fromkeys(several, int(split == "train")))
    for path, names in splits.items():
        if len(names) > 1:
            yield Finding("leakage", path, " and ".join(s for s in SPLITS if s in names))
    for number in range(classes) if trained else ():
        if not trained[number]:
            yield Finding("class_missing_in_train", manifest.classes[number])


def _doubled(same: Sequence[str], split: Mapping[str, str]) -> Iterator[Finding]:
    first, *others = same
    for other in others:
        yield Finding("duplicate", other, f"of {first}")
        if split[first] != split[other]:
            yield Finding("leakage", other, f"{split[other]}; {first} is in {split[first]}")


def _examined(
    manifest: Manifest, paths: Sequence[str], jobs: int, limit: float, progress: bool
) -> Iterator[tuple[str, Examination]]:
    """Each file decoded, in any order."""
    names = {os.path.join(manifest.root, path): path for path in paths}
    found: Iterable[tuple[str, Examination | Failed]] = ((full, examine(full)) for full in names)
    if jobs:
        found = in_processes(examine, list(names), jobs, limit)
    for full, seen in _bar(found, len(names), progress):
        yield names[full], Examination(error=seen.reason) if isinstance(seen, Failed) else seen


def _bar(found: Iterable[Seen], total: int, progress: bool) -> Iterable[Seen]:
    if not progress:
        return found
    return track(found, "decoding the files", total=total, console=Console(stderr=True), transient=True)


def _judge(path: str, seen: Examination) -> Iterator[Finding]:
    """What an examination says about a file."""
    if seen.error:
        gone = seen.error == MISSING
        yield Finding("missing" if gone else "unreadable", path, "vanished" if gone else seen.error)
        return
    if seen.damage:
        yield Finding("corrupt", path, seen.damage)
    for what, end, promised in (
        ("picture", seen.video_end, seen.video_promised),
        ("sound", seen.audio_end, seen.audio_promised),
    ):
        if end is not None and promised is not None and end < promised - ENDS_EARLY:
            yield Finding("truncated", path, f"{what} ends at {end:.2f} s of {promised:.2f} s")
    if seen.frames == 1:
        yield Finding("one_frame", path)
    if seen.frames and seen.audio_end and abs(seen.audio_end - (seen.video_end or 0.0)) > ENDS_EARLY:
        yield Finding(
            "length_mismatch", path, f"picture {seen.video_end:.2f} s, sound {seen.audio_end:.2f} s"
        )
    ending = os.path.splitext(path)[1].lower().lstrip(".")
    if seen.suffixes and ending not in seen.suffixes:
        yield Finding("wrong_extension", path, f"holds {', '.join(seen.suffixes[:4])}")
