"""From a file back to networks: our checkpoints, exported backbones, official checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from ssl_av.errors import UserError, unknown
from ssl_av.interop.files import read_file
from ssl_av.machine import of_the_disk
from ssl_av.whole import whole_file

if TYPE_CHECKING:
    from ssl_av.backbones import Backbone
    from ssl_av.methods.base import Method

DEEPEST = 20
"""Levels of settings in each other; ours have four."""

MOST = 100_000
"""Values of settings; ours have some hundred, and one more for each block that is listed."""

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
    method = build(read(path), path)
    method.source = Path(path)
    return method


def load_backbone(path: str | Path, modality: str = "video") -> Backbone:
    """One backbone of a checkpoint, in eval mode: a plain module from [B, 3, T, H, W] or [B, 1, time, frequency].

    Its ``inputs`` say what it was trained with, and ``source`` where it lay: `ssl_av.evaluate` gives it the same
    inputs, and looks for test samples in what its run was trained on.

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
        method = build(saved, path)
        found = cast("Backbone", method.backbones[modality])
        own = next((v.augment for v in method.views.values() if v.modality == modality), None)
        found.inputs = dict(saved.settings["inputs"]) | {"augment": method.inputs.augment or own}
        found.source = Path(path)
        return found
    from ssl_av.backbones import create_backbone
    from ssl_av.backbones.base import channels_last

    prefix = f"backbones.{modality}."
    state = {k.removeprefix(prefix): v for k, v in saved.state.items() if k.startswith(prefix)}
    with _settings_blamed(saved, path):
        networks = saved.settings["networks"]
        name, args = networks[modality], networks[f"{modality}_args"]
        with torch.device("meta"):
            _compare(create_backbone(name, **args).state_dict(), state, path)
        net = channels_last(create_backbone(name, **args))
    fill(net, state, path)
    net.inputs, net.source = dict(saved.settings["inputs"]), Path(path)
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
        return saved_from(path, tree["ssl_av"], tree.get("state_dict"))
    from ssl_av.interop.official import convert

    return convert(path, tree, None, backbones_only)


def saved_from(path: Path, about: Any, state: Any) -> Saved:
    """What a file of ours says that it holds.

    Args:
        path: for messages.
        about: its method, settings and origin.
        state: its tensors.

    Raises:
        UserError: if one of these is missing or of another kind.
    """
    about = about if isinstance(about, Mapping) else {}
    method, settings, origin = about.get("method"), about.get("settings"), about.get("origin") or {}
    wrong = [
        what
        for what, right in (
            ("the name of its method", isinstance(method, str)),
            ("its settings", _is_plain(settings) and isinstance(settings, Mapping)),
            ("its origin", _is_plain(origin) and isinstance(origin, Mapping)),
            ("its weights", isinstance(state, Mapping) and all(_is_weight(*item) for item in state.items())),
        )
        if not right
    ]
    if wrong:
        raise UserError(f"{path}: not a whole file of ssl-av: {' and '.join(wrong)} cannot be read")
    return Saved(str(method), dict(settings), dict(state), dict(origin))


def _is_weight(name: Any, value: Any) -> bool:
    return isinstance(name, str) and isinstance(value, Tensor) and value.layout == torch.strided


def _is_plain(tree: Any) -> bool:
    """Whether it is made of words, numbers, lists and mappings, as settings are; a list may stand in many places."""
    count, todo = 0, [(tree, 0)]
    while todo:
        value, depth = todo.pop()
        count += 1
        if isinstance(value, Mapping):
            if not all(isinstance(key, str) for key in value):
                return False
            parts = list(value.values())
        elif isinstance(value, (list, tuple)):
            parts = list(value)
        elif value is None or isinstance(value, (str, bool, int, float)):
            continue
        else:
            return False
        if depth == DEEPEST or count + len(todo) + len(parts) > MOST:
            return False
        todo += [(part, depth + 1) for part in parts]
    return True


def build(saved: Saved, path: str | Path) -> Method:
    """The method, in eval mode, with its weights.

    Raises:
        UserError: if its settings make no method, or the weights do not fit them in every tensor.
    """
    with _settings_blamed(saved, path):
        with torch.device(
            "meta"
        ):  # settings may ask for any size: room is made for weights that are there only
            _compare(blank(saved.method, saved.settings).state_dict(), saved.state, path)
        method = blank(saved.method, saved.settings)
    fill(method, saved.state, path)
    method.origin = dict(saved.origin)
    return method.eval()


@contextmanager
def _settings_blamed(saved: Saved, path: str | Path) -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError, KeyError, AttributeError, ArithmeticError, RuntimeError, MemoryError) as e:
        raise UserError(f"{path}: its settings make no '{saved.method}' ({type(e).__name__}: {e})") from e


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
    _compare(module.state_dict(), state, path)
    module.load_state_dict(dict(state))


def _compare(own: Mapping[str, Tensor], state: Mapping[str, Tensor], path: str | Path) -> None:
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


def write(saved: Saved, path: Path) -> None:
    """Writes a checkpoint that is no training's: whole or not at all.

    Raises:
        UserError: if the disk is full or cannot be written.
    """
    about = {"method": saved.method, "settings": saved.settings, "origin": saved.origin}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path, "wb") as file:
            torch.save({"state_dict": saved.state, "ssl_av": about}, file)
    except (OSError, RuntimeError) as e:
        if (seen := of_the_disk(e)) is None:
            raise
        raise UserError(f"{path}: cannot be written ({seen.strerror})") from e
