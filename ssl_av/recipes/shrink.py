"""``--shrink``: a recipe at toy size, so that its very code path trains on a laptop in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ssl_av.config import merge
from ssl_av.errors import UserError
from ssl_av.recipes import Recipe

#: Samples of synthav last 4 s where the papers' last 10: every length in time shrinks alike.
TIME = 0.4
SIZE = 32
FRAMES = 8
WIDTH = 8
DATA: dict[str, Any] = {
    "name": "synthav", "train": 16, "val": 2, "test": 2, "batch_size": 4, "num_workers": 0, "decode_size": 40,
    "make_flow": True,
}  # fmt: skip


def shrunk(recipe: Recipe) -> Recipe:
    """The same method, variant, terms and kind of optimiser: on synthav, for two steps.

    Pictures have 32 pixels and at most 8 frames, lengths in time are 0.4 times the paper's, networks are 8 channels
    wide where their width can be chosen; what else a method needs smaller stands under ``shrink`` in its recipes.
    """
    from ssl_av.methods import method_class
    from ssl_av.methods.settings import plain, resolve
    from ssl_av.options import check

    name = recipe.method["name"]
    arguments = {k: v for k, v in recipe.method.items() if k != "name"}
    arguments = check("method", method_class(name), arguments, skip=("num_samples", "num_classes"))
    full = plain(resolve(method_class(name), arguments))
    inputs = full["inputs"]
    frames = min(inputs["frames"], FRAMES)
    small = {
        "inputs": {
            "frames": frames,
            "fps": round(frames / (inputs["frames"] / inputs["fps"] * TIME), 3),
            "size": SIZE,
            "audio_seconds": round(inputs["audio_seconds"] * TIME, 3),
        },
        "networks": _narrow(full["networks"]),
    }
    method = merge(merge({"name": name, **arguments}, small), recipe.shrink or {})
    return replace(
        recipe,
        method=method,
        data=dict(DATA),
        training_samples=DATA["train"],
        budget={"steps": 2},
        evaluation={"protocols": [], "clips": 1, "probes": 0},
        trainer={"precision": "32-true"},
    )


def _narrow(networks: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments for as few channels as the tests need, of the backbones whose width can be chosen."""
    import torch

    from ssl_av.backbones import create_backbone

    out: dict[str, Any] = {}
    for net in ("video", "audio"):
        with torch.device("meta"), suppress(UserError):  # a network that has no width is taken as it is
            create_backbone(networks[net], **{**networks[f"{net}_args"], "width": WIDTH})
            out[f"{net}_args"] = {"width": WIDTH}
    return out
