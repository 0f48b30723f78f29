"""`--trainer.compile`: the backbones of a training through torch.compile.

Only the backbones are compiled, and only while they train: there lies nearly all of the work, heads and losses decide
on values. What is saved has the same names, and evaluation runs the networks as they are written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ssl_av.backbones import Backbone
from ssl_av.errors import UserError, unknown

OPTION = "compile"
BACKENDS = ("none", "eager", "aot_eager", "inductor")
"""torch.compile's own ones; ``eager`` and ``aot_eager`` generate no code, and show where compiling fails."""


def split_compile(settings: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The Lightning trainer's arguments without ours, and the backend; ``none`` where there is none.

    Raises:
        UserError: for a backend that does not exist.
    """
    rest = dict(settings)
    backend = rest.pop(OPTION, None) or "none"
    if backend not in BACKENDS:
        raise unknown(f"backend of --trainer.{OPTION}", str(backend), BACKENDS)
    return rest, backend


def check_compile(backend: str) -> None:
    """Compiles a sum, before anything is prepared.

    Raises:
        UserError: where that cannot be done.
    """
    if backend == "none":
        return
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.compile(lambda x: x.sin() + 1, backend=backend, dynamic=False)(torch.ones(8, device=device))
    except Exception as e:  # each backend has its own
        why = " ".join(str(e).split())[:200]
        raise UserError(
            f"--trainer.{OPTION} {backend}: nothing can be compiled here: {why}; inductor needs a C++ compiler (CXX) "
            f"and on a GPU triton; leave --trainer.{OPTION} out"
        ) from None
    finally:
        torch.compiler.reset()


@contextmanager
def compiled(method: nn.Module, backend: str) -> Iterator[None]:
    """While this lasts, a method's backbones that train are compiled.

    Every shape has code of its own (no dynamic shapes), so that what was seen before changes no result.

    Args:
        method: whose backbones.
        backend: of `BACKENDS`.
    """
    nets = [net for net in method.modules() if isinstance(net, Backbone)] if backend != "none" else []
    for net in nets:
        written = net.forward_features
        fast = torch.compile(written, backend=backend, dynamic=False)
        vars(net)["forward_features"] = _while_training(net, fast, written)
    try:
        yield
    finally:
        for net in nets:
            del vars(net)["forward_features"]
        if nets:
            torch.compiler.reset()


def _while_training(
    net: nn.Module, fast: Callable[[Tensor], Tensor], written: Callable[[Tensor], Tensor]
) -> Callable[[Tensor], Tensor]:
    """The compiled one in training, the other one in the online probes, whose batches come in many shapes."""

    def forward_features(x: Tensor) -> Tensor:
        return fast(x) if net.training else written(x)

    return forward_features
