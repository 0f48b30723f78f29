"""CrissCross: Learning with Relaxed Cross-Modal Synchronicity (Sarkar & Etemad, AAAI 2023)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ssl_av.data.views import Anywhere, Half, Inside, Shifted, View, When
from ssl_av.errors import UserError
from ssl_av.heads import MLP
from ssl_av.losses import negative_cosine as D
from ssl_av.methods import register_method
from ssl_av.methods.base import Batch, Embeddings, Method
from ssl_av.methods.settings import Inputs, Networks, Optim, check_choice, check_positive

# What a term compares: pairs of views, in both directions. Eq. 2–4, and the two halves of eq. 2 (table 1).
TERMS: dict[str, tuple[tuple[str, str], ...]] = {
    "intra": (("video_1", "video_2"), ("audio_1", "audio_2")),
    "sync": (("video_1", "audio_1"), ("video_2", "audio_2")),
    "async": (("video_1", "audio_2"), ("video_2", "audio_1")),
    "v1v2": (("video_1", "video_2"),),
    "a1a2": (("audio_1", "audio_2"),),
}
# §4.3: where the second segment lies, in lengths of a segment after the first; None where it is drawn on its own.
RELAXATIONS: dict[str, float | None] = {
    "none": 0.0, "mild": 0.5, "medium": 1.0, "extreme": None, "mixed": None, "official": 0.5,
}  # fmt: skip


@register_method
class CrissCross(Method):
    """Two segments of picture and sound predict each other: within a modality, across, and across time.

    The paper's tables, by argument:

    - 1, 2: ``terms``, e.g. ``[v1v2, sync, async]``; their rates (G.1): lr 1e-4 for ``[v1v2]``, 1e-5 for ``[a1a2]``.
    - 3: ``optim.predictor_scale: 1`` (lr_p = lr_b), ``common_predictor: true``, ``projector_layers: 2``.
    - 5: ``inputs.augment`` (``avid`` is MSC-HF-CJ, ``crisscross_gs`` … ``crisscross_vj`` …) with ``terms: [v1v2]`` or
      ``[a1a2]``, or all terms. Figure 4: ``relaxation``.
    - S10: the defaults are Kinetics-400's; Kinetics-Sound has ``optim: {name: adam, end: 0}``, AudioSet
      ``optim: {lr: 1e-4, end: 0}``.

    Args:
        terms: what is averaged: ``intra`` (eq. 2), ``sync`` (eq. 3), ``async`` (eq. 4), or of eq. 2 only the half
            ``v1v2`` or ``a1a2`` (table 1). Eq. 5 has the first three. With ``[v1v2]`` or ``[a1a2]`` alone, the
            other modality is neither read nor has a network.
        relaxation: how the second segment lies in time to the first (§4.3): ``none`` the same, ``mild`` 50 % overlap
            (the paper's choice), ``medium`` adjacent, ``extreme`` in the other half of the sample, ``mixed`` anywhere.
            In these, v₁ lies in the time of a₁ and v₂ in that of a₂. ``official`` is the released code's mild: both
            pictures lie anywhere in the time of both sounds.
        projector: output and hidden width of the projector (table S7: 2048).
        projector_layers: its linear layers (table S7: 3; table 3 has 2 too).
        predictor: hidden width of the predictor (table S8: 512).
        common_predictor: one predictor for both modalities, on L2-normalised projections (§4.4, table 3).
    """

    name: ClassVar[str] = "crisscross"
    paper: ClassVar[str] = "CrissCross"

    def __init__(
        self,
        *,
        terms: tuple[str, ...] = ("intra", "sync", "async"),
        relaxation: Literal["none", "mild", "medium", "extreme", "mixed", "official"] = "mild",
        projector: int = 2048,
        projector_layers: int = 3,
        predictor: int = 512,
        common_predictor: bool = False,
        inputs: Inputs = Inputs(frames=8, fps=16, size=112, audio_seconds=2.0, front_end="crisscross"),
        networks: Networks = Networks(
            video="r2plus1d_18", video_args={"pool": "avg"}, audio="resnet18_audio"
        ),
        optim: Optim = Optim(
            name="larc",
            lr=2e-4,
            weight_decay=1e-4,
            schedule="cosine",
            end=0.5,
            warmup=0.02,
            predictor_scale=10,
            predictor_constant=True,
        ),
    ) -> None:
        super().__init__(
            inputs,
            networks,
            optim,
            terms=terms,
            relaxation=relaxation,
            projector=projector,
            projector_layers=projector_layers,
            predictor=predictor,
            common_predictor=common_predictor,
        )
        for term in terms:
            check_choice("term", term, tuple(TERMS))
        if not terms or len(set(terms)) < len(terms) or ("intra" in terms and {"v1v2", "a1a2"} & {*terms}):
            raise UserError(
                f"terms must name some of {', '.join(TERMS)}, each once (intra holds v1v2 and a1a2), got {list(terms)}"
            )
        check_choice("relaxation", relaxation, tuple(RELAXATIONS))
        check_positive(projector_layers=projector_layers)
        self.terms, self.common_predictor = tuple(terms), common_predictor
        compared = {view for term in terms for pair in TERMS[term] for view in pair}
        self.declare(self.segments(relaxation, [m for m in ("video", "audio") if f"{m}_1" in compared]))
        make = {"video": self.video_backbone, "audio": self.audio_backbone}
        modalities = [m for m in make if f"{m}_1" in self.views]
        for m in modalities:
            self.backbones[m] = make[m]()
        self.projectors, self.heads = nn.ModuleDict(), nn.ModuleDict()
        for m in modalities:
            width = (projector,) * (projector_layers - 1)
            self.projectors[m] = MLP(self.net(m).num_features, width, projector, norm=True, last_norm=True)
            if not (common_predictor and self.heads):
                h = MLP(projector, (predictor,), projector, norm=True)
            self.heads[m] = h

    def segments(self, relaxation: str, modalities: Sequence[str]) -> dict[str, View]:
        """Two views of each modality; the shorter of picture and sound lies in the time of the longer (§3)."""
        make: dict[str, Callable[..., View]] = {"audio": self.sound, "video": self.clip}
        outer, *inner = sorted(modalities, key=lambda m: (-make[m]().seconds, m))
        by = RELAXATIONS[relaxation]
        when: dict[str, tuple[When, When]] = {}
        if by is None:
            when[outer] = (Half(0), Half(1)) if relaxation == "extreme" else (Anywhere(), Anywhere())
        else:
            when[outer] = (Anywhere(1 + by), Shifted(f"{outer}_1", by))
        for m in inner:
            if by is None:
                when[m] = (Inside(f"{outer}_1"), Inside(f"{outer}_2"))
            else:
                official = relaxation == "official"
                place = Inside(f"{outer}_1", 1 + by) if official else Inside(f"{outer}_1", after=by)
                when[m] = (place, Shifted(f"{m}_1", by))
        return {f"{m}_{i + 1}": make[m]("crisscross", when=w) for m in when for i, w in enumerate(when[m])}

    def predictors(self) -> list[nn.Module]:
        """h_v and h_a: their rate is ten times the base rate and constant (§4.4)."""
        return [self.heads]

    def project(self, modality: str, features: Tensor) -> tuple[Tensor, Tensor]:
        """z and p of a modality's pooled features."""
        z = self.projectors[modality](features)
        return z, self.heads[modality](normalize(z, dim=-1) if self.common_predictor else z)

    def forward(self, batch: Batch) -> Embeddings:
        """Projections z and predictions p of the views, e.g. ``z_video_1`` and ``p_video_1``, [B, D]."""
        out: Embeddings = {}
        for m, backbone in self.backbones.items():
            for view in (f"{m}_1", f"{m}_2"):
                out[f"z_{view}"], out[f"p_{view}"] = self.project(m, backbone(batch[view]))
        return out

    def loss(self, embeddings: Embeddings, batch: Batch) -> dict[str, Tensor]:
        """Eq. 5: the mean of the terms; eq. 2–4: of each, the mean of its symmetric pairs."""
        z, p = ({k[2:]: x for k, x in embeddings.items() if k.startswith(f"{e}_")} for e in "zp")
        parts = {}
        for term in self.terms:
            ways = [D(p[a], z[b]) / 2 for pair in TERMS[term] for a, b in (pair, pair[::-1])]
            parts[term] = torch.stack(ways).sum() / len(TERMS[term])
        return {"loss": torch.stack(list(parts.values())).mean(), **parts}

    def embed(self, modality: str, features: Tensor) -> tuple[Tensor, Tensor] | None:
        """As a query the prediction p, as a key the projection z: what eq. 3 and 4 compare. None of one modality."""
        if len(self.backbones) < 2:
            return None
        z, p = self.project(modality, self.net(modality).pool(features))
        return p, z
