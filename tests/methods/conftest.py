"""Methods small enough to run in a blink."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small_methods import EXTRA, SMALL

from ssl_av.data.views import AudioView, VideoView
from ssl_av.methods import create_method
from ssl_av.methods.base import Method


@pytest.fixture
def small():
    """``small(name, **changes)`` builds a tiny method."""

    def build(name: str, **changes: Any) -> Method:
        torch.manual_seed(0)
        return create_method(name, **(SMALL | EXTRA.get(name, {}) | changes)).train()

    return build


@pytest.fixture
def batch_of():
    """``batch_of(method, size)`` is a raw batch of its views, as the datamodule gives it."""

    def make(method: Method, size: int = 6) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(1)
        batch: dict[str, Any] = {"index": torch.arange(size), "label": torch.arange(size) % 3, "skipped": []}
        for name, view in method.views.items():
            if isinstance(view, AudioView):
                batch[name] = torch.randn(size, view.samples, generator=generator) * 0.1
                continue
            shape = (size, 3 if isinstance(view, VideoView) else 2, view.frames, 40, 40)
            batch[name] = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
            batch[f"{name}.aspect"] = torch.full((size,), 1.25)
            if not isinstance(view, VideoView):
                batch[f"{name}.step"] = torch.full((size,), 10 / 127 / 128)
        return batch

    return make
