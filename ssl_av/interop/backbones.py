"""Backbones without a method: what an exported file holds, and an official one that holds no more."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from ssl_av.errors import UserError
from ssl_av.methods.base import Batch, Embeddings, Method
from ssl_av.methods.settings import Inputs, Networks, Optim


class Backbones(Method):
    """One backbone or two, and how their inputs are prepared; measured like a method, never trained.

    It has no name in the registry: files make it, users do not.

    Args:
        inputs: what the backbones see. ``inputs.augment`` names the augmentation whose centring and normalisation
            the video was trained with.
        networks: the backbones; an empty name where there is none.
    """

    name: ClassVar[str] = "backbones"
    paper: ClassVar[str] = "backbones only"
    trains: ClassVar[bool] = False

    def __init__(
        self, *, inputs: Inputs = Inputs(), networks: Networks = Networks(), optim: Optim = Optim()
    ) -> None:
        super().__init__(inputs, networks, optim)
        del self.settings["optim"]  # there is nothing to optimise
        if networks.video:
            self.backbones["video"] = self.video_backbone()
        if networks.audio:
            self.backbones["audio"] = self.audio_backbone()
        self.declare({m: self.clip() if m == "video" else self.sound() for m in self.backbones})

    def forward(self, batch: Batch) -> Embeddings:
        """Pooled features, [B, num_features]."""
        return {m: self.backbones[m](batch[m]) for m in self.backbones}

    def loss(self, embeddings: Embeddings, batch: Batch) -> dict[str, Tensor]:
        """There is none."""
        raise UserError(
            "backbones alone have no loss: start a method from them with `ssl-av fit --init FILE`"
        )
