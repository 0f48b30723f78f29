"""Reference row: both backbones trained with the labels, under the same budget as every method."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from ssl_av.data.views import Anywhere
from ssl_av.errors import UserError
from ssl_av.methods import register_method
from ssl_av.methods.base import Batch, Embeddings, Method
from ssl_av.methods.settings import Inputs, Networks, Optim


@register_method
class Supervised(Method):
    """A linear classifier on each backbone, cross-entropy on the labels of the training split.

    Args:
        num_classes: number of classes; samples without a label take no part in the loss.
    """

    name: ClassVar[str] = "supervised"
    paper: ClassVar[str] = "reference: trained with labels"

    def __init__(
        self,
        *,
        inputs: Inputs = Inputs(),
        networks: Networks = Networks(),
        optim: Optim = Optim(name="adamw", lr=1e-3, weight_decay=1e-4, schedule="cosine"),
        num_classes: int = 2,
    ) -> None:
        super().__init__(inputs, networks, optim, num_classes=num_classes)
        if num_classes < 2:
            raise UserError(f"`supervised` needs labels of at least 2 classes, the data have {num_classes}")
        self.declare(
            {"video": self.clip("avid", when=Anywhere()), "audio": self.sound("avid", when=Anywhere())}
        )
        self.backbones["video"], self.backbones["audio"] = self.video_backbone(), self.audio_backbone()
        self.classifiers = nn.ModuleDict(
            {m: nn.Linear(self.net(m).num_features, num_classes) for m in self.backbones}
        )

    def forward(self, batch: Batch) -> Embeddings:
        """Logits of each modality, [B, num_classes]."""
        return {m: self.classifiers[m](self.backbones[m](batch[m])) for m in ("video", "audio")}

    def loss(self, embeddings: Embeddings, batch: Batch) -> dict[str, Tensor]:
        """The sum of the two cross-entropies."""
        parts = {
            m: F.cross_entropy(embeddings[m].float(), batch["label"], ignore_index=-1) for m in embeddings
        }
        return {"loss": parts["video"] + parts["audio"], **parts}
