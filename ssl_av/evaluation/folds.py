"""The official divisions of a data set, one after another, none of which a network may have been trained on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from ssl_av.config import LOADING_FIELDS
from ssl_av.data.datamodule import AVDataModule
from ssl_av.data.datasets import dataset_class
from ssl_av.data.loading import Loading
from ssl_av.data.once import decode_once
from ssl_av.data.prepare import prepare_manifest, restrict
from ssl_av.data.views import View
from ssl_av.errors import UserError
from ssl_av.evaluation.leaks import Unseen
from ssl_av.evaluation.protocols import Protocol, Seen


def official_folds(
    data: Mapping[str, Any],
    loading: Loading,
    modalities: Collection[str],
    protocols: Sequence[Protocol],
    seed: int = 0,
    trained_on: Mapping[str, Any] | None = None,
    views: Collection[View] = (),
    guard: Unseen | None = None,
) -> list[AVDataModule]:
    """The division that was asked for, then the others where a protocol averages over them.

    There are no others where ``fold`` was given, or where the network was trained on these very data: what another
    fold tests stands in the training split of this one.

    Args:
        data: ``{"name": …}`` and the data set's arguments; fields of `Loading` are passed over.
        loading: how samples are loaded.
        modalities: that every sample must have.
        protocols: what will be measured.
        seed: of the loading.
        trained_on: the data of the network's training, if it is known.
        views: what the network reads. A single division is decoded once for them where ``loading.pack`` asks for that
            and no protocol wants other inputs.
        guard: looks at the test samples of each division.

    Raises:
        UserError: if the data are not there, if the network was trained on another fold of them, or as ``guard`` says.
    """
    name = data["name"]
    args = {k: v for k, v in data.items() if k not in LOADING_FIELDS and k != "name"}
    total = int(getattr(dataset_class(name), "folds", 1))
    same = trained_on is not None and _same(data, trained_on)
    if same and trained_on is not None and total > 1:
        mine, theirs = args.get("fold", 1), trained_on.get("fold", 1)
        if mine != theirs:
            raise UserError(
                f"--data.fold {mine}: the network was trained on fold {theirs} of the same '{name}', whose training "
                f"split holds what fold {mine} tests; leave the fold as it is"
            )
    numbers = [args.get("fold", 1)]
    if total > 1 and "fold" not in args and not same and any(p.folds == "all" for p in protocols):
        numbers = list(range(1, total + 1))
    found = []
    for number in numbers:
        own = args | ({"fold": number} if total > 1 else {})
        manifest = prepare_manifest(name, own, loading)
        if guard is not None:
            guard.check(manifest, name)
        if views and len(numbers) == 1 and all(p.inputs == Seen() for p in protocols):
            manifest = decode_once(manifest, name, loading, views)
        if guard is not None:
            manifest = guard.without(manifest)
        manifest = restrict(manifest, modalities, name)
        found.append(AVDataModule(manifest, loading, seed))
    return found


def _same(data: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether both name the same data, however the paths are written."""
    places = ([one.get(key) for key in ("root", "file")] for one in (data, other))
    mine, theirs = ([path and Path(path).expanduser().resolve() for path in found] for found in places)
    return data.get("name") == other.get("name") and mine == theirs
