"""`fit --init`: a training that begins with the weights of a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ssl_av.checkpoint import BACKBONES, Saved, read
from ssl_av.errors import UserError
from ssl_av.interop.files import named
from ssl_av.methods import method_class
from ssl_av.methods.base import Method

PARTS = ("all", "networks", "backbones")
# What a training counts and finds by itself: CMA takes its positives from the bank when their time has come.
FOUND_AGAIN = ("positive_set", "renewed_at")


def initialise(method: Method, path: str, parts: str = "all") -> dict[str, Any]:
    """Copies the weights of a file into a new method, and tells which.

    Of a file of the same method, or of one that it extends (CMA extends AVID), everything is taken: backbones,
    heads, memory and partition function. Of another method's, the backbones.

    Args:
        method: as it was created.
        path: a checkpoint of ours, an exported or an official file.
        parts: ``all``; ``networks``: without the memory; ``backbones``: those alone.

    Returns:
        For the record: ``file``, ``method``, and the parts that were ``loaded``, those of the method that were left at
        their ``initial`` values, and those of the file that were ``unused``.

    Raises:
        UserError: if what would be loaded has another shape, or there is nothing to load.
    """
    with torch.random.fork_rng(devices=[]):  # the run's random numbers are the same with and without
        saved = read(path, backbones_only=parts == "backbones")
    own, theirs = method.state_dict(), saved.state
    both = _parts(own, method, saved, parts) & _parts(theirs, method, saved, parts)
    wanted = [k for k in own if _part(k) in both]
    shapes = [  # a part is taken whole: half of its names elsewhere would be another network
        f"{k} is {_shape(theirs, k)} there and {_shape(own, k)} here"
        for k in dict.fromkeys([*wanted, *(k for k in theirs if _part(k) in both)])
        if _shape(theirs, k) != _shape(own, k)
    ]
    if shapes:
        raise UserError(
            f"--init {path}: {named('tensors do not fit', shapes)}{_remedy(method, saved, shapes)}"
        )
    if not wanted:
        raise UserError(
            f"--init {path}: nothing in it fits '{method.name}': it has {' and '.join(saved.modalities) or 'no'} "
            f"backbones, the method has {' and '.join(method.backbones)}"
        )
    for k in wanted:
        own[k].copy_(theirs[k])
    loaded = list(dict.fromkeys(_part(k) for k in wanted))
    filled = {own[k].data_ptr() for k in wanted}  # BraVe's backbones have two names each
    initial = list(dict.fromkeys(_part(k) for k in own if own[k].data_ptr() not in filled))
    unused = list(dict.fromkeys(p for p in map(_part, theirs) if p not in loaded))
    return {"file": path, "method": saved.method, "loaded": loaded, "initial": initial, "unused": unused}


def describe(done: Mapping[str, Any]) -> list[str]:
    """Three lines for people."""
    whose = "backbones" if done["method"] == BACKBONES else f"'{done['method']}'"
    return [
        f"init: {', '.join(done['loaded'])} from {whose} of {done['file']}",
        f"init: left at their initial values: {', '.join(done['initial']) or 'nothing'}",
        f"init: not used of the file: {', '.join(done['unused']) or 'nothing'}",
    ]


def _parts(state: Mapping[str, Tensor], method: Method, saved: Saved, parts: str) -> set[str]:
    return {_part(k) for k in state if _takes(k, method, saved, parts)}


def _shape(state: Mapping[str, Tensor], key: str) -> str:
    return str(list(state[key].shape)) if key in state else "absent"


def _takes(key: str, method: Method, saved: Saved, parts: str) -> bool:
    if key.startswith("backbones."):
        return True
    if parts == "backbones" or saved.method == BACKBONES or key in FOUND_AGAIN:
        return False
    if parts == "networks" and _is_memory(key):
        return False
    return issubclass(type(method), method_class(saved.method))


def _part(key: str) -> str:
    head, _, rest = key.partition(".")
    return f"{head}.{rest.partition('.')[0]}" if rest and not rest[0].isdigit() else head


def _is_memory(key: str) -> bool:
    """What belongs to the samples and not to a network: the bank, and what stands at the method itself."""
    return key.startswith("bank.") or "." not in key


def _remedy(method: Method, saved: Saved, shapes: list[str]) -> str:
    keys = [s.split(" ", 1)[0] for s in shapes]
    if all(_is_memory(k) for k in keys):
        return "; the memory is of other samples: --init-parts networks leaves it"
    if any(k.startswith("backbones.") for k in keys):
        there = saved.settings["networks"]
        m = next(k for k in keys if k.startswith("backbones.")).split(".")[1]
        args = there.get(f"{m}_args") or {}
        given = f"--method.networks.{m} {there[m]}" + (f" with {args}" if args else "")
        return f"; its {m} backbone is {given}"
    return "; --init-parts backbones leaves the heads"
