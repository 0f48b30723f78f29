"""Reference row: untrained backbones, measured as every method is."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from ssl_av.errors import UserError
from ssl_av.methods import register_method
from ssl_av.methods.base import Batch, Embeddings, Method
from ssl_av.methods.settings import Inputs, Networks, Optim


@register_method
class Random(Method):
    """Backbones as they are initialised. They are never trained."""

    name: ClassVar[str] = "random"
    paper: ClassVar[str] = "reference: untrained"
    trains: ClassVar[bool] = False

    def __init__(
        self, *, inputs: Inputs = Inputs(), networks: Networks = Networks(), optim: Optim = Optim()
    ) -> None:
        super().__init__(inputs, networks, optim)
        self.declare({"video": self.clip(), "audio": self.sound()})
        self.backbones["video"], self.backbones["audio"] = self.video_backbone(), self.audio_backbone()

    def forward(self, batch: Batch) -> Embeddings:
        """Pooled features, [B, num_features]."""
        return {m: self.backbones[m](batch[m]) for m in ("video", "audio")}

    def loss(self, embeddings: Embeddings, batch: Batch) -> dict[str, Tensor]:
        """There is none to minimise."""
        raise UserError("`random` is the untrained reference: it can be benched and evaluated, not fitted")
