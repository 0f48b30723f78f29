"""Measures networks by protocols: features once, kept on disk, shared by all protocols that can share them."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ssl_av.data.datamodule import AVDataModule
from ssl_av.data.loader import reading_explained
from ssl_av.errors import unknown
from ssl_av.evaluation.certainty import attach, identify, locate
from ssl_av.evaluation.kinds import KINDS, NotApplicableError, Outcome, Report, Splits, Subject
from ssl_av.evaluation.library import SOURCE, Library, sample_names
from ssl_av.evaluation.protocols import Protocol, canonical
from ssl_av.evaluation.rows import scratch_in
from ssl_av.evaluation.towers import Towers

#: told of the features of a protocol on the first fold
Watch = Callable[[Protocol, Splits], None]

PRECISIONS = ("float32", "float16")

CALLED = {"video": "picture", "audio": "sound"}
"""What samples lack."""


@dataclass
class Measured:
    """What a measurement found.

    Attributes:
        results: by protocol, ``{side: numbers}`` or ``{"skipped": why}``.
        protocols: by protocol, what was measured: version, hash, folds, samples.
        skipped: path → reason of what could not be read.
        outcomes: by protocol that was measured, one a fold, with the predictions.
    """

    results: dict[str, Any] = field(default_factory=dict)
    protocols: dict[str, Any] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    outcomes: dict[str, list[Outcome]] = field(default_factory=dict)


@reading_explained()
def measure(
    towers: Towers,
    folds: Sequence[AVDataModule],
    protocols: Sequence[Protocol],
    seed: int = 0,
    cache: Path | None = None,
    clips: int = 3,
    precision: str = "float32",
    report: Report | None = None,
    watch: Watch | None = None,
    keep: bool = True,
) -> Measured:
    """All protocols on features that are computed once.

    Args:
        towers: the networks.
        folds: the official divisions of the data; one where there is no other.
        protocols: what is measured; the ones that take the division that was given use the first of ``folds``.
        seed: of the classifiers, and of random clips.
        cache: folder where features stay; None keeps them until this is done.
        clips: what ``null`` clips are.
        precision: of the features on disk.
        report: told of the progress.
        watch: told of the features of each protocol on the first fold.
        keep: whether what was made or used in `cache` stays there.

    Raises:
        UserError: for an unknown precision, or if too much cannot be read.
    """
    if precision not in PRECISIONS:
        raise unknown("precision of features", precision, PRECISIONS)
    out = Measured()
    if not protocols:
        return out
    resolved = [p.with_clips(clips) for p in protocols]
    for p in resolved:
        if why := _unfit(p, towers):
            out.results[p.name], out.protocols[p.name] = {"skipped": why}, _about(p)
    with cache_folder(cache) as folder, scratch_in(folder):
        library = Library(towers, folder, precision, seed, report)
        for number, data in enumerate(folds):
            taking = [p for p in resolved if p.name not in out.results and (number == 0 or p.folds == "all")]
            library.fill(data, [p for p in taking if not KINDS[p.kind].trains], number)
            for protocol in taking:
                _one(protocol, library, data, seed, out, report, watch if number == 0 else None)
        if not keep:
            library.forget()
    for protocol in resolved:
        _conclude(protocol, out, folds[0].manifest.classes)
    out.skipped = library.skipped
    return out


def _unfit(p: Protocol, towers: Towers) -> str:
    """Why a protocol cannot be followed for want of picture or sound, before features are made for it; else empty."""
    missing = [m for m in p.modalities if m not in towers.modalities]
    if not missing or (len(missing) < len(p.modalities) and not KINDS[p.kind].both):
        return ""
    if unseen := [m for m in missing if m in towers.method.backbones]:
        return f"the data have no {' and no '.join(CALLED[m] for m in unseen)}"
    return f"no {' and no '.join(missing)} backbone"


def _one(
    p: Protocol,
    library: Library,
    data: AVDataModule,
    seed: int,
    out: Measured,
    report: Report | None,
    watch: Watch | None,
) -> None:
    """One protocol on one fold."""
    if report:
        report(p.name, 0, 0, {})
    about = out.protocols.setdefault(p.name, _about(p))
    try:
        outcome = _outcome(p, library, data, seed, report, watch)
    except NotApplicableError as e:
        out.results[p.name] = {"skipped": str(e)}
        out.outcomes.pop(p.name, None)
        return
    about["samples"].append(outcome.samples)
    about["skipped"].append(len(outcome.skipped))
    library.skipped |= outcome.skipped
    about["data"].append(data.manifest.hash)
    identify(outcome, sample_names(data.manifest.split("test")))
    out.outcomes.setdefault(p.name, []).append(outcome)


def _outcome(
    p: Protocol, library: Library, data: AVDataModule, seed: int, report: Report | None, watch: Watch | None
) -> Outcome:
    """What a kind finds, on features or by training a copy of the network."""
    kind, classes = KINDS[p.kind], len(data.manifest.classes)
    if kind.trains:
        towers = library.towers
        method, asked = towers.method, [m for m in towers.modalities if m in p.modalities]
        nets = {
            m: copy.deepcopy(method.encoder(m) if p.pooling.of_method(m) else method.net(m)) for m in asked
        }
        return kind.measure(Subject(nets, towers.inputs, towers.own, data, report), p, classes, seed)
    splits = library.splits(data, p)
    if watch:
        watch(p, splits)
    outcome = kind.measure(splits, p, classes, seed)
    locate(outcome, splits)
    seen = {SOURCE.get(name, name): f for name, f in splits.items()}
    outcome.samples = {name: len(f) for name, f in seen.items()}
    outcome.skipped = {path: why for f in seen.values() for path, why in f.skipped.items()}
    return outcome


def _conclude(p: Protocol, out: Measured, classes: Sequence[str]) -> None:
    """The folds' numbers together, and how sure they are."""
    if p.name not in out.results:
        out.results[p.name] = KINDS[p.kind].combine(out.outcomes[p.name], p)
        attach(out.results[p.name], out.outcomes[p.name], classes)
    # in the order in which they were asked for
    out.results[p.name] = out.results.pop(p.name)


def _about(p: Protocol) -> dict[str, Any]:
    return {
        "version": p.version, "hash": p.hash, "kind": p.kind, "source": p.source,
        "numbers": {k: v for k, v in canonical(p).items() if k not in ("name", "version", "kind", "source", "about")},
        "data": [], "samples": [], "skipped": [],
    }  # fmt: skip


@contextmanager
def cache_folder(cache: Path | None) -> Iterator[Path]:
    """Where features lie: the folder that was asked for, or one that goes at the end."""
    if cache is not None:
        yield cache
        return
    with tempfile.TemporaryDirectory(prefix="ssl-av-features-") as scratch:
        yield Path(scratch)
