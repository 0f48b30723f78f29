"""CMA: AVID with Cross-Modal Agreement positives (Morgado et al., CVPR 2021), §4."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from ssl_av import ranks
from ssl_av.errors import UserError
from ssl_av.memory import Expansion, agreement_positives, sample_negatives
from ssl_av.methods import register_method
from ssl_av.methods.avid import AVID
from ssl_av.methods.base import Batch, Embeddings
from ssl_av.methods.settings import Inputs, Networks, Optim, check_choice, check_positive
from ssl_av.training.deadline import total_steps

# What an AVID checkpoint gives to CMA: networks, memory and Z̄.
PARTS = ("backbones.", "projectors.", "bank.", "partition")


@register_method
class CMA(AVID):
    """Cross-AVID first; then samples that agree in both modalities become each other's positives.

    The first ``avid_share`` of the steps is the AVID stage that fills the memory, or ``init`` is a checkpoint in which
    that is done. Positives are then taken from the memory (eq. 6–7), renewed every ``renew_epochs``, and eq. 9 is
    minimised. Figure 3 varies ``weight``; the rows of figure 4 are ``kind: video``, ``audio``, ``either`` ("AV Exp")
    and ``agreement``, and its base is `AVID`. ``mean``, ``within_negatives: 64`` and ``anchor_as_negative`` are what
    the official code does.

    Args:
        avid_share: share of the steps spent in the AVID stage (§4.2: 200 of 400 epochs); without ``init`` only.
        init: a checkpoint of AVID (or CMA) on the same training samples, ours or an imported one: no AVID stage.
        positives: K_p, positives a sample (§4.2: 32).
        candidates: how many are found for each sample, and are never its negatives; K_p of them are drawn at each
            step (§5: 128 found, 32 used; how they are chosen is not stated). Null: as many as are used.
        within_negatives: eq. 8 takes only so many of the negatives; null all of them.
        anchor_as_negative: the sample itself may be among its negatives, as in the complement of eq. 7.
        weight: λ of eq. 9 (§5: 1.0).
        kind: how samples are related: ``agreement`` (eq. 6), or figure 4's ``video``, ``audio``, ``either``.
        renew_epochs: the positive sets are renewed so often (§4.2: every 50 epochs); null keeps the first ones.
        renew_steps: the same in steps, in place of ``renew_epochs``.
        **avid: arguments of `AVID`.
    """

    name: ClassVar[str] = "cma"
    paper: ClassVar[str] = "AVID+CMA"
    replicated = (*AVID.replicated, "positive_set")
    positive_set: Tensor

    def __init__(
        self,
        *,
        avid_share: float = 0.5,
        init: str | None = None,
        positives: int = 32,
        candidates: int | None = None,
        within_negatives: int | None = None,
        anchor_as_negative: bool = False,
        weight: float = 1.0,
        kind: Expansion = "agreement",
        renew_epochs: int | None = 50,
        renew_steps: int | None = None,
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
            negatives=negatives, temperature=temperature, momentum=momentum, partition=partition, mean=mean, dim=dim,
            hidden=hidden, head_norm=head_norm, margin=margin, inputs=inputs, networks=networks, optim=optim,
            num_samples=num_samples,
        )  # fmt: skip
        del self.settings["mode"]  # always cross
        self.settings |= {
            "avid_share": avid_share, "init": init, "positives": positives, "candidates": candidates,
            "within_negatives": within_negatives, "anchor_as_negative": anchor_as_negative, "weight": weight,
            "kind": kind, "renew_epochs": renew_epochs, "renew_steps": renew_steps,
        }  # fmt: skip
        check_choice("kind", kind, ("agreement", "video", "audio", "either"))
        periods = {
            "renew_epochs": renew_epochs,
            "renew_steps": renew_steps,
            "within_negatives": within_negatives,
        }
        check_positive(**{name: n for name, n in periods.items() if n is not None})
        if weight < 0:
            raise UserError(f"weight must not be below 0, got {weight}")
        if not 0 <= avid_share < 1:
            raise UserError(f"avid_share must lie in [0, 1), got {avid_share}")
        found = positives if candidates is None else candidates
        if not 0 < positives <= found:
            raise UserError(f"positives={positives} must lie between 1 and candidates={found}")
        if found >= num_samples - 1:
            raise UserError(
                f"positives={found} does not fit {num_samples} training samples: each sample needs that many "
                "others and at least one negative; lower --method.positives"
            )
        self.avid_share, self.init = avid_share, init
        self.positives, self.within_negatives = positives, within_negatives
        self.weight, self.kind, self.anchor_as_negative = weight, kind, anchor_as_negative
        self.renew_epochs, self.renew_steps = renew_epochs, renew_steps
        # P_i of eq. 7; -1 = still in the AVID stage.
        self.register_buffer("positive_set", torch.full((num_samples, found), -1))
        self.register_buffer("renewed_at", torch.tensor(-1))

    renewed_at: Tensor

    def setup(self, stage: str) -> None:
        """Takes over the AVID checkpoint; a run that is resumed has its own."""
        if stage == "fit" and self.init is not None and not self.trainer.ckpt_path:
            self.start_from(self.init)

    def start_from(self, path: str) -> None:
        """Networks, memory and Z̄ of a checkpoint.

        Raises:
            UserError: if it is not one of AVID or CMA on as many samples with the same networks.
        """
        from ssl_av.checkpoint import load_method

        other = load_method(path)
        if not isinstance(other, AVID):
            raise UserError(f"{path}: a checkpoint of {other.name}; CMA starts from one of avid or cma")
        if len(other.bank) != len(self.bank):
            raise UserError(
                f"{path}: its memory holds {len(other.bank)} samples, the training data are {len(self.bank)}; CMA goes "
                "on with the data that AVID was trained on"
            )
        mine, theirs = (
            {n: t for n, t in method.state_dict().items() if n.startswith(PARTS)} for method in (self, other)
        )
        wrong = [
            n for n in mine | theirs if n not in mine or n not in theirs or mine[n].shape != theirs[n].shape
        ]
        if wrong:
            raise UserError(
                f"{path}: does not fit --method.networks, dim or hidden: {len(wrong)} differ, as {wrong[0]}"
            )
        self.load_state_dict(theirs, strict=False)

    def stages(self, total_steps: int) -> list[tuple[str, int]]:
        """Steps of the AVID stage and of the CMA stage."""
        if self.init is not None:
            return [("cma", total_steps)]
        first = round(total_steps * self.avid_share)
        return [("avid", first), ("cma", total_steps - first)]

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Renews the positive sets when their time has come."""
        stages = dict(self.stages(total_steps(self.trainer)))
        now, period = (
            (self.current_epoch, self.renew_epochs)
            if self.renew_steps is None
            else (self.global_step, self.renew_steps)
        )
        last = int(self.renewed_at)
        due = last < 0 or (period is not None and now - last >= period)
        if self.global_step >= stages.get("avid", 0) and due:
            self.find_positives()
            self.renewed_at.fill_(now)

    def find_positives(self) -> None:
        """P_i = TopK_j ρ_ij over the memory (eq. 6–7); several ranks share the rows i among them."""
        found, own = self.positive_set.shape[1], ranks.share(len(self.bank))
        positives = agreement_positives(self.bank.video, self.bank.audio, found, self.kind, only=own)
        self.positive_set.copy_(torch.cat(ranks.gather(positives)))

    def loss(self, embeddings: Embeddings, batch: Batch) -> dict[str, Tensor]:
        """Eq. 4 in the AVID stage; then eq. 9: L_Cross-AVID + λ L_wMPD."""
        index: Tensor = batch["index"]
        related = self.positive_set[index]
        if bool((related < 0).any()):
            return super().loss(embeddings, batch)
        self.check_negatives()
        anchor, others = (related[:, 0], related[:, 1:]) if self.anchor_as_negative else (index, related)
        noise = self.memories(sample_negatives(anchor, self.negatives, len(self.bank), exclude=others))
        parts = self.instance_terms(embeddings, index, noise)
        positives = self.memories(self.draw_positives(related))
        for m in ("video", "audio"):  # eq. 8: positives and noise of the anchor's own modality
            within = noise[m][:, : self.within_negatives]
            parts[f"wmpd_{m}"] = self.nce(embeddings[m], positives[m], within)
        self.update_memory(embeddings, index)
        return {"loss": self.total(parts, [1.0, 1.0, self.weight, self.weight]), **parts}

    def draw_positives(self, related: Tensor) -> Tensor:
        """K_p of the candidates [B, C], different ones."""
        if related.shape[1] == self.positives:
            return related
        order = torch.rand(related.shape, device=related.device).topk(self.positives, dim=1).indices
        return related.gather(1, order)
