"""Groups of settings that every method has; a method's own defaults are its paper's numbers."""

from __future__ import annotations

import dataclasses
import inspect
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ssl_av.errors import UserError, unknown
from ssl_av.methods.optim_settings import Optim

if TYPE_CHECKING:
    from ssl_av.methods.base import Method

__all__ = ["Inputs", "Networks", "Optim", "check_choice", "check_positive", "plain", "resolve"]


@dataclass(frozen=True)
class Inputs:
    """What the video and the audio backbone see, in training and in evaluation.

    Attributes:
        frames: frames a clip.
        fps: frames a second.
        size: height and width in pixels.
        audio_seconds: length of the sound.
        front_end: spectrogram, a name of `ssl_av.transforms.spectrogram`.
        crop_area: (low, high) share of the frame that a random crop covers; null keeps the paper's.
        augment: one augmentation for the views of every method (a name of `ssl_av.transforms.AUGMENTS`), so that a
            comparison is between methods alone; null gives each method its paper's.
    """

    frames: int = 8
    fps: float = 16.0
    size: int = 112
    audio_seconds: float = 2.0
    front_end: str = "avid"
    crop_area: tuple[float, float] | None = None
    augment: str | None = None

    def __post_init__(self) -> None:
        check_positive(**{f"inputs.{k}": getattr(self, k) for k in ("frames", "fps", "audio_seconds")})
        if self.size < 8:
            raise UserError(f"inputs.size must be at least 8 pixels, got {self.size}")
        if self.crop_area is not None:
            low, high = self.crop_area
            if not 0 < low <= high <= 1:
                raise UserError(f"inputs.crop_area is (low, high) within 0 … 1, got {list(self.crop_area)}")


@dataclass(frozen=True)
class Networks:
    """The backbones, by name.

    Attributes:
        video: a video backbone of ``ssl-av list backbones``.
        video_args: its arguments, e.g. ``{width: 16}``.
        audio: an audio backbone.
        audio_args: its arguments.
    """

    video: str = "r2plus1d_18"
    video_args: dict[str, Any] = field(default_factory=dict)
    audio: str = "conv9_audio"
    audio_args: dict[str, Any] = field(default_factory=dict)


def resolve(cls: type[Method], given: Mapping[str, Any]) -> dict[str, Any]:
    """Completes a method's arguments: its defaults, with what was given laid over them.

    Args:
        cls: the method.
        given: arguments; a group may be a dictionary with some of its fields.

    Raises:
        UserError: for an argument or a field that does not exist; names the nearest ones.
    """
    parameters = inspect.signature(cls).parameters
    settings = {n: p.default for n, p in parameters.items() if p.default is not inspect.Parameter.empty}
    for name, value in given.items():
        if name not in parameters:
            raise unknown(f"argument of method '{cls.name}'", name, parameters)
        default = settings.get(name)
        if dataclasses.is_dataclass(default) and not isinstance(default, type) and isinstance(value, Mapping):
            fields = {f.name for f in dataclasses.fields(default)}
            for key in value:
                if key not in fields:
                    raise unknown(f"field of '{name}'", key, fields)
            changes = {k: tuple(v) if k == "crop_area" and v is not None else v for k, v in value.items()}
            # Another backbone does not inherit the arguments of the one that it replaces.
            for net in ("video", "audio"):
                if name == "networks" and net in changes and changes[net] != getattr(default, net):
                    changes.setdefault(f"{net}_args", {})
            value = dataclasses.replace(default, **changes)
        settings[name] = value
    return settings


def plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as nested dictionaries and lists: what a YAML file or a checkpoint holds."""

    def convert(value: Any) -> Any:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {f.name: convert(getattr(value, f.name)) for f in dataclasses.fields(value)}
        if isinstance(value, Mapping):
            return {k: convert(v) for k, v in value.items()}
        if isinstance(value, (tuple, list)):
            return [convert(v) for v in value]
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        return value

    result: dict[str, Any] = convert(settings)
    return result


def check_choice(what: str, value: str, choices: tuple[str, ...]) -> None:
    """Raises a `UserError` with near names when a named option does not exist."""
    if value not in choices:
        raise unknown(what, value, choices)


def check_positive(**values: float) -> None:
    """Raises a `UserError` for a number that must be above zero."""
    for name, value in values.items():
        if not value > 0:
            raise UserError(f"{name} must be above 0, got {value}")
