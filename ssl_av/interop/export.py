"""Backbones as safetensors, to be used anywhere.

The file holds ``video.<parameter>`` and ``audio.<parameter>``, and in its header, under ``ssl_av``, JSON: the networks'
names and arguments, what they take as input, and where they come from.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ssl_av.checkpoint import BACKBONES, Saved, saved_from
from ssl_av.errors import UserError
from ssl_av.text import parse_json
from ssl_av.whole import whole_file

KEY = "ssl_av"
VERSION = "1"


def backbones_of(saved: Saved, modalities: Sequence[str], source: str) -> Saved:
    """The backbones of a checkpoint, without the method.

    Args:
        saved: what was read.
        modalities: which of them.
        source: name of its file.

    Raises:
        UserError: if it has none for a modality.
    """
    for m in modalities:
        if m not in saved.modalities:
            raise UserError(f"{source}: has no {m} backbone, only {' and '.join(saved.modalities)}")
    networks = dict(saved.settings["networks"])
    for m in ("video", "audio"):
        if m not in modalities:
            networks |= {m: "", f"{m}_args": {}}
    inputs = dict(saved.settings["inputs"])
    inputs["augment"] = inputs.get("augment") or _normalisation(saved)
    state = {
        k: v for k, v in saved.state.items() if k.startswith(tuple(f"backbones.{m}." for m in modalities))
    }
    origin = {"method": saved.method, "file": source} | ({"from": saved.origin} if saved.origin else {})
    return Saved(
        BACKBONES,
        {"inputs": inputs, "networks": networks},
        state,
        saved.origin if saved.method == BACKBONES else origin,
    )


def write_export(saved: Saved, path: Path) -> None:
    """Writes backbones as safetensors: whole or not at all.

    Raises:
        UserError: if the disk is full or cannot be written.
    """
    from safetensors.torch import save

    about = {"version": VERSION, "settings": saved.settings, "origin": saved.origin}
    state = {k.removeprefix("backbones."): v.contiguous() for k, v in saved.state.items()}
    data = save(state, metadata={"format": "pt", KEY: json.dumps(about)})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path, "wb") as file:
            file.write(data)
    except OSError as e:
        raise UserError(f"{path}: cannot be written ({e.strerror or e})") from None


def read_export(path: Path) -> Saved:
    """Reads what `write_export` wrote.

    Raises:
        UserError: if it is damaged or another program's.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {f"backbones.{k}": file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, MemoryError) as e:
        raise UserError(f"{path}: damaged, cut off or not a safetensors file ({e})") from None
    if KEY not in metadata:
        raise UserError(f"{path}: a safetensors file, but not one that `ssl-av export` wrote")
    try:
        about = parse_json(metadata[KEY])
    except ValueError as e:
        raise UserError(f"{path}: what it says of its networks is not JSON ({e})") from None
    return saved_from(path, {**about, "method": BACKBONES} if isinstance(about, dict) else about, state)


def _normalisation(saved: Saved) -> str | None:
    """The augmentation whose normalisation the video backbone was trained with."""
    if saved.method == BACKBONES:
        return None
    import torch

    from ssl_av.checkpoint import blank

    with torch.device("meta"):
        views = blank(saved.method, saved.settings).views
    return next((v.augment for v in views.values() if v.modality == "video"), None)
