"""Test samples that were learned from: looked for before anything is trained or measured."""

from __future__ import annotations

import filecmp
import os
import sys
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ssl_av.config import LOADING_FIELDS, RunConfig
from ssl_av.data.datasets import dataset_class, list_datasets
from ssl_av.data.datasets._official import OfficialDataset
from ssl_av.data.loading import Loading
from ssl_av.data.manifest import Manifest
from ssl_av.data.pack import SOURCE_FILE, pack_at
from ssl_av.data.prepare import prepare_manifest
from ssl_av.errors import UserError, unknown
from ssl_av.training.group import is_first

POLICIES = ("refuse", "tell")
TOUCHING = 0.05
"""Seconds by which two pieces of one file may overlap: lists round."""
MOST = 100_000
"""Files of which copies under other names are looked for; of more, whether they are the same file."""
AT_ONCE = 2**16
"""Rows of a manifest that are looked at together."""
NAMED = 20
"""Leaks that a record names at most."""

Spans = list[tuple[float, float]]


@dataclass(frozen=True)
class Leak:
    """A test sample that was learned from.

    Attributes:
        path: of the test sample, from its data set's root.
        of: the file that was learned from.
        where: it was learned from in the data's own ``training`` split, or in the ``pretraining``.
        copy: it is another file, with the same bytes.
    """

    path: str
    of: str
    where: str
    copy: bool


@dataclass
class Unseen:
    """Sees to it that no test sample is learned from.

    Attributes:
        policy: ``refuse``, or ``tell``: a warning, and a note in the record.
        learned: what the network was pretrained on, if that is known.
        told: what was found and not refused.
        measured: whether anything is: else leaks are only told.
        left_out: paths of the training samples that are left out, of the division that was checked last.
        rows: their numbers, by which a pack has them.
    """

    policy: str = "refuse"
    learned: Manifest | None = None
    told: list[Leak] = field(default_factory=list)
    measured: bool = True
    left_out: frozenset[str] = frozenset()
    rows: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise unknown("evaluation.leaks", str(self.policy), POLICIES)

    def check(self, manifest: Manifest, name: str) -> None:
        """Looks for the test samples of one division of the data in its training split and in the pretraining.

        A training sample that is a copy of a test sample under another name is left out (`without`), but for those of
        official lists, which stay as they are.

        Args:
            manifest: of the files, or of a pack: then of the files that it was made from.
            name: of the data set.

        Raises:
            UserError: if there are others, unless they are only to be told.
        """
        pack, manifest = pack_at(manifest.root), as_files(manifest)
        name = pack.source if pack else name
        test = manifest.split("test")
        own = [leak for part in ("train", "val") for leak in leaks(manifest.split(part), test, "training")]
        self._judge(
            [leak for leak in own if not leak.copy], name, len(test), "stand in the training split too"
        )
        copies = [leak for leak in own if leak.copy]
        self.told += copies
        official = name in list_datasets() and issubclass(dataset_class(name), OfficialDataset)
        drop = self.policy == "refuse" and not official
        root = os.path.realpath(manifest.root)
        self.left_out = frozenset(os.path.relpath(leak.of, root) for leak in copies) if drop else frozenset()
        self.rows = ()
        if self.left_out:
            rows = enumerate(zip(*manifest.columns("path", "split").values(), strict=True))
            self.rows = tuple(i for i, (path, split) in rows if split != "test" and path in self.left_out)
        if copies:
            what = "left out" if drop else "kept"
            _warn(
                f"{len(copies)} training samples of '{name}' are copies of test samples ({copies[0].of}): {what}"
            )
        if self.learned is not None and self.learned.hash != manifest.hash:
            seen = leaks(as_files(self.learned.split("train")), test, "pretraining")
            self._judge(seen, name, len(test), "are among those that the network was pretrained on")

    def without(self, manifest: Manifest) -> Manifest:
        """The division that was checked last, or a pack of it, without the training samples that are left out."""
        if not self.left_out:
            return manifest
        rows = manifest.columns("path", "split")
        pack = pack_at(manifest.root)
        out = {pack.member(i) for i in self.rows} if pack else self.left_out
        gone = [p in out and s != "test" for p, s in zip(*rows.values(), strict=True)]
        return manifest.take(np.flatnonzero(~np.array(gone)))

    def record(self) -> dict[str, Any]:
        """What a record says under ``leaks``; empty where there are none."""
        if not self.told:
            return {}
        counts = {
            w: len({leak.path for leak in self.told if leak.where == w}) for w in ("training", "pretraining")
        }
        named = [asdict(leak) for leak in self.told[:NAMED]]
        return {"leaks": {"policy": self.policy, **counts, "named": named}}

    def _judge(self, found: list[Leak], name: str, size: int, what: str) -> None:
        if not found:
            return
        first, count = found[0], len({leak.path for leak in found})
        same = f", a copy of {first.of}" if first.copy else ""
        said = f"{count} of the {size} test samples of '{name or 'the manifest'}' {what} (e.g. {first.path}{same})"
        if self.policy == "refuse" and self.measured:
            raise UserError(
                f"{said}: a result would say nothing of other samples. Test on others, or give --evaluation.leaks tell "
                "to measure all the same, with a note in the record"
            )
        _warn(said)
        self.told += found


