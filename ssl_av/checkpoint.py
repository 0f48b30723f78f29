"""From a file back to networks: our checkpoints, exported backbones, official checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from ssl_av.errors import UserError, unknown
from ssl_av.interop.files import read_file

if TYPE_CHECKING:
    from ssl_av.backbones import Backbone
    from ssl_av.methods.base import Method

BACKBONES = "backbones"
"""What stands in place of a method's name where a file holds backbones and no method."""


@dataclass(frozen=True)
class Saved:
    """What a file holds.

    Attributes:
        method: name of the method, or `BACKBONES`.
        settings: arguments that build it again.
        state: its state dict.
        origin: where the weights came from before, e.g. an official file; empty for a training of ours.
    """

    method: str
    settings: dict[str, Any]
    state: dict[str, Tensor]
    origin: dict[str, Any] = field(default_factory=dict)

    @property
    def modalities(self) -> list[str]:
        """The modalities that there is a backbone for."""
        return [m for m in ("video", "audio") if any(k.startswith(f"backbones.{m}.") for k in self.state)]


def load_method(path: str | Path) -> Method:
    """The whole method of a checkpoint, in eval mode: backbones, heads, memory.

    Args:
        path: a checkpoint of ours, an exported file, or an official checkpoint. Of an exported file, and where an
            official one holds no more, there are the backbones alone, without a loss.

    Raises:
        UserError: if the file is missing, is none of these, or does not fit its own settings in every tensor.
    """
    return build(read(path), path)


def load_backbone(path: str | Path, modality: str = "video") -> Backbone:
    """One backbone of a checkpoint, in eval mode: a plain module from [B, 3, T, H, W] or [B, 1, time, frequency].

    Args:
        path: a checkpoint of ours, an exported file, or an official checkpoint.
        modality: ``video`` or ``audio``.

    Raises:
        UserError: as `load_method`, or if the file has no such backbone.
    """
    if modality not in ("video", "audio"):
        raise unknown("modality", modality, ("video", "audio"))
    saved = read(path, backbones_only=True)
    if modality not in saved.modalities:
        raise UserError(
            f"{path}: has no {modality} backbone, only {' and '.join(saved.modalities) or 'other tensors'}"
        )
    if saved.method != BACKBONES:
        return cast("Backbone", build(saved, path).backbones[modality])
    from ssl_av.backbones import create_backbone
    from ssl_av.backbones.base import channels_last

    networks = saved.settings["networks"]
    net = channels_last(create_backbone(networks[modality], **networks[f"{modality}_args"]))
    prefix = f"backbones.{modality}."
    fill(net, {k.removeprefix(prefix): v for k, v in saved.state.items() if k.startswith(prefix)}, path)
    return net.eval()


def read(path: str | Path, backbones_only: bool = False) -> Saved:
    """What a file holds, whoever wrote it. No file's code is executed.

    Args:
        path: a checkpoint of ours, an exported file, or an official checkpoint.
        backbones_only: of an official checkpoint, read the backbones and leave the rest.

    Raises:
        UserError: if it is missing, unsafe or none of these.
    """
    path = Path(path)
    if path.is_dir():  # a run's folder
        path = path / "checkpoints" / "last.ckpt"
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint")
    if path.suffix == ".safetensors":
        from ssl_av.interop.export import read_export

        return read_export(path)
    tree = read_file(path)
    if isinstance(tree, Mapping) and "ssl_av" in tree:
        about = tree["ssl_av"]
        return Saved(about["method"], about["settings"], tree["state_dict"], about.get("origin") or {})
    from ssl_av.interop.official import convert

    return convert(path, tree, None, backbones_only)


def build(saved: Saved, path: str | Path) -> Method:
    """The method, in eval mode, with its weights.

    Raises:
        UserError: if the weights do not fit the settings in every tensor.
    """
    method = blank(saved.method, saved.settings)
    fill(method, saved.state, path)
    method.origin = dict(saved.origin)
    return method.eval()


def blank(method: str, settings: Mapping[str, Any]) -> Method:
    """A method, or `BACKBONES`, with initial weights."""
    if method == BACKBONES:
        from ssl_av.interop.backbones import Backbones
        from ssl_av.methods.settings import resolve

        return Backbones(**resolve(Backbones, settings))
    from ssl_av.methods import create_method

    return create_method(method, **settings)


def fill(module: torch.nn.Module, state: Mapping[str, Tensor], path: str | Path) -> None:
    """Copies every tensor, or none.

    Raises:
        UserError: if a name or a shape does not fit.
    """
    own = module.state_dict()
    missing, unexpected = sorted(set(own) - set(state)), sorted(set(state) - set(own))
    shapes = [
        f"{k} {list(state[k].shape)} for {list(v.shape)}"
        for k, v in own.items()
        if k in state and state[k].shape != v.shape
    ]
    if missing or unexpected or shapes:
        raise UserError(
            f"{path}: does not match its settings (missing {missing[:3]}, unexpected {unexpected[:3]}, "
            f"of another shape {shapes[:3]})"
        )
    module.load_state_dict(dict(state))


def write(saved: Saved, path: Path) -> None:
    """Writes a checkpoint that is no training's: whole or not at all."""
    about = {"method": saved.method, "settings": saved.settings, "origin": saved.origin}
    part = path.with_name(path.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": saved.state, "ssl_av": about}, part)
    part.replace(path)
