"""AVID: Audio-Visual Instance Discrimination with Cross-Modal Agreement (Morgado et al., CVPR 2021), §3."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_av import ranks
from ssl_av.data.views import Anywhere, Near
from ssl_av.errors import UserError
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

    The rows of table 1 are ``mode: cross``, ``self`` and ``joint``; those of tables 2–5 are ``cross`` (and `CMA`).

    Args:
        mode: ``cross`` (eq. 4), ``self`` (eq. 3) or ``joint`` (eq. 5).
        negatives: K noise samples (§3.3: 1024), fewer than there are training samples.
        temperature: τ (§3.3: 0.07).
        momentum: weight of the old memory (§3.3: 0.5).
        partition: Z̄ (§3.3: 2.2045); null estimates it from the first batch's noise.
        mean: the mean of the terms in place of the sum of eq. 3–5 (official code): a half of eq. 3 and 4, a quarter
            of eq. 5.
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
    replicated: ClassVar[tuple[str, ...]] = ("bank.video", "bank.audio")

    def __init__(
        self,
        *,
        mode: Literal["cross", "self", "joint"] = "cross",
        negatives: int = 1024,
        temperature: float = 0.07,
        momentum: float = 0.5,
        partition: float | None = None,
        mean: bool = False,
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
            momentum=momentum, partition=partition, mean=mean, dim=dim, hidden=hidden, head_norm=head_norm,
            margin=margin, num_samples=num_samples,
        )  # fmt: skip
        check_choice("mode", mode, ("cross", "self", "joint"))
        check_positive(
            negatives=negatives, temperature=temperature, partition=1 if partition is None else partition
        )
        self.mode, self.negatives, self.temperature, self.mean = mode, negatives, temperature, mean
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
        self.register_buffer("partition", torch.tensor(float(partition or 0)))

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
        self.check_negatives()
        noise = self.memories(sample_negatives(index, self.negatives, len(self.bank)))
        parts = self.instance_terms(embeddings, index, noise)
        self.update_memory(embeddings, index)
        return {"loss": self.total(parts, [1.0] * len(parts)), **parts}

    def instance_terms(self, embeddings: Embeddings, index: Tensor, noise: Embeddings) -> dict[str, Tensor]:
        """L_NCE(x_i; x̄_i, N_i) of each pair (eq. 2)."""
        own = self.memories(index[:, None])
        return {
            f"{anchor}_to_{memory}": self.nce(embeddings[anchor], own[memory], noise[memory])
            for anchor, memory in PAIRS[self.mode]
        }

    def nce(self, x: Tensor, positive: Tensor, noise: Tensor) -> Tensor:
        """Eq. 2 (and 8) on logits x·x̄/τ; memories [B, P, D] and [B, K, D]."""
        data, negative = self.scores(x, positive), self.scores(x, noise)
        return nce(data, negative, self.fixed_partition(negative))

    def scores(self, x: Tensor, memory: Tensor) -> Tensor:
        """x·x̄/τ, [B, D] with memories [B, K, D] → [B, K], in their precision."""
        with torch.autocast(x.device.type, enabled=False):
            # A row times a matrix: less than half the time of the matrix times a column.
            return (
                torch.bmm(x.to(memory.dtype).unsqueeze(1), memory.transpose(1, 2)).squeeze(1)
                / self.temperature
            )

    def memories(self, rows: Tensor) -> Embeddings:
        """Both modalities' memory of the rows [B, K]: [B, K, D]."""
        return {
            m: getattr(self.bank, m).index_select(0, rows.flatten()).view(*rows.shape, -1)
            for m in ("video", "audio")
        }

    def total(self, parts: dict[str, Tensor], weights: list[float]) -> Tensor:
        """The weighted sum of the terms, or their weighted mean."""
        total = torch.stack([w * part for w, part in zip(weights, parts.values(), strict=True)]).sum()
        return total / sum(weights) if self.mean else total

    def check_negatives(self) -> None:
        """Raises a `UserError` for as many negatives as samples: hardly a sample would be left out."""
        if self.negatives >= len(self.bank):
            raise UserError(
                f"negatives={self.negatives} does not fit {len(self.bank)} training samples; lower --method.negatives "
                f"(bench: --methods.{self.name}.negatives)"
            )

    @torch.no_grad()
    def fixed_partition(self, negative: Tensor) -> Tensor:
        """Z̄; the first call estimates it from its own noise logits."""
        if not bool(self.partition):
            self.partition.copy_(ranks.mean(negative.exp().mean(), ranks.weight(ranks.sizes(len(negative)))))
        return self.partition

    def update_memory(self, embeddings: Embeddings, index: Tensor) -> None:
        """Moves the memory towards the embeddings; only while training."""
        if self.training:
            self.bank.update(index, embeddings["video"], embeddings["audio"])