def _warn(said: str) -> None:
    if is_first():  # of several processes, which all look
        print(f"ssl-av: warning: {said}", file=sys.stderr)


def leaks(learned: Manifest, tested: Manifest, where: str) -> list[Leak]:
    """The tested samples that were learned from: a piece of the same file, or of a copy of it to the bit.

    Args:
        learned: what was trained on.
        tested: what is to be tested.
        where: see `Leak`.
    """
    root = os.path.realpath(tested.root)
    asked, _ = _spans(tested)
    there, every = _spans(learned, asked)
    found: list[Leak] = []
    others = []
    for file, spans in asked.items():
        if file not in there:
            others.append(file)
        elif _meet(spans, there[file]):
            found.append(Leak(os.path.relpath(file, root), file, where, False))
    if every and len(there) + len(others) <= MOST:
        for file, twin in _copies(others, list(there)):
            if _meet(asked[file], there[twin]):
                found.append(Leak(os.path.relpath(file, root), twin, where, True))
    return found


def learned_from(data: Mapping[str, Any] | None, loading: Loading, policy: str = "refuse") -> Manifest | None:
    """The samples that a network was trained on; None where that is not known, or they are not there any more.

    Args:
        data: of its run: ``{"name": …}`` with the data set's arguments.
        loading: who reads, if the manifest has to be made again.
        policy: of that run: with ``tell`` it trained on copies too.
    """
    if data is None:
        return None
    args = {k: v for k, v in data.items() if k not in LOADING_FIELDS and k != "name"}
    places = [Path(args[k]).expanduser() for k in ("root", "file") if args.get(k)]
    if not all(place.exists() for place in places):  # what can be rendered is not rendered for this
        return None
    try:
        found = prepare_manifest(data["name"], args, loading)
    except UserError:
        return None
    guard = Unseen(policy)
    with suppress(UserError):
        guard.check(found, data["name"])
    return guard.without(found)


def unseen(manifest: Manifest, config: RunConfig) -> tuple[Manifest, Unseen]:
    """A run's own data as files, checked; where nothing is measured, leaks are only told.

    Args:
        manifest: of the data, or of a pack of them.
        config: the run.
    """
    e = config.evaluation
    guard = Unseen(e.leaks, measured=bool(e.protocols or e.elsewhere))
    files = manifest
    if pack_at(manifest.root) and config.data["name"] != "pack":
        files = prepare_manifest(config.data["name"], config.dataset_args, config.loading)
    guard.check(files, config.data["name"])
    return guard.without(files), guard


def as_files(manifest: Manifest) -> Manifest:
    """The samples of a pack as the pieces of files that they were made from; others as they are.

    Of a pack that was made before it kept them, nothing is known: a warning says so.
    """
    pack = pack_at(manifest.root)
    if pack is None:
        return manifest
    source = manifest.root / SOURCE_FILE
    if not source.is_file():
        _warn(
            f"the pack {manifest.root} does not say which files it was made from, so that test samples in it are not "
            "looked for; pack again"
        )
        return manifest
    return Manifest.load(source).take([pack.number(path) for path in manifest.columns("path")["path"]])


def _spans(manifest: Manifest, wanted: Container[str] = ()) -> tuple[dict[str, Spans], bool]:
    """The pieces of each file, and whether of every one: of more than `MOST`, of those that are ``wanted`` alone."""
    root, every = os.path.realpath(manifest.root), True
    found: dict[str, Spans] = {}
    for begin in range(0, len(manifest), AT_ONCE):
        part = manifest.take(np.arange(begin, min(begin + AT_ONCE, len(manifest))))
        for path, start, duration in zip(*part.columns("path", "start", "duration").values(), strict=True):
            file = os.path.normpath(os.path.join(root, path))
            if every or file in wanted:
                found.setdefault(file, []).append((start, start + duration))
        if every and wanted and len(found) > MOST:
            every, found = False, {file: spans for file, spans in found.items() if file in wanted}
    return found, every


def _meet(one: Spans, other: Spans) -> bool:
    return any(min(a[1], b[1]) - max(a[0], b[0]) > TOUCHING for a in one for b in other)


def _copies(asked: list[str], there: list[str]) -> Iterator[tuple[str, str]]:
    """Pairs of files with one content: only those of one size are opened."""
    sizes: dict[int, list[str]] = defaultdict(list)
    for file in asked:
        if size := _size(file):
            sizes[size].append(file)
    alike: dict[tuple[int, bytes], list[str]] = defaultdict(list)
    for twin in there if sizes else ():
        size = _size(twin)
        if size in sizes:
            alike[size, _ends(twin)].append(twin)
    shared = {size for size, _ in alike}
    for size, files in sizes.items():
        for file in files if size in shared else ():
            for twin in alike.get((size, _ends(file)), ()):
                if filecmp.cmp(file, twin, shallow=False):
                    yield file, twin


def _size(file: str) -> int:
    try:
        return os.path.getsize(file) if os.path.isfile(file) else 0
    except OSError:
        return 0


def _ends(file: str) -> bytes:
    """Some bytes of the beginning, the middle and the end, to tell most files apart."""
    with open(file, "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        parts = []
        for at in (0, size // 2, max(size - 1024, 0)):
            stream.seek(at)
            parts.append(stream.read(1024))
    return b"".join(parts)
