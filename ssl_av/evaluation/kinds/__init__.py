"""The kinds of protocols: functions from features to numbers, found by name.

A kind is a function ``(splits, protocol, classes, seed) -> Outcome`` with a frozen dataclass of its own settings,
registered by `register_kind`. It never reads a file and never sees a network: the engine brings the features, saves
the predictions, and averages over the folds. A kind that trains the network itself (``needs=NETWORK``) is given a
`Subject` in place of the features: copies of the networks, and the data.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import nn

    from ssl_av.data.datamodule import AVDataModule
    from ssl_av.evaluation.features import Features
    from ssl_av.evaluation.protocols import Protocol
    from ssl_av.methods.settings import Inputs

Splits = Mapping[str, "Features"]
Results = dict[str, Any]
#: (what is going on, done, total, named numbers)
Report = Callable[[str, int, int, dict[str, float]], None]

CHOSEN = ("C", "alpha")
"""Settings that a kind chooses and says in its results."""

NETWORK = ("network",)
"""What a kind needs that trains the network itself."""


class NotApplicableError(Exception):
    """The protocol cannot run on these features; the message says why. Recorded, not raised to the user."""


@dataclass
class Predicted:
    """What was predicted for each test sample: from here come intervals, per-class numbers and pictures.

    Attributes:
        truth: [N] class, or [N, classes] bool where a sample has several.
        scores: [N, classes].
        index: [N] rows of the manifest's test split. None: the test features that have a label, in their order; the
            engine fills them in.
        sample: [N] what tells these samples apart over several folds, whose test splits may overlap (HMDB51); the
            engine fills it in. None: every prediction is of a sample of its own.
    """

    truth: np.ndarray
    scores: np.ndarray
    index: np.ndarray | None = None
    sample: np.ndarray | None = None


@dataclass
class Outcome:
    """What one kind found on one fold.

    Attributes:
        results: ``{side: {"top1": …}}``; a side is a modality or a direction.
        predicted: by side; empty for kinds that classify nothing.
        samples: by split, how many were used, of a kind that reads the data itself.
        skipped: path → reason of what such a kind could not read.
        hits: by side of a kind that searches, the metric that an interval is given of and [N] whether each query was
            answered.
    """

    results: Results
    predicted: dict[str, Predicted] = field(default_factory=dict)
    samples: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    hits: dict[str, tuple[str, np.ndarray]] = field(default_factory=dict)


@dataclass(frozen=True)
class Subject:
    """What a kind gets that trains the network itself.

    Attributes:
        backbones: by modality, copies: they may be changed.
        inputs: what they see where the protocol leaves it open.
        own: by modality, the augmentation that they were trained with; its centring and normalisation are what the
            weights know.
        data: the samples, and how they are read.
        report: told of the progress.
    """

    backbones: Mapping[str, nn.Module]
    inputs: Inputs
    own: Mapping[str, str]
    data: AVDataModule
    report: Report | None = None


@dataclass(frozen=True)
class NoSettings:
    """A kind without numbers of its own."""


#: (splits or subject, protocol, classes, seed) → what was found
Measure = Callable[[Any, "Protocol", int, int], Outcome]
#: from the outcomes of several folds to the results that are reported
Combine = Callable[[list[Outcome], "Protocol"], Results]


@dataclass(frozen=True)
class Kind:
    """A kind of protocol.

    Attributes:
        measure: the function.
        settings: class of `Protocol.settings`.
        splits: the splits whose features it needs; ``val_as_train`` is validation in the training's clips, for a
            classifier that is fitted once more on both.
        needs: ``pooled`` features, ``query`` and ``key`` in the shared space, the ``memory`` of the training split; or
            `NETWORK`.
        combine: from several folds to one result.
        check: raises a `UserError` for a protocol that the kind cannot follow.
        both: whether it needs picture and sound of a sample.
    """

    measure: Measure
    settings: type[Any]
    splits: Callable[[Any], tuple[str, ...]]
    needs: tuple[str, ...]
    combine: Combine
    check: Callable[[Protocol], None] | None = None
    both: bool = False

    @property
    def trains(self) -> bool:
        """Whether it takes a `Subject` in place of features."""
        return self.needs == NETWORK


class _Kinds(Mapping[str, Kind]):
    """The kinds by name; the modules beside this one are imported when one is first looked for."""

    def __init__(self) -> None:
        self._known: dict[str, Kind] = {}
        self._loaded = False

    def add(self, name: str, kind: Kind) -> None:
        if name in self._known:
            raise ValueError(f"kind '{name}' is registered already")
        self._known[name] = kind

    def _all(self) -> dict[str, Kind]:
        if not self._loaded:
            self._loaded = True
            for file in sorted(Path(__file__).parent.glob("[a-z]*.py")):
                importlib.import_module(f"{__name__}.{file.stem}")
        return self._known

    def __getitem__(self, name: str) -> Kind:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


KINDS = _Kinds()


def average(outcomes: list[Outcome], protocol: Protocol) -> Results:
    """The mean over the folds of every number that all folds have; their deviation (n − 1) under ``std``, and each
    fold's own numbers under ``folds``. What was chosen (`CHOSEN`) has no mean: it stands there where all folds agree.

    Of one fold, its results as they are.
    """
    if len(outcomes) == 1:
        return outcomes[0].results
    sides: Results = {}
    for side in outcomes[0].results:
        each = [o.results[side] for o in outcomes]
        shared = [k for k, v in each[0].items() if _number(v) and all(_number(e.get(k)) for e in each)]
        agreed = {k: each[0][k] for k in CHOSEN if k in shared and all(e[k] == each[0][k] for e in each)}
        shared = [k for k in shared if k not in CHOSEN]
        columns = {k: [e[k] for e in each] for k in shared}
        sides[side] = {k: float(np.mean(x)) for k, x in columns.items()}
        sides[side] |= agreed
        sides[side]["std"] = {k: float(np.std(x, ddof=1)) for k, x in columns.items()}
        sides[side]["folds"] = each
        if all("converged" in e for e in each):
            sides[side]["converged"] = all(e["converged"] for e in each)
    return sides


def register_kind(
    name: str,
    settings: type[Any] = NoSettings,
    splits: tuple[str, ...] | Callable[[Any], tuple[str, ...]] = ("train", "val", "test"),
    needs: tuple[str, ...] = ("pooled",),
    combine: Combine = average,
    check: Callable[[Protocol], None] | None = None,
    both: bool = False,
) -> Callable[[Measure], Measure]:
    """Makes a function a kind of protocol.

    Args:
        name: what a protocol's file says under ``kind``.
        settings: a frozen dataclass, what stands under ``settings``.
        splits: what it needs, or a function from its settings to that.
        needs: which features; see `Kind`.
        combine: from several folds to one result.
        check: raises a `UserError` for a protocol that the kind cannot follow, when it is loaded.
        both: whether it needs picture and sound of a sample.
    """
    needed = splits if callable(splits) else lambda _: splits

    def register(measure: Measure) -> Measure:
        KINDS.add(name, Kind(measure, settings, needed, needs, combine, check, both))
        return measure

    return register


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
