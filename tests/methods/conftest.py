"""Methods small enough to run in a blink."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small_methods import EXTRA, SMALL, batch_of

from ssl_av.methods import create_method
from ssl_av.methods.base import Method


@pytest.fixture
def small():
    """``small(name, **changes)`` builds a tiny method."""

    def build(name: str, **changes: Any) -> Method:
        torch.manual_seed(0)
        return create_method(name, **(SMALL | EXTRA.get(name, {}) | changes)).train()

    return build


@pytest.fixture(name="batch_of")
def raw_batch_of():
    """``batch_of(method, size)`` is a raw batch of its views, as the datamodule gives it."""
    return batch_of
