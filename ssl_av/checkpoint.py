"""From a checkpoint back to networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from ssl_av.errors import UserError, unknown
from ssl_av.methods import create_method
from ssl_av.methods.base import Method


def load_method(path: str | Path) -> Method:
    """The whole method of a checkpoint of ours, in eval mode: backbones, heads, memory.

    Raises:
        UserError: if the file is missing, is not one of ours, or does not fit its own settings in every tensor.
    """
    checkpoint = _read(Path(path))
    about = checkpoint["ssl_av"]
    method = create_method(about["method"], **about["settings"])
    missing, unexpected = method.load_state_dict(checkpoint["state_dict"], strict=False)
    if missing or unexpected:
        raise UserError(
            f"{path}: does not match its settings (missing {missing[:3]}, unexpected {unexpected[:3]})"
        )
    return method.eval()


def load_backbone(path: str | Path, modality: str = "video") -> nn.Module:
    """One backbone of a checkpoint, in eval mode.

    Args:
        path: a checkpoint of ours.
        modality: ``video`` or ``audio``.

    Raises:
        UserError: as `load_method`, or if the method has no such backbone.
    """
    backbones = load_method(path).backbones
    if modality not in backbones:
        raise unknown(f"modality of {path}", modality, list(backbones))
    return backbones[modality]


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (
        Exception
    ) as e:  # torch raises anything from EOFError to UnpicklingError for a file that is none of its own
        raise UserError(f"{path}: not a checkpoint that can be read safely ({type(e).__name__})") from e
    if not isinstance(checkpoint, dict) or "ssl_av" not in checkpoint:
        raise UserError(f"{path}: a checkpoint, but not one of ssl-av's (it has no 'ssl_av' entry)")
    return checkpoint
