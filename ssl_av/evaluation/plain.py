"""Any network measured by the protocols: nothing of ours need have trained it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ssl_av.backbones import Backbone
from ssl_av.config import LOADING_FIELDS
from ssl_av.data.datamodule import AVDataModule
from ssl_av.data.loading import Loading
from ssl_av.data.manifest import Manifest
from ssl_av.data.prepare import restrict
from ssl_av.errors import UserError
from ssl_av.evaluation.certainty import save_predictions
from ssl_av.evaluation.engine import Report, measure
from ssl_av.evaluation.folds import official_folds
from ssl_av.evaluation.leaks import Unseen, learned_from
from ssl_av.evaluation.places import OWN, Place, modalities_of, read_places
from ssl_av.evaluation.protocols import MODALITIES, Protocol, load_protocol
from ssl_av.evaluation.subject import load_subject
from ssl_av.evaluation.towers import Towers, Waveform
from ssl_av.methods.base import Batch, Embeddings, Method
from ssl_av.methods.settings import Inputs, Networks, Optim
from ssl_av.options import check

Record = dict[str, Any]


class Pooled(nn.Module):
    """A network of others as evaluation sees one: its output is the features.

    Args:
        net: gives [B, D], or a map [B, C, …], whose mean is taken; alone or as ``pooler_output``. For protocols that
            pool the last map, its ``forward_features`` gives that, if it has one.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward_features(self, x: Tensor) -> Tensor:
        """What the network gives."""
        return _features(self.net(x), x, "the network")

    @property
    def last_map(self) -> Callable[[Tensor], Tensor] | None:
        """From inputs to [B, C, …], for a protocol that pools it; None where the features are all that there is."""
        own = getattr(self.net, "forward_features", None)
        return own and (lambda x: _features(own(x), x, "the network's forward_features"))

    def pool(self, features: Tensor) -> Tensor:
        """[B, D]."""
        return features if features.ndim == 2 else features.flatten(2).mean(dim=2)

    def forward(self, x: Tensor) -> Tensor:
        """Features, [B, D]."""
        return self.pool(self.forward_features(x))


class Modules(Method):
    """Networks without a method: measured, never trained.

    Args:
        nets: by modality.
        inputs: what they see; ``inputs.augment`` names the augmentation whose normalisation the video expects.
        rate: samples a second of a network that takes waveforms; None for a spectrogram, ``inputs.front_end``.
    """

    name: ClassVar[str] = "modules"
    paper: ClassVar[str] = "networks of others"
    trains: ClassVar[bool] = False

    def __init__(self, nets: Mapping[str, nn.Module], inputs: Inputs, rate: int | None = None) -> None:
        super().__init__(inputs, Networks(), Optim())
        self.settings = {"inputs": self.settings["inputs"], "rate": rate}
        if rate is not None:
            self.front_end = Waveform(rate)  # type: ignore[assignment]
        for modality, net in nets.items():
            self.backbones[modality] = net if isinstance(net, Backbone) else Pooled(net)
            self.settings[modality] = [repr(net), _source(net)]
        self.declare({m: self.clip() if m == "video" else self.sound() for m in self.backbones})

    def forward(self, batch: Batch) -> Embeddings:
        """Pooled features, [B, D]."""
        return {m: self.net(m).pool(self.net(m).forward_features(batch[m])) for m in self.backbones}

    def loss(self, embeddings: Embeddings, batch: Batch) -> dict[str, Tensor]:
        """There is none."""
        raise UserError("networks without a method have no loss")


