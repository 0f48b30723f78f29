"""AVID: Audio-Visual Instance Discrimination with Cross-Modal Agreement (Morgado et al., CVPR 2021), §3."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_av.data.views import Anywhere, Near
from ssl_av.heads import MLP
from ssl_av.losses import nce
from ssl_av.memory import MemoryBank, sample_negatives
from ssl_av.methods import register_method
from ssl_av.methods.base import Batch, Embeddings, Method
from ssl_av.methods.settings import Inputs, Networks, Optim, check_choice, check_positive

# Which (anchor, memory) pairs are contrasted: eq. 3 (self), eq. 4 (cross), eq. 5 (joint). The first pair's noise
# estimates Z̄, so video → audio stands first wherever it occurs.
PAIRS = {
    "self": (("video", "video"), ("audio", "audio")),
    "cross": (("video", "audio"), ("audio", "video")),
    "joint": (("video", "audio"), ("audio", "video"), ("video", "video"), ("audio", "audio")),
}


@register_method
class AVID(Method):
    """Each modality picks its own instance out of the memory of the other (cross) or the same (self) modality.

    Args:
        mode: ``cross`` (eq. 4), ``self`` (eq. 3) or ``joint`` (eq. 5).
        negatives: K noise samples (§3.3: 1024).
        temperature: τ (§3.3: 0.07).
        momentum: weight of the old memory (§3.3: 0.5).
        dim: size of the embedding.
        hidden: width of the two hidden layers of the projection.
        head_norm: batch norm after every layer of the projection, the last one too. The paper has none; without it
            the embeddings of a small network stay nearly equal over the few hundred steps of a small suite, which
            turns it on.
        margin: video lies within this many seconds of the sound (§5: 0.5).
        num_samples: N, rows of the memory bank: the size of the training set.
    """

    name: ClassVar[str] = "avid"
    paper: ClassVar[str] = "AVID"

    def __init__(
        self,
        *,
        mode: Literal["cross", "self", "joint"] = "cross",
        negatives: int = 1024,
        temperature: float = 0.07,
        momentum: float = 0.5,
        dim: int = 128,
        hidden: int = 512,
        head_norm: bool = False,
        margin: float = 0.5,
        inputs: Inputs = Inputs(frames=8, fps=16, size=224, audio_seconds=2.0, front_end="avid"),
        networks: Networks = Networks(video="r2plus1d_18", audio="conv9_audio"),
        optim: Optim = Optim(name="adam", lr=2e-4, weight_decay=1e-5, decay_all=True),
        num_samples: int = 1024,
    ) -> None:
        super().__init__(
            inputs, networks, optim, mode=mode, negatives=negatives, temperature=temperature,
            momentum=momentum, dim=dim, hidden=hidden, head_norm=head_norm, margin=margin, num_samples=num_samples,
        )  # fmt: skip
        check_choice("mode", mode, ("cross", "self", "joint"))
        check_positive(negatives=negatives, temperature=temperature)
        self.mode, self.negatives, self.temperature = mode, negatives, temperature
        # §5: two seconds of sound anywhere; the video within half a second of it.
        self.declare(
            {
                "audio": self.sound("avid", when=Anywhere()),
                "video": self.clip("avid", when=Near("audio", margin)),
            }
        )
        self.backbones["video"], self.backbones["audio"] = self.video_backbone(), self.audio_backbone()
        self.projectors = torch.nn.ModuleDict(
            {
                m: MLP(self.net(m).num_features, (hidden, hidden), dim, norm=head_norm, last_norm=head_norm)
                for m in self.backbones
            }
        )
        self.bank = MemoryBank(num_samples, dim, momentum)
        # Z̄ of eq. 1: estimated in the first iteration, constant thereafter (§3.3); 0 = not yet.
        self.register_buffer("partition", torch.zeros(()))

    partition: Tensor

    def forward(self, batch: Batch) -> Embeddings:
        """Unit embeddings ``video`` and ``audio``, [B, dim]."""
        return {m: self.embed(m, self.net(m).forward_features(batch[m]))[0] for m in ("video", "audio")}

    def embed(self, modality: str, features: Tensor) -> tuple[Tensor, Tensor]:
        """The unit embedding; query and key are the same."""
        pooled = self.net(modality).pool(features)
        z = F.normalize(self.projectors[modality](pooled).float(), dim=-1)
        return z, z

    def loss(self, embeddings: Embeddings, batch: Batch) -> dict[str, Tensor]:
        """The sum of eq. 2 over the pairs of the mode (eq. 3, 4 or 5), then the memory is updated."""
        index: Tensor = batch["index"]
        noise = sample_negatives(index, self.negatives, len(self.bank))
        parts = self.instance_terms(embeddings, index, noise)
        self.update_memory(embeddings, index)
        return {"loss": torch.stack(list(parts.values())).sum(), **parts}

    def instance_terms(self, embeddings: Embeddings, index: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """L_NCE(x_i; x̄_i, N_i) of each pair (eq. 2)."""
        parts = {}
        for anchor, memory in PAIRS[self.mode]:
            positive = self.scores(embeddings[anchor], memory, index[:, None])
            negative = self.scores(embeddings[anchor], memory, noise)
            parts[f"{anchor}_to_{memory}"] = nce(positive, negative, self.fixed_partition(negative))
        return parts

    def scores(self, x: Tensor, memory: str, rows: Tensor) -> Tensor:
        """x·x̄/τ with the memory's rows, [B, D] × [B, K] → [B, K]."""
        bank: Tensor = getattr(self.bank, memory)
        targets = bank.index_select(0, rows.flatten()).view(*rows.shape, -1)
        return torch.bmm(targets, x.float().unsqueeze(2)).squeeze(2) / self.temperature

    @torch.no_grad()
    def fixed_partition(self, negative: Tensor) -> Tensor:
        """Z̄; the first call estimates it from its own noise logits."""
        if not bool(self.partition):
            value = negative.float().exp().mean()
            if torch.distributed.is_available() and torch.distributed.is_initialized():
                torch.distributed.all_reduce(value, op=torch.distributed.ReduceOp.AVG)
            self.partition.copy_(value)
        return self.partition

    def update_memory(self, embeddings: Embeddings, index: Tensor) -> None:
        """Moves the memory towards the embeddings; only while training."""
        if self.training:
            self.bank.update(index, embeddings["video"], embeddings["audio"])
