"""CMA: AVID with Cross-Modal Agreement positives (Morgado et al., CVPR 2021), §4."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from ssl_av.errors import UserError
from ssl_av.losses import nce
from ssl_av.memory import Expansion, agreement_positives, sample_negatives
from ssl_av.methods import register_method
from ssl_av.methods.avid import AVID
from ssl_av.methods.base import Batch, Embeddings
from ssl_av.methods.settings import Inputs, Networks, Optim, check_choice


@register_method
class CMA(AVID):
    """Cross-AVID first; then samples that agree in both modalities become each other's positives.

    The first ``avid_share`` of the steps is the AVID stage that fills the memory; positives are then taken from
    the memory (eq. 6–7), renewed every ``renew_epochs``, and eq. 9 is minimised.

    Args:
        avid_share: share of the steps spent in the AVID stage (§4.2: 200 of 400 epochs).
        positives: K_p, positives a sample (§4.2: 32).
        weight: λ of eq. 9 (§5: 1.0).
        kind: how samples are related: ``agreement`` (eq. 6), or figure 4's ``video``, ``audio``, ``either``.
        renew_epochs: the positive sets are renewed so often (§4.2: every 50 epochs).
        **avid: arguments of `AVID`.
    """

    name: ClassVar[str] = "cma"
    paper: ClassVar[str] = "AVID+CMA"
    positive_set: Tensor

    def __init__(
        self,
        *,
        avid_share: float = 0.5,
        positives: int = 32,
        weight: float = 1.0,
        kind: Expansion = "agreement",
        renew_epochs: int = 50,
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
            negatives=negatives, temperature=temperature, momentum=momentum, dim=dim, hidden=hidden,
            head_norm=head_norm, margin=margin, inputs=inputs, networks=networks, optim=optim,
            num_samples=num_samples,
        )  # fmt: skip
        del self.settings["mode"]  # always cross
        self.settings |= {
            "avid_share": avid_share, "positives": positives, "weight": weight, "kind": kind,
            "renew_epochs": renew_epochs,
        }  # fmt: skip
        check_choice("kind", kind, ("agreement", "video", "audio", "either"))
        if not 0 <= avid_share < 1:
            raise UserError(f"avid_share must lie in [0, 1), got {avid_share}")
        if not 0 < positives < num_samples - 1:
            raise UserError(
                f"positives={positives} does not fit {num_samples} training samples: each sample needs that many "
                "others and at least one negative; lower --method.positives"
            )
        self.positives, self.weight, self.kind = positives, weight, kind
        self.avid_share, self.renew_epochs = avid_share, renew_epochs
        # P_i of eq. 7; -1 = still in the AVID stage.
        self.register_buffer("positive_set", torch.full((num_samples, positives), -1))
        self.register_buffer("renewed_at", torch.tensor(-1))

    renewed_at: Tensor

    def stages(self, total_steps: int) -> list[tuple[str, int]]:
        """Steps of the AVID stage and of the CMA stage."""
        first = round(total_steps * self.avid_share)
        return [("avid", first), ("cma", total_steps - first)]

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Renews the positive sets when their time has come."""
        first = self.stages(int(self.trainer.estimated_stepping_batches))[0][1]
        age = self.current_epoch - int(self.renewed_at)
        if self.global_step >= first and (int(self.renewed_at) < 0 or age >= self.renew_epochs):
            self.find_positives()
            self.renewed_at.fill_(self.current_epoch)

    def find_positives(self) -> None:
        """P_i = TopK_j ρ_ij over the memory (eq. 6–7)."""
        self.positive_set.copy_(
            agreement_positives(self.bank.video, self.bank.audio, self.positives, self.kind)
        )

    def loss(self, embeddings: Embeddings, batch: Batch) -> dict[str, Tensor]:
        """Eq. 4 in the AVID stage; then eq. 9: L_Cross-AVID + λ L_wMPD."""
        index: Tensor = batch["index"]
        related = self.positive_set[index]
        if bool((related < 0).any()):
            return super().loss(embeddings, batch)
        noise = sample_negatives(index, self.negatives, len(self.bank), exclude=related)
        parts = self.instance_terms(embeddings, index, noise)
        cross = torch.stack(list(parts.values())).sum()
        for modality in ("video", "audio"):  # eq. 8: positives and noise of the anchor's own modality
            positive = self.scores(embeddings[modality], modality, related)
            negative = self.scores(embeddings[modality], modality, noise)
            parts[f"wmpd_{modality}"] = nce(positive, negative, self.fixed_partition(negative))
        wmpd = parts["wmpd_video"] + parts["wmpd_audio"]
        self.update_memory(embeddings, index)
        return {"loss": cross + self.weight * wmpd, **parts}
