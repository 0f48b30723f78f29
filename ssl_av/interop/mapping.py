"""From an official checkpoint's names and shapes to ours, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ssl_av.checkpoint import BACKBONES, Saved, blank
from ssl_av.errors import UserError
from ssl_av.interop.files import named

Source = Mapping[str, Tensor]


@dataclass(frozen=True)
class Layout:
    """What an official file turned out to be.

    Attributes:
        name: the layout, e.g. ``avid``.
        method: our method of that paper: its default inputs are the backbones'.
        networks: the backbones found, as `Networks` takes them, by modality: (name, arguments).
        prefixes: how the official names of each backbone begin.
        naming: our name → the official one; None for what that network has not, where our initial value is right.
        settings: further arguments of the method; None if the file has backbones and no more.
        unused: official names that no network uses: dead layers, copies.
        found: what was found out, for people.
    """

    name: str
    method: str
    networks: Mapping[str, tuple[str, dict[str, Any]]]
    prefixes: Mapping[str, str]
    naming: Callable[[str], str | None]
    settings: dict[str, Any] | None = None
    unused: Callable[[str], bool] = lambda name: False
    found: tuple[str, ...] = ()


def assemble(path: Path, source: Source, layout: Layout, backbones_only: bool) -> Saved:
    """Builds the networks that were found and gives them every tensor of the file.

    Args:
        path: for messages.
        source: official name → tensor, in our order of axes.
        layout: what the file is.
        backbones_only: leave heads and memory.

    Raises:
        UserError: if anything is missing, left over or of another shape.
    """
    networks: dict[str, Any] = {"video": "", "audio": ""}
    for modality, (name, args) in layout.networks.items():
        networks |= {modality: name, f"{modality}_args": args}
    unused = layout.unused
    found = [*layout.found, *(f"{m}: {_call(name, args)}" for m, (name, args) in layout.networks.items())]
    if backbones_only or layout.settings is None:
        inputs = _default_inputs(layout.method) | {"augment": layout.method}
        name, settings = BACKBONES, {"inputs": inputs, "networks": networks}
        prefixes = tuple(layout.prefixes[m] for m in layout.networks)

        def unused(name: str) -> bool:
            return layout.unused(name) or not name.startswith(prefixes)

        found.append("backbones only")
    else:
        name, settings = layout.method, {"networks": networks, **layout.settings}
    with torch.device("meta"):  # a file may ask for any size: room is made for weights that are there only
        _gather(path, source, blank(name, settings).state_dict(), layout, unused)
    method = blank(name, settings)
    state = _gather(path, source, method.state_dict(), layout, unused)
    origin = {"file": path.name, "layout": layout.name, "found": found}
    return Saved(method.name, method.settings, state, origin)


def _gather(
    path: Path, source: Source, initial: Source, layout: Layout, unused: Callable[[str], bool]
) -> dict[str, Tensor]:
    """Our state dict, every tensor of it from the file."""
    state: dict[str, Tensor] = {}
    missing: list[str] = []
    shapes: list[str] = []
    used = set()
    for ours, value in initial.items():
        theirs = layout.naming(ours)
        if theirs is None or (theirs not in source and ours.endswith("num_batches_tracked")):
            state[ours] = value  # e.g. a counter that old files have not and nothing depends on
            continue
        used.add(theirs)
        if theirs not in source:
            missing.append(theirs)
        elif source[theirs].shape != value.shape:
            shapes.append(f"{theirs} {list(source[theirs].shape)} for {list(value.shape)}")
        else:
            state[ours] = source[theirs].to(value.dtype).contiguous()
    unexpected = [name for name in source if name not in used and not unused(name)]
    if missing or unexpected or shapes:
        counts = [
            named(what, names)
            for what, names in (
                ("missing", missing), ("unexpected", unexpected), ("of another shape", shapes),
            )
            if names
        ]  # fmt: skip
        hint = "" if unused is not layout.unused else "; --backbones-only imports the backbones alone"
        raise UserError(f"{path}: not a whole '{layout.name}' checkpoint: {'; '.join(counts)}{hint}")
    return state


def tensors(tree: Any, keys: Iterable[str] = ()) -> dict[str, Tensor]:
    """The tensors of the first of ``keys`` that ``tree`` has, or of ``tree`` itself; names without ``module.``."""
    if not isinstance(tree, Mapping):
        return {}
    inner = next((tree[k] for k in keys if isinstance(tree.get(k), Mapping)), tree)
    return {str(k).removeprefix("module."): v for k, v in inner.items() if isinstance(v, torch.Tensor)}


def count_blocks(source: Source, prefix: str) -> int:
    """How many of ``<prefix>0.``, ``<prefix>1.``, … a state dict has."""
    count = 0
    while any(name.startswith(f"{prefix}{count}.") for name in source):
        count += 1
    return count


def shape_of(path: Path, source: Source, name: str) -> torch.Size:
    """The shape of a tensor that must be there.

    Raises:
        UserError: if it is not.
    """
    if name not in source:
        raise UserError(f"{path}: its networks cannot be told: 1 missing: {name}")
    return source[name].shape


def turn_kernels(source: Source, prefix: str) -> dict[str, Tensor]:
    """The 2D convolutions under ``prefix`` with their last two axes exchanged.

    The networks of GDT and CrissCross look at spectrograms [frequency, time]; ours look at [time, frequency]. Their
    strides and paddings are the same along both, so a turned kernel on a turned input gives the turned output.
    """
    return {
        name: value.transpose(2, 3) if name.startswith(prefix) and value.ndim == 4 else value
        for name, value in source.items()
    }


def _default_inputs(method: str) -> dict[str, Any]:
    """The inputs that a method has by default: its paper's."""
    from ssl_av.methods import method_class
    from ssl_av.methods.settings import plain, resolve

    inputs: dict[str, Any] = plain({"inputs": resolve(method_class(method), {})["inputs"]})["inputs"]
    return inputs


def _call(name: str, args: Mapping[str, Any]) -> str:
    return f"{name}({', '.join(f'{k}={v}' for k, v in args.items())})"
