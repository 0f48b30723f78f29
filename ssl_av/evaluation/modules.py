"""Networks of others as evaluation sees them: a method that is measured and never trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ssl_av.backbones import Backbone
from ssl_av.errors import UserError
from ssl_av.evaluation.functions import Function, is_function, source
from ssl_av.evaluation.protocols import MODALITIES
from ssl_av.evaluation.towers import Waveform
from ssl_av.methods.base import Batch, Embeddings, Method
from ssl_av.methods.settings import Inputs, Networks, Optim


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
            self.settings[modality] = [repr(net), source(type(net))]
        self.declare({m: self.clip() if m == "video" else self.sound() for m in self.backbones})

    def forward(self, batch: Batch) -> Embeddings:
        """Pooled features, [B, D]."""
        return {m: self.net(m).pool(self.net(m).forward_features(batch[m])) for m in self.backbones}

    def loss(self, embeddings: Embeddings, batch: Batch) -> dict[str, Tensor]:
        """There is none."""
        raise UserError("networks without a method have no loss")


def as_method(
    backbone: nn.Module | Callable[[Tensor], Any] | Mapping[str, Any],
    modality: str | None,
    inputs: Inputs,
    rate: int | None,
) -> Method:
    """A method of what `ssl_av.evaluate` is given: a method as it is, networks and functions as `Modules`.

    Raises:
        UserError: if it is neither, or does not say which modality it is of.
    """
    if isinstance(backbone, Method):
        return backbone
    if callable(backbone) and is_function(backbone):
        backbone = Function(backbone)
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
    nets = {m: Function(net) if is_function(net) else net for m, net in nets.items()}
    device = next((p.device for net in nets.values() for p in net.parameters()), torch.device("cpu"))
    return Modules(nets, inputs, rate).to(device)


def inputs_of(backbone: Any, given: Any) -> Any:
    """Inputs as they were given, laid over what the networks say that they were trained with.

    Raises:
        UserError: if nothing was given, and two networks were trained with different inputs.
    """
    nets = list(backbone.values()) if isinstance(backbone, Mapping) else [backbone]
    known = [net.inputs for net in nets if isinstance(net, Backbone) and net.inputs is not None]
    if not known or not (given is None or isinstance(given, Mapping)):
        return given
    if given is None and any(one != known[0] for one in known):
        raise UserError(f"evaluate: these networks were trained with different inputs; give inputs: {known}")
    return {**known[0], **(given or {})}


def _features(out: Any, x: Tensor, who: str) -> Tensor:
    """What a network gave, if it is features or a map of every input."""
    out = out.get("pooler_output", out) if isinstance(out, Mapping) else getattr(out, "pooler_output", out)
    out = torch.from_numpy(out) if isinstance(out, np.ndarray) else out
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
