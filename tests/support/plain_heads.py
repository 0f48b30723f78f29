"""Heads in plain numpy, and methods small enough to be differentiated by finite differences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from ssl_av.data.views import AudioView, VideoView
from ssl_av.methods import create_method
from ssl_av.methods.base import Method

Array = np.ndarray

SMALL: dict[str, Any] = {
    "inputs": {"frames": 4, "fps": 8, "size": 16, "audio_seconds": 0.5, "front_end": "small"},
    "networks": {
        "video": "r2plus1d_10", "video_args": {"width": 2, "time_strides": [1, 1, 2, 1]},
        "audio": "conv9_audio", "audio_args": {"width": 2},
    },
}  # fmt: skip


def unit(x: Array) -> Array:
    """x / ||x|| along the last axis."""
    return x / np.sqrt((x * x).sum(axis=-1, keepdims=True))


def numpy_of(x: torch.Tensor) -> Array:
    """A tensor's values in float64."""
    return x.detach().numpy().astype(np.float64)


def mlp(layers: nn.Module, x: Array) -> Array:
    """Linear layers, batch normalisation with the batch's own biased statistics, ReLU."""
    for layer in layers.children() if isinstance(layers, nn.Sequential) else [layers]:
        if isinstance(layer, nn.Linear):
            x = x @ numpy_of(layer.weight).T + numpy_of(layer.bias)
        elif isinstance(layer, nn.BatchNorm1d):
            x = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5)
            x = x * numpy_of(layer.weight) + numpy_of(layer.bias)
        elif isinstance(layer, nn.ReLU):
            x = np.maximum(x, 0.0)
        else:
            assert isinstance(layer, nn.Identity)
    return x


class Spied:
    """A method in float64 on a random batch, and what went through each of its backbones.

    Attributes:
        features: outputs of each backbone, in the order of its calls.
        calls: how often each module was called.
    """

    def __init__(self, name: str, size: int = 5, **settings: Any) -> None:
        torch.manual_seed(0)
        self.method = create_method(name, **(SMALL | settings)).train().double()
        _shake(self.method)
        self.features: dict[nn.Module, list[torch.Tensor]] = defaultdict(list)
        self.calls: dict[nn.Module, int] = defaultdict(int)
        backbones = {*self.method.backbones.values(), *getattr(self.method, "broad_backbones", {}).values()}
        for module in self.method.modules():
            module.register_forward_hook(self._count)
        for backbone in backbones:
            backbone.register_forward_hook(self._keep)
        self.batch = _batch(self.method, size)
        self.embeddings = self.method(self.batch)
        self.parts = self.method.loss(self.embeddings, self.batch)

    def _count(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self.calls[module] += 1

    def _keep(self, module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        self.features[module].append(output)


def assert_gradient(gradient: torch.Tensor, function: Callable[[Array], float], x: Array) -> None:
    """Holds a gradient against central differences of ``function`` at twenty places of ``x`` and one direction."""
    rng, got, step = np.random.default_rng(0), numpy_of(gradient), 1e-6
    places = [np.arange(x.size) == k for k in rng.choice(x.size, 20, replace=False)]
    for direction in (*places, rng.normal(size=x.size)):
        d = step * direction.reshape(x.shape)
        expected = (function(x + d) - function(x - d)) / (2 * step)
        tolerance = 1e-4 * np.linalg.norm(got) * np.linalg.norm(direction)
        assert abs((got * direction.reshape(x.shape)).sum() - expected) < tolerance


def _shake(method: Method) -> None:
    """Scales and offsets of normalisation that are neither 1 nor 0, so that they cannot be left out unseen."""
    for module in method.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)


def _batch(method: Method, size: int) -> dict[str, Any]:
    batch: dict[str, Any] = {"index": torch.arange(size), "label": torch.zeros(size, dtype=torch.long)}
    for name, view in method.views.items():
        if isinstance(view, AudioView):
            shape: tuple[int, ...] = (size, 1, 24, 16)
        else:
            shape = (size, 3 if isinstance(view, VideoView) else 2, view.frames, view.size, view.size)
        batch[name] = torch.randn(shape, dtype=torch.float64)
    return batch
