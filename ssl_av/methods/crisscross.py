"""CrissCross: Learning with Relaxed Cross-Modal Synchronicity (Sarkar & Etemad, AAAI 2023)."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from ssl_av.data.views import Anywhere, Half, Inside, Shifted, View, When
from ssl_av.errors import UserError
from ssl_av.heads import MLP
from ssl_av.losses import negative_cosine as D
from ssl_av.methods import register_method
from ssl_av.methods.base import Batch, Embeddings, Method
from ssl_av.methods.settings import Inputs, Networks, Optim, check_choice

TERMS = ("intra", "sync", "async")
# §4.3: where the second segment lies, in lengths of a segment after the first; None where it is drawn on its own.
RELAXATIONS: dict[str, float | None] = {
    "none": 0.0, "mild": 0.5, "medium": 1.0, "extreme": None, "mixed": None, "official": 0.5,
}  # fmt: skip


@register_method
class CrissCross(Method):
    """Two segments of picture and sound predict each other: within a modality, across, and across time.

    Args:
        terms: which of ``intra`` (eq. 2), ``sync`` (eq. 3) and ``async`` (eq. 4) are averaged (eq. 5: all).
        relaxation: how the second segment lies in time to the first (§4.3): ``none`` the same, ``mild`` 50 % overlap
            (the paper's choice), ``medium`` adjacent, ``extreme`` in the other half of the sample, ``mixed`` anywhere.
            In these, v₁ lies in the time of a₁ and v₂ in that of a₂. ``official`` is the released code's mild: both
            pictures lie anywhere in the time of both sounds.
        projector: output and hidden width of the projector (table S7: 2048).
        predictor: hidden width of the predictor (table S8: 512).
    """

    name: ClassVar[str] = "crisscross"
    paper: ClassVar[str] = "CrissCross"

    def __init__(
        self,
        *,
        terms: tuple[str, ...] = TERMS,
        relaxation: Literal["none", "mild", "medium", "extreme", "mixed", "official"] = "mild",
        projector: int = 2048,
        predictor: int = 512,
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
            predictor=predictor,
        )
        for term in terms:
            check_choice("term", term, TERMS)
        if not terms:
            raise UserError("terms must name at least one of intra, sync, async")
        check_choice("relaxation", relaxation, tuple(RELAXATIONS))
        self.terms = tuple(terms)
        self.declare(self.segments(relaxation))
        self.backbones["video"], self.backbones["audio"] = self.video_backbone(), self.audio_backbone()
        self.projectors, self.heads = nn.ModuleDict(), nn.ModuleDict()
        for m in self.backbones:
            width = (projector, projector)
            self.projectors[m] = MLP(self.net(m).num_features, width, projector, norm=True, last_norm=True)
            self.heads[m] = MLP(projector, (predictor,), projector, norm=True)

    def segments(self, relaxation: str) -> dict[str, View]:
        """The four views; the shorter of picture and sound lies in the time of the longer (§3: the same timestamps)."""
        outer, inner = "audio", "video"
        if self.clip().seconds > self.sound().seconds:
            outer, inner = inner, outer
        by = RELAXATIONS[relaxation]
        when: dict[str, tuple[When, When]]
        if by is None:
            apart = (Half(0), Half(1)) if relaxation == "extreme" else (Anywhere(), Anywhere())
            when = {outer: apart, inner: (Inside(f"{outer}_1"), Inside(f"{outer}_2"))}
        else:
            place = (
                Inside(f"{outer}_1", 1 + by) if relaxation == "official" else Inside(f"{outer}_1", after=by)
            )
            when = {
                outer: (Anywhere(1 + by), Shifted(f"{outer}_1", by)),
                inner: (place, Shifted(f"{inner}_1", by)),
            }
        make: dict[str, Callable[..., View]] = {"audio": self.sound, "video": self.clip}
        return {f"{m}_{i + 1}": make[m]("crisscross", when=w) for m in when for i, w in enumerate(when[m])}

    def predictors(self) -> list[nn.Module]:
        """h_v and h_a: their rate is ten times the base rate and constant (§4.4)."""
        return [self.heads]

    def forward(self, batch: Batch) -> Embeddings:
        """Projections z and predictions p of the four views, e.g. ``z_video_1`` and ``p_video_1``, [B, D]."""
        out: Embeddings = {}
        for view in ("video_1", "video_2", "audio_1", "audio_2"):
            m = view.split("_")[0]
            out[f"z_{view}"] = self.projectors[m](self.backbones[m](batch[view]))
            out[f"p_{view}"] = self.heads[m](out[f"z_{view}"])
        return out

    def loss(self, embeddings: Embeddings, batch: Batch) -> dict[str, Tensor]:
        """Eq. 5: the mean of the intra, sync and async terms (eq. 2–4)."""
        zv1, zv2, za1, za2 = (embeddings[f"z_{v}"] for v in ("video_1", "video_2", "audio_1", "audio_2"))
        pv1, pv2, pa1, pa2 = (embeddings[f"p_{v}"] for v in ("video_1", "video_2", "audio_1", "audio_2"))
        every = {
            "intra": (D(pv1, zv2) / 2 + D(pv2, zv1) / 2 + D(pa1, za2) / 2 + D(pa2, za1) / 2) / 2,
            "sync": (D(pv1, za1) / 2 + D(pa1, zv1) / 2 + D(pv2, za2) / 2 + D(pa2, zv2) / 2) / 2,
            "async": (D(pv1, za2) / 2 + D(pa2, zv1) / 2 + D(pv2, za1) / 2 + D(pa1, zv2) / 2) / 2,
        }
        parts = {name: every[name] for name in self.terms}
        return {"loss": torch.stack(list(parts.values())).mean(), **parts}

    def embed(self, modality: str, features: Tensor) -> tuple[Tensor, Tensor]:
        """As a query the prediction p, as a key the projection z: what eq. 3 and 4 compare."""
        z = self.projectors[modality](self.net(modality).pool(features))
        return self.heads[modality](z), z
