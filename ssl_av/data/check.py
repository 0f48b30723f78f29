"""The doctor: what is wrong with a data set, before a training finds out."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.progress import track

from ssl_av.data.manifest import Manifest
from ssl_av.data.media.examine import Examination, examine
from ssl_av.data.splits import SPLITS

ENDS_EARLY = 0.5
"""Seconds by which a stream may end before its header says so, and sound and picture may differ in length."""

SILENT = 1e-4
"""A sound whose largest sample is below this (-80 dB of full scale) is silent."""

TINY = 16
"""Pixels; a smaller side is no picture."""

CODES = {
    "missing": ("error", "listed, but not on the disk"),
    "empty": ("error", "a file of no bytes"),
    "unreadable": ("error", "cannot be opened or not one frame or sound decoded"),
    "corrupt": ("error", "decodes with errors"),
    "truncated": ("error", f"ends more than {ENDS_EARLY} s before its header says"),
    "label_out_of_range": ("error", "a label that is no class's number"),
    "leakage": ("error", "the same file or the same bytes in two splits"),
    "outside_root": ("error", "lies outside the data set's root"),
    "no_video": ("warning", "no picture"),
    "no_audio": ("warning", "no sound"),
    "silent": ("warning", f"no sample above {SILENT:g} of full scale"),
    "one_frame": ("warning", "a single frame"),
    "tiny_picture": ("warning", f"a side below {TINY} pixels"),
    "length_mismatch": ("warning", f"picture and sound differ by more than {ENDS_EARLY} s"),
    "duplicate": ("warning", "the same bytes as another file"),
    "wrong_extension": ("warning", "the ending is not the container's"),
    "class_missing_in_train": ("warning", "a class without a training sample"),
}
"""Code → severity, meaning."""


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
    manifest: Manifest, fast: bool = False, jobs: int = 1, progress: bool = False
) -> list[Finding]:
    """Everything that is wrong with a manifest's files and labels, in the order of `CODES`.

    Args:
        manifest: with what was left out of it.
        fast: do not decode the files, nor read them for duplicates.
        jobs: processes that decode.
        progress: whether to show a bar.
    """
    rows = manifest.columns("path", "label", "split", "has_video", "has_audio")
    found = [*_skipped(manifest), *_table(manifest, rows)]
    if not fast:
        paths = list(dict.fromkeys(rows["path"]))
        found += _same_bytes(manifest, rows)
        for path, seen in zip(paths, _examined(manifest, paths, jobs, progress), strict=True):
            found += _judge(path, seen)
    order = {code: i for i, code in enumerate(CODES)}
    return sorted(set(found), key=lambda f: (order[f.code], f.path, f.detail))


def _skipped(manifest: Manifest) -> Iterator[Finding]:
    for skip in manifest.skipped:
        full = os.path.join(manifest.root, skip.path)
        if not os.path.lexists(full):
            yield Finding("missing", skip.path)
        elif os.path.isfile(full) and os.path.getsize(full) == 0:
            yield Finding("empty", skip.path)
        else:
            yield Finding("unreadable", skip.path, skip.reason)


def _table(manifest: Manifest, rows: dict[str, np.ndarray]) -> Iterator[Finding]:
    """What the table alone shows."""
    splits: dict[str, set[str]] = defaultdict(set)
    pictures = bool(rows["has_video"].any())  # a collection of sounds is not at fault
    for path, label, split, video, audio in zip(*rows.values(), strict=True):
        splits[path].add(split)
        if pictures and not video:
            yield Finding("no_video", path)
        if not audio:
            yield Finding("no_audio", path)
        if not -1 <= label < max(len(manifest.classes), 0) and manifest.classes:
            yield Finding("label_out_of_range", path, f"label {label} of {len(manifest.classes)} classes")
        if os.path.isabs(path) or path.split("/")[0] == "..":
            yield Finding("outside_root", path)
    for path, names in splits.items():
        if len(names) > 1:
            yield Finding("leakage", path, " and ".join(s for s in SPLITS if s in names))
    trained = Counter(rows["label"][rows["split"] == "train"].tolist())
    for number in sorted(set(rows["label"].tolist())):
        if 0 <= number < len(manifest.classes) and not trained[number]:
            yield Finding("class_missing_in_train", manifest.classes[number])


def _same_bytes(manifest: Manifest, rows: dict[str, np.ndarray]) -> Iterator[Finding]:
    """Files with the same content; only files of one size are read."""
    split = dict(zip(rows["path"], rows["split"], strict=True))
    by_size: dict[int, list[str]] = defaultdict(list)
    for path in split:
        try:
            by_size[os.path.getsize(os.path.join(manifest.root, path))].append(path)
        except OSError:
            yield Finding("missing", path, "vanished")
    for group in by_size.values():
        by_bytes: dict[bytes, list[str]] = defaultdict(list)
        for path in group if len(group) > 1 else ():
            by_bytes[_digest(os.path.join(manifest.root, path))].append(path)
        for first, *others in by_bytes.values():
            for other in others:
                yield Finding("duplicate", other, f"of {first}")
                if split[first] != split[other]:
                    yield Finding("leakage", other, f"{split[other]}; {first} is in {split[first]}")


def _digest(path: str) -> bytes:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.digest()


def _examined(manifest: Manifest, paths: Sequence[str], jobs: int, progress: bool) -> Iterator[Examination]:
    """Each file decoded, in order; in processes, because a broken file may take its decoder down."""
    full = [os.path.join(manifest.root, path) for path in paths]
    if jobs <= 1:
        yield from _bar(map(examine, full), len(full), progress)
        return
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from _bar(pool.map(examine, full, chunksize=4), len(full), progress)


def _bar(found: Iterable[Examination], total: int, progress: bool) -> Iterable[Examination]:
    if not progress:
        return found
    return track(found, "decoding the files", total=total, console=Console(stderr=True), transient=True)


def _judge(path: str, seen: Examination) -> Iterator[Finding]:
    """What an examination says about a file."""
    if seen.error:
        yield Finding("unreadable", path, seen.error)
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
    if seen.frames and min(seen.width, seen.height) < TINY:
        yield Finding("tiny_picture", path, f"{seen.width} × {seen.height}")
    if seen.audio_end and seen.peak < SILENT:
        yield Finding("silent", path)
    if seen.frames and seen.audio_end and abs(seen.audio_end - (seen.video_end or 0.0)) > ENDS_EARLY:
        yield Finding(
            "length_mismatch", path, f"picture {seen.video_end:.2f} s, sound {seen.audio_end:.2f} s"
        )
    ending = os.path.splitext(path)[1].lower().lstrip(".")
    if seen.suffixes and ending not in seen.suffixes:
        yield Finding("wrong_extension", path, f"holds {', '.join(seen.suffixes[:4])}")
