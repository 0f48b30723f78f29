"""What `ssl_av.evaluate` was given, made ready: networks as a method, data as their divisions, leaks looked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from ssl_av.backbones import Backbone
from ssl_av.config import LOADING_FIELDS
from ssl_av.data.datamodule import AVDataModule
from ssl_av.data.datasets import dataset_class, list_datasets
from ssl_av.data.loading import Loading
from ssl_av.data.manifest import Manifest
from ssl_av.data.prepare import restrict
from ssl_av.errors import UserError, unknown
from ssl_av.evaluation.folds import official_folds
from ssl_av.evaluation.leaks import Unseen, learned_from
from ssl_av.evaluation.modules import as_method, inputs_of
from ssl_av.evaluation.places import OWN, Place, modalities_of, read_places
from ssl_av.evaluation.protocols import Protocol
from ssl_av.evaluation.subject import Subject, load_subject, run_of
from ssl_av.evaluation.towers import Towers
from ssl_av.methods import method_class
from ssl_av.methods.base import Method
from ssl_av.methods.settings import Inputs
from ssl_av.options import check


@dataclass
class Task:
    """Networks and data that fit each other.

    Attributes:
        towers: the networks, as far as the data have what they take.
        folds: the divisions of the data.
        protocols: as the data ask for their folds.
        name: of the data set; empty for a manifest.
        guard: what it found.
    """

    towers: Towers
    folds: list[AVDataModule]
    protocols: list[Protocol]
    name: str
    guard: Unseen

    @contextmanager
    def in_eval_mode(self) -> Iterator[None]:
        """Within this the networks are in eval mode; after it each module is in the mode that it was in."""
        modes = [(m, m.training) for m in self.towers.modules()]
        try:
            self.towers.eval()
            yield
        finally:
            for module, mode in modes:
                module.training = mode


def prepare(
    backbone: Any,
    data: Any,
    protocols: Sequence[Protocol],
    *,
    modality: str | None = None,
    inputs: Inputs | Mapping[str, Any] | None = None,
    waveform_rate: int | None = None,
    loading: Loading | Mapping[str, Any] | None = None,
    seed: int = 0,
    leaks: str = "refuse",
    measured: bool = True,
) -> Task:
    """Arguments as of `ssl_av.evaluate`.

    Args:
        backbone: or a `Subject`.
        data: the samples.
        protocols: what will be measured.
        modality: of a single network, or the one of a method that is measured.
        inputs: what networks of others see.
        waveform_rate: of a network that takes waveforms.
        loading: how samples are loaded.
        seed: of a reference's weights.
        leaks: see `Unseen`.
        measured: whether anything is measured; else leaks are only told.

    Raises:
        UserError: if networks, protocols and data do not fit each other.
    """
    data, loading = _plain(data, loading)
    reading: Loading = _settings("loading", Loading, loading)
    asked = list(protocols)
    if not isinstance(data, Manifest):
        data, asked, reading = _place(data, asked, reading)
    if isinstance(backbone, (str, Path)):
        backbone = load_subject(str(backbone), {}, seed)
    trainings = _trainings(backbone)
    trained_on, theirs = trainings[0] if trainings else (None, "refuse")
    backbone = backbone.method if isinstance(backbone, Subject) else backbone
    if isinstance(backbone, Method):
        if inputs is not None or waveform_rate is not None:
            raise UserError(
                "evaluate: inputs and waveform_rate are of networks of others; a run's networks see what they were "
                "trained with, or what the protocol says"
            )
        method = backbone
    else:
        seen: Inputs = _settings("inputs", Inputs, inputs_of(backbone, inputs))
        method = as_method(backbone, modality, seen, waveform_rate)
    have = [m for m in method.backbones if modality in (None, m)]
    if not have:
        raise unknown("modality of these networks", str(modality), list(method.backbones))
    guard = Unseen(leaks, learned_from(trained_on, reading, theirs), measured=measured)
    others = [
        Unseen(leaks, learned_from(one[0], reading, one[1]), measured=measured) for one in trainings[1:]
    ]
    if isinstance(data, Manifest):
        for one in (*others, guard):
            one.check(data, "")
        data = guard.without(data)
        wanted = {m for p in asked for m in p.modalities if m in have}
        folds = [AVDataModule(restrict(data, wanted, "the manifest"), reading, seed)]
        return Task(Towers(method, wanted), folds, asked, "", guard)
    name = str(data["name"])
    towers = Towers(method, [m for m in modalities_of(data) if m in have])
    if not towers.modalities:
        raise UserError(f"'{name}' has no {' or '.join(have)} to measure this network on")
    args = {k: v for k, v in data.items() if k not in OWN}
    folds = official_folds(args, reading, towers.modalities, asked, seed, trained_on, guard=guard)
    for one in others:
        for fold in folds:
            one.check(fold.manifest, name)
    return Task(towers, folds, asked, name, guard)


def _trainings(backbone: Any) -> list[tuple[Mapping[str, Any], str]]:
    """The data that networks were trained on, as far as runs say, and what became of leaks there."""
    if isinstance(backbone, Subject):
        return [(backbone.trained_on, backbone.config.evaluation.leaks)] if backbone.trained_on else []
    nets = backbone.values() if isinstance(backbone, (Mapping, nn.ModuleDict)) else [backbone]
    found: list[tuple[Mapping[str, Any], str]] = []
    for source in dict.fromkeys(n.source for n in nets if isinstance(n, (Backbone, Method)) and n.source):
        run = run_of(source)
        if run is not None and method_class(run.method["name"]).trains:
            found.append((run.data, run.evaluation.leaks))
    return found


def _settings(name: str, cls: type[Any], given: Any) -> Any:
    """Settings as an object of theirs, or as ``{name: value}``."""
    if isinstance(given, cls):
        return given
    if given is not None and not isinstance(given, Mapping):
        raise UserError(f"evaluate: {name} is {cls.__name__}(…) or {{name: value}}, got {given!r}")
    return cls(**check(name, cls, given or {}))


def _plain(data: Any, loading: Any) -> tuple[Any, Any]:
    """A datamodule as its manifest, a data set's object as its name and arguments."""
    if isinstance(data, AVDataModule):
        return data.manifest, data.loading if loading is None else loading
    if dataclasses.is_dataclass(data) and not isinstance(data, type):
        name = type(data).__module__.rpartition(".")[2]
        if name in list_datasets() and isinstance(data, dataset_class(name)):
            return {"name": name} | {
                f.name: getattr(data, f.name) for f in dataclasses.fields(data) if f.init
            }, loading
    return data, loading


def _place(data: Any, protocols: list[Protocol], loading: Loading) -> tuple[Place, list[Protocol], Loading]:
    """The data set and its arguments, how their protocols take its folds, and how it is loaded."""
    if not isinstance(data, (str, Mapping)):
        raise UserError(
            f"evaluate: data are a manifest, {{'name': 'esc50', 'root': DIR}} or 'esc50:DIR'; got {data!r}"
        )
    places = read_places(data)
    if len(places) != 1 or "protocols" in places[0]:
        raise UserError("evaluate: measures one data set, by the protocols that are its second argument")
    place = places[0]
    if "folds" in place:
        protocols = [replace(p, folds=place["folds"]) for p in protocols]
    return place, protocols, replace(loading, **{k: v for k, v in place.items() if k in LOADING_FIELDS})