def evaluate(
    backbone: nn.Module | Mapping[str, nn.Module] | str | Path,
    protocol: str | Path | Protocol | Sequence[str | Path | Protocol],
    data: Manifest | Mapping[str, Any] | str,
    *,
    modality: str | None = None,
    inputs: Inputs | Mapping[str, Any] | None = None,
    waveform_rate: int | None = None,
    loading: Loading | Mapping[str, Any] | None = None,
    seed: int = 0,
    clips: int = 3,
    cache: str | Path | None = None,
    precision: str = "float32",
    report: Report | None = None,
    leaks: str = "refuse",
    out: str | Path | None = None,
) -> Record:
    """Measures any network by any protocols.

    >>> evaluate(net, "knn", {"name": "folder", "root": "videos"}, modality="video")  # doctest: +SKIP

    Args:
        backbone: a module from clips [B, 3, T, S, S] or spectrograms [B, 1, time, frequency] to features [B, D]; or
            modules by modality; or a run's folder, or a file of weights that `ssl_av.load_method` reads. It is measured
            where its weights lie, in eval mode, and left in the mode it was in.
        protocol: a name of `ssl-av list protocols`, a file, or several.
        data: a manifest; or ``{"name": …}`` with the data set's arguments, or the same in a word, ``esc50:DIR``, as
            `--eval` of the command line takes it: this gives all official folds to the protocols that average over
            them, or to every protocol with ``folds: all``.
        modality: ``video`` or ``audio``; needed for one module that does not say it (``modality``, as ours do).
        inputs: what the network sees where the protocol leaves it open.
        waveform_rate: samples a second, for a network that takes waveforms [B, samples].
        loading: how samples are loaded.
        seed: of the classifiers, and of random clips.
        clips: clips a sample where the protocol leaves it open.
        cache: a folder where features stay for the next call. By default they are forgotten. A module is known again by
            its weights, buffers, printed form and class's source: what else it depends on must stay as it was.
        precision: of the features: ``float32`` or ``float16``.
        report: told of the progress: (what, done, total, numbers).
        leaks: what becomes of test samples that stand in the training split too: ``refuse``, or ``tell``.
        out: a folder for the predictions, ``predictions/PROTOCOL.npz``
            (`ssl_av.evaluation.certainty.load_predictions`).

    Returns:
        ``results`` by protocol; ``protocols`` with version, hash and samples of each; ``data``.

    Raises:
        UserError: for a name that does not exist, or if networks, protocol and data do not fit each other.
    """
    if clips < 1:
        raise UserError(f"evaluate: clips must be at least 1, got {clips}")
    protocols = _protocols(protocol)
    seen: Inputs = _settings("inputs", Inputs, inputs)
    reading: Loading = _settings("loading", Loading, loading)
    if not isinstance(data, Manifest):
        data, protocols, reading = _place(data, protocols, reading)
    trained_on, theirs = None, "refuse"
    if isinstance(backbone, (str, Path)):
        subject = load_subject(str(backbone), {}, seed)
        method, trained_on, theirs = subject.method, subject.trained_on, subject.config.evaluation.leaks
    else:
        method = _method(backbone, modality, seen, waveform_rate)
    modes = [(m, m.training) for m in method.modules()]
    guard = Unseen(leaks, learned_from(trained_on, reading, theirs))
    try:
        method.eval()
        if isinstance(data, Manifest):
            guard.check(data, "")
            data = guard.without(data)
            asked = {m for p in protocols for m in p.modalities if m in method.backbones}
            folds = [AVDataModule(restrict(data, asked, "the manifest"), reading, seed)]
            towers = Towers(method, asked)
            name = ""
        else:
            name = str(data["name"])
            towers = Towers(method, modalities_of(data))
            if not towers.modalities:
                raise UserError(f"'{name}' has no {' or '.join(method.backbones)} to measure this network on")
            args = {k: v for k, v in data.items() if k not in OWN}
            folds = official_folds(args, reading, towers.modalities, protocols, seed, trained_on, guard=guard)
        found = measure(
            towers.eval(), folds, protocols, seed, Path(cache) if cache else None, clips, precision, report
        )
    finally:
        for module, mode in modes:
            module.training = mode
    if out is not None:
        save_predictions(found.outcomes, Path(out))
    first = folds[0].manifest
    return {
        "results": found.results,
        "protocols": found.protocols,
        "data": {"name": name, "hash": first.hash, "classes": len(first.classes), "skipped": found.skipped}
        | {s: len(first.split(s)) for s in ("train", "val", "test")}
        | guard.record(),
        "seed": seed,
    }


def _protocols(asked: str | Path | Protocol | Sequence[str | Path | Protocol]) -> list[Protocol]:
    several = [asked] if isinstance(asked, (str, Path, Protocol)) else list(asked)
    found = [load_protocol(p) for p in several]
    names = [p.name for p in found]
    for name in names:
        if names.count(name) > 1:
            raise UserError(
                f"evaluate: two protocols are called '{name}'; give one of them another name, e.g. "
                f"dataclasses.replace(protocol, name='{name}-mine')"
            )
    return found


def _settings(name: str, cls: type[Any], given: Any) -> Any:
    """Settings as an object of theirs, or as ``{name: value}``."""
    if isinstance(given, cls):
        return given
    if given is not None and not isinstance(given, Mapping):
        raise UserError(f"evaluate: {name} is {cls.__name__}(…) or {{name: value}}, got {given!r}")
    return cls(**check(name, cls, given or {}))


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


def _method(
    backbone: nn.Module | Mapping[str, nn.Module], modality: str | None, inputs: Inputs, rate: int | None
) -> Method:
    if isinstance(backbone, Method):
        return backbone
    if isinstance(backbone, nn.Module) and not isinstance(backbone, nn.ModuleDict):
        modality = modality or getattr(backbone, "modality", None)
        if modality not in MODALITIES:
            raise UserError("evaluate: say what the network takes: modality='video' or modality='audio'")
        backbone = {modality: backbone}
    nets = dict(backbone.items()) if isinstance(backbone, (Mapping, nn.ModuleDict)) else {}
    if not nets:
        raise UserError(
            f"evaluate: the backbone is an nn.Module, modules by modality, or a file; got {backbone!r}"
        )
    if not set(nets) <= set(MODALITIES):
        raise UserError(f"evaluate: networks are given by modality, video and audio; got {', '.join(nets)}")
    device = next((p.device for net in nets.values() for p in net.parameters()), torch.device("cpu"))
    return Modules(nets, inputs, rate).to(device)


def _features(out: Any, x: Tensor, who: str) -> Tensor:
    """What a network gave, if it is features or a map of every input."""
    out = out.get("pooler_output", out) if isinstance(out, Mapping) else getattr(out, "pooler_output", out)
    if isinstance(out, Tensor) and out.ndim > 1 and len(out) == len(x):
        return out
    found = _shape(out)
    if isinstance(out, Mapping):
        found = f"{type(out).__name__} of {', '.join(f'{k}: {_shape(v)}' for k, v in out.items())}"
    elif isinstance(out, (tuple, list)):
        found = f"{type(out).__name__} of {', '.join(map(_shape, out))}"
    raise UserError(
        f"{who} gives {found} for {list(x.shape)}; features [B, D] or a map [B, C, …] are needed: measure a module "
        "whose forward returns that one tensor"
    )


def _shape(value: Any) -> str:
    return str(list(value.shape)) if isinstance(value, Tensor) else type(value).__name__


def _source(net: nn.Module) -> str:
    """A network's code, so that features of another one of the same name are not taken for its own."""
    try:
        return inspect.getsource(type(net))
    except (OSError, TypeError):
        return type(net).__qualname__
