"""A run is measured on other data than its own too: prepared before it trains, measured after."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ssl_av.config import LOADING_FIELDS, RunConfig
from ssl_av.data.datamodule import AVDataModule
from ssl_av.data.datasets import create_dataset
from ssl_av.data.loading import SMALL_ONLY
from ssl_av.data.manifest import Manifest
from ssl_av.data.views import View
from ssl_av.errors import UserError
from ssl_av.evaluation.engine import Measured, Report, measure
from ssl_av.evaluation.folds import official_folds
from ssl_av.evaluation.leaks import Unseen
from ssl_av.evaluation.places import OWN, Place, modalities_of, protocols_at
from ssl_av.evaluation.protocols import Protocol
from ssl_av.evaluation.towers import Towers
from ssl_av.methods import method_class
from ssl_av.methods.base import Method


@dataclass(frozen=True)
class Elsewhere:
    """Data that a run is measured on beside its own.

    Attributes:
        name: what its results are called by: ``linear-svm@name``.
        config: the run's, with these data in the place of its own.
        modalities: that its samples have and the protocols ask for; the same for every method.
        protocols: what is measured.
        folds: the official divisions.
        leaks: what is known of test samples that were learned from.
    """

    name: str
    config: RunConfig
    modalities: tuple[str, ...]
    protocols: tuple[Protocol, ...]
    folds: tuple[AVDataModule, ...]
    leaks: Unseen


def check_elsewhere(config: RunConfig) -> None:
    """The other data of a run are where they are said to be, and it has protocols for them; decodes nothing.

    Raises:
        UserError: if not.
    """
    for place in config.evaluation.elsewhere:
        protocols_at(place, config.evaluation.protocols)
        there = _there(config, place)
        try:
            _ = there.loading
            create_dataset(place["name"], **there.dataset_args).rows()
        except UserError as e:
            raise _named(place, e) from None


def prepare_elsewhere(
    config: RunConfig, views: Collection[View], learned: Manifest | None = None
) -> list[Elsewhere]:
    """The other data of a run, ready to be measured.

    Args:
        config: the run.
        views: what its networks read, for data that are decoded once (``+pack=frames``).
        learned: the data of the run, whose training split the other data's test samples must not be in.

    Raises:
        UserError: if data are not there, cannot be read, were trained on in another division, or if test samples were.
    """
    found = []
    trained_on = config.data if method_class(config.method["name"]).trains else None
    for place in config.evaluation.elsewhere:
        there = _there(config, place)
        protocols = protocols_at(place, config.evaluation.protocols)
        asked = {m for p in protocols for m in p.modalities}
        modalities = tuple(m for m in modalities_of(place) if m in asked)
        guard = Unseen(config.evaluation.leaks, learned if trained_on else None)
        try:
            folds = official_folds(
                there.data, there.loading, modalities, protocols, config.seed, trained_on, views, guard
            )
        except UserError as e:
            raise _named(place, e) from None
        found.append(Elsewhere(place["as"], there, modalities, tuple(protocols), tuple(folds), guard))
    return found


def measure_elsewhere(
    prepared: Sequence[Elsewhere], method: Method, found: Measured, report: Report | None, cache: Path | None
) -> dict[str, dict[str, str]]:
    """Adds what is measured on the other data to ``found``, under ``<protocol>@<name>``.

    Args:
        prepared: the data.
        method: whose backbones are measured.
        found: what was measured on the run's own data; added to.
        report: told of the progress.
        cache: where features stay.

    Returns:
        By name, path → reason of the samples that could not be read.
    """
    skipped = {}
    for there in prepared:
        towers, e = Towers(method, there.modalities), there.config.evaluation
        if towers.modalities:
            here = measure(
                towers, there.folds, there.protocols, there.config.seed, cache, e.clips, e.precision,
                _said(there.name, report), keep=e.keep_features,
            )  # fmt: skip
        else:
            why = {"skipped": f"no {' or '.join(there.modalities)} backbone"}
            here = Measured({p.name: dict(why) for p in there.protocols})
        for kept, new in (
            (found.results, here.results),
            (found.protocols, here.protocols),
            (found.outcomes, here.outcomes),
        ):
            kept.update({f"{name}@{there.name}": value for name, value in new.items()})
        skipped[there.name] = here.skipped
    return skipped


def _there(config: RunConfig, place: Place) -> RunConfig:
    """The run with other data: how they are loaded stays, but for what suits small sets only."""
    loading = {k: v for k, v in config.data.items() if k in LOADING_FIELDS and k not in SMALL_ONLY}
    return replace(config, data=loading | {k: v for k, v in place.items() if k not in OWN})


def _named(place: Place, error: UserError) -> UserError:
    return UserError(f"--eval {place['as']}: {str(error).replace('--data.', '')}")


def _said(name: str, report: Report | None) -> Report | None:
    if report is None:
        return None
    return lambda what, done, total, numbers: report(f"{name}: {what}", done, total, numbers)
