"""Functions as networks: what they use is looked for, so that no other one's features are taken for theirs."""

from __future__ import annotations

import hashlib
import inspect
import sysconfig
import uuid
from collections.abc import Callable, Mapping
from types import BuiltinFunctionType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

PLAIN = (
    type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device, ModuleType, BuiltinFunctionType,
)  # fmt: skip

LIBRARIES = tuple({sysconfig.get_paths()[k] for k in ("stdlib", "purelib", "platlib")})
"""Functions from there are known by their names: what they use is long and does not change from call to call."""


def is_function(value: Any) -> bool:
    """Whether it is a function or a method that was written in Python."""
    return inspect.isfunction(value) or inspect.ismethod(value)


def source(of: Any) -> str:
    """The code of a class or a function; its name where the code is not there."""
    try:
        return inspect.getsource(of)
    except (OSError, TypeError):
        return str(getattr(of, "__qualname__", of))


class Function(nn.Module):
    """A function of a batch as a network, whose parts are the networks that the function uses.

    So it is measured where these lie and in eval mode, and their weights tell its features from others.

    Args:
        function: from what the network would take to what it would give.
    """

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function
        self.nets = nn.ModuleList()
        self._seen: dict[int, Any] = {}  # held, for an id may come again
        self._known = self._word(function)

    def forward(self, x: Tensor) -> Any:
        """What the function gives."""
        return self.function(x)

    def extra_repr(self) -> str:
        """What it is known again by."""
        return self._known

    def _word(self, value: Any) -> str:
        """What tells a value from others; of one that nothing tells, a word that never comes again."""
        if isinstance(value, nn.Module):
            self.nets.append(value)
            return source(type(value))
        if isinstance(value, PLAIN):
            return repr(value)
        if id(value) in self._seen:  # in itself
            return ""
        self._seen[id(value)] = value
        if isinstance(value, Tensor) and value.layout == torch.strided:
            bits = value.detach().cpu().contiguous().flatten().view(torch.uint8)
            return f"{value.dtype} {tuple(value.shape)} {self._word(bits.numpy())}"
        if isinstance(value, np.ndarray) and not value.dtype.hasobject:
            return f"{value.dtype} {value.shape} {hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()}"
        if isinstance(value, Mapping):
            return f"{{{', '.join(f'{k!r}: {self._word(v)}' for k, v in value.items())}}}"
        if isinstance(value, (list, tuple)):
            return f"[{', '.join(map(self._word, value))}]"
        if isinstance(value, type):
            return source(value)
        if not is_function(value):
            own = getattr(value, "__dict__", {}).values()
            self.nets.extend(part for part in own if isinstance(part, nn.Module))
            return uuid.uuid4().hex
        if inspect.isfunction(value) and value.__code__.co_filename.startswith(LIBRARIES):
            return f"{value.__module__}.{value.__qualname__}"
        used = inspect.getclosurevars(value)
        parts = [used.nonlocals, used.globals, value.__defaults__, value.__kwdefaults__]
        if inspect.ismethod(value):
            parts.append(value.__self__)
        return f"{value.__module__}.{value.__qualname__} {source(value)} {self._word(parts)}"
