"""Where runs are logged to, as ``wandb`` in configurations and `--wandb` on the command line say it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ssl_av.errors import UserError, unknown

MODES = ("off", "offline", "online")
PROJECT = "ssl-av"


@dataclass(frozen=True)
class Tracking:
    """Where runs are logged to. The key of the account is W&B's own affair: it is in no configuration of ours.

    Attributes:
        mode: ``off``; ``offline``, into the run's folder, for `wandb sync` later; ``online``.
        project: of W&B; empty: $WANDB_PROJECT, else ``ssl-av``.
        entity: account or team; empty: $WANDB_ENTITY, else the account's default.
        tags: of every run.
        checkpoints: whether the last checkpoint is uploaded as an artifact.
        media: whether runs draw their views and features, for pictures and tables of features.
    """

    mode: str = "off"
    project: str = ""
    entity: str = ""
    tags: tuple[str, ...] = ()
    checkpoints: bool = False
    media: bool = True

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise unknown("wandb mode", self.mode, MODES)
        object.__setattr__(self, "tags", tuple(self.tags))
        for tag in self.tags:
            if not isinstance(tag, str) or not 0 < len(tag) <= 64:
                raise UserError(f"wandb.tags: a tag has 1 to 64 characters, got {tag!r}")

    @classmethod
    def of(cls, value: object) -> Tracking:
        """From a mode, or from a mapping of this class's fields.

        Raises:
            UserError: for a field or a mode that does not exist, or a value that does not fit.
        """
        given = as_mapping(value)
        known = [f.name for f in fields(cls)]
        for key, here in given.items():
            if key not in known:
                raise unknown("key in wandb", str(key), known)
            kind: Any = {"checkpoints": bool, "media": bool, "tags": (list, tuple)}.get(key, str)
            if not isinstance(here, kind):
                raise UserError(f"wandb.{key} does not fit: {here!r}")
        if given and "mode" not in given:
            raise UserError(f"wandb: {', '.join(given)} need a mode too: --wandb offline, or online")
        return cls(**given)

    def value(self) -> str | dict[str, Any]:
        """As it stands in a configuration: the mode alone, where nothing else was said."""
        said = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        said = {k: list(v) if isinstance(v, tuple) else v for k, v in said.items()}
        return {"mode": self.mode, **said} if set(said) - {"mode"} else self.mode

    @property
    def on(self) -> bool:
        """Whether anything is logged."""
        return self.mode != "off"

    def where(self) -> dict[str, Any]:
        """Arguments of `wandb.init` that say where."""
        return {
            "mode": self.mode,
            "project": self.project or os.environ.get("WANDB_PROJECT") or PROJECT,
            "entity": self.entity or os.environ.get("WANDB_ENTITY") or None,
        }


def as_mapping(value: object) -> dict[str, Any]:
    """``wandb`` of a configuration, which may be a mode alone, as a mapping."""
    given = dict(value) if isinstance(value, Mapping) else {"mode": value}
    # YAML reads a bare off as false
    return {k: "off" if k == "mode" and v is False else v for k, v in given.items()}
