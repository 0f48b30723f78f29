"""STiCA: Space-Time Crop & Attend (Patrick et al., ICCV 2021)."""

from __future__ import annotations

from itertools import combinations
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_av import ranks
from ssl_av.backbones import Backbone
from ssl_av.data.views import Anywhere, StartsWith, VideoView, View
from ssl_av.errors import UserError
from ssl_av.heads import MLP, TemporalTransformer
from ssl_av.losses import info_nce_pairs
from ssl_av.methods import register_method
from ssl_av.methods.base import Batch, Embeddings, Method
from ssl_av.methods.settings import Inputs, Networks, Optim, check_choice, check_positive
from ssl_av.transforms import VideoTransform, video_augment
from ssl_av.transforms.feature_crops import FeatureCrops

POOLINGS = ("transformer", "official", "average")


def pool_steps(features: Tensor, attend: TemporalTransformer | None, time_steps: int | None) -> Tensor:
    """Eq. 4 on a map [B, D, T, H, W]: its mean over space, then ``attend`` (or the mean) over time; [B, D]."""
    steps = features.mean(dim=(3, 4))
    if attend is None:
        return steps.mean(dim=2)
    if time_steps is not None:
        steps = F.adaptive_avg_pool1d(steps, time_steps)
    pooled: Tensor = attend(steps.transpose(1, 2))
    return pooled


class Attended(nn.Module):
    """A video backbone pooled by `pool_steps`, [B, 3, T, H, W] → [B, D]."""

    def __init__(
        self, backbone: Backbone, attend: TemporalTransformer | None, time_steps: int | None
    ) -> None:
        super().__init__()
        self.backbone, self.attend, self.time_steps = backbone, attend, time_steps

    def forward(self, x: Tensor) -> Tensor:
        """Features of clips."""
        return pool_steps(self.backbone.forward_features(x), self.attend, self.time_steps)


@register_method
class STiCA(Method):
    """Sound and two RGB crops are contrasted; the crops' features are cropped again in space and time.

    The rows of the paper's tables are these arguments (every other one as it stands, which is the last row of 1e)::

        1a default (cross-modal only, as GDT)  rgb_crops: 1, crops: null, weight_within: 0, weight_cross: 1
        1a two RGB crops                       crops: null
        1a multi RGB crops                     crops: null, small_rgb_crops: 1
        1a feature crops, 1b                   crops: the rows of `FeatureCrops`
        1c, 1e                                 pooling: average or transformer (paper's parameters: official)
        1d                                     pooling: official, layers: 2 or 4
        1f                                     rgb_crops: 1, 2, 4; small_rgb_crops: 1, 2, 6
        2                                      inputs.frames: 30, 60, 90
        3                                      weight_cross: 0, 1, 0.5; weight_within: 1, 0, 0.5; crops

    All but the last rows of 1e and 3, §6.1.1 and the transformer's rows have ``pooling: average``.

    Args:
        crops: the feature crops, or null for whole maps only.
        rgb_crops: large crops of the picture.
        small_rgb_crops: further, small crops of the picture (§3.2, Multi-Crop): each is what every large one must
            find, and goes into no other term.
        small_rgb_size: their side in pixels (table 1a: 96).
        small_rgb_area: share of the frame that they cover (not stated; that of SwAV).
        pooling: how time is pooled: ``transformer`` (§3.3), ``average``, or ``official``: a transformer whose value
            and output projections are the identity and which is read at the first time step.
        layers: of the transformer (table 1d: 2).
        attention_heads: of the transformer (§6.3: 4).
        time_steps: the map is pooled to so many time steps before the transformer, whatever the length of the crop
            (official code: 4, and 8 with 60 frames); null leaves them.
        pairs: ``paper``: all of eq. 6; ``official``: of each class of crops the last medium ones of the two views
            (both ways, counted once, and only if there are two of them) and small ones of the second view to medium
            ones of the first; for two RGB crops.
        detach_keys: what is searched for receives no gradient (official code; eq. 1 does not say so).
        gather: the batches of all ranks are negatives (official code; §6.1's batch of 512 is 64 ranks of 8); off,
            the loss depends on how many ranks share a batch.
        weight_within: λ_vv of eq. 7.
        weight_cross: λ_va of eq. 7; at 0 there is no sound.
        mean: divide L_vv and L_va by their number of terms. The paper sums (eq. 6, 7) and does not give its λ;
            the mean keeps the weights independent of the number of crops, and is what the official code does.
        temperature_within: τ within the visual modality (§6.1: 0.5).
        temperature_cross: τ across (§6.1: 0.1).
        dim: size of the embedding (§6.1: 256).
        hidden: hidden width of the head (§6.1: 512).
        dropout: in the head (0.3 in the official code).
    """

    name: ClassVar[str] = "stica"
    paper: ClassVar[str] = "STiCA"

    def __init__(
        self,
        *,
        crops: FeatureCrops | None = FeatureCrops(),
        rgb_crops: int = 2,
        small_rgb_crops: int = 0,
        small_rgb_size: int = 96,
        small_rgb_area: tuple[float, float] = (0.05, 0.14),
        pooling: Literal["transformer", "official", "average"] = "transformer",
        layers: int = 2,
        attention_heads: int = 4,
        time_steps: int | None = None,
        pairs: Literal["paper", "official"] = "paper",
        detach_keys: bool = False,
        gather: bool = True,
        weight_within: float = 0.5,
        weight_cross: float = 0.5,
        mean: bool = True,
        temperature_within: float = 0.5,
        temperature_cross: float = 0.1,
        dim: int = 256,
        hidden: int = 512,
        dropout: float = 0.3,
        inputs: Inputs = Inputs(frames=30, fps=30, size=112, audio_seconds=1.0, front_end="stica"),
        networks: Networks = Networks(video="r2plus1d_18_torchvision", audio="resnet9_audio"),
        optim: Optim = Optim(name="sgd", lr=0.64, weight_decay=1e-5, decay_all=True, warmup=0.1),
    ) -> None:
        super().__init__(
            inputs, networks, optim, crops=crops, rgb_crops=rgb_crops, small_rgb_crops=small_rgb_crops,
            small_rgb_size=small_rgb_size, small_rgb_area=small_rgb_area, pooling=pooling, layers=layers,
            attention_heads=attention_heads, time_steps=time_steps, pairs=pairs, detach_keys=detach_keys,
            gather=gather, weight_within=weight_within, weight_cross=weight_cross, mean=mean,
            temperature_within=temperature_within, temperature_cross=temperature_cross, dim=dim, hidden=hidden,
            dropout=dropout,
        )  # fmt: skip
        check_choice("pooling", pooling, POOLINGS)
        check_choice("pairs", pairs, ("paper", "official"))
        check_positive(
            temperature_within=temperature_within, temperature_cross=temperature_cross, rgb_crops=rgb_crops,
            layers=layers, time_steps=1 if time_steps is None else time_steps,
        )  # fmt: skip
        if min(weight_within, weight_cross) < 0 or weight_within + weight_cross == 0:
            raise UserError(
                "weight_within and weight_cross must not be below 0, and one of them must be above 0; "
                f"got {weight_within} and {weight_cross}"
            )
        if weight_within and rgb_crops + small_rgb_crops < 2:
            raise UserError("one RGB crop makes no pair: set weight_within to 0 or rgb_crops to 2")
        if pairs == "official" and rgb_crops > 2:
            raise UserError(f"pairs: official is for two RGB crops, got {rgb_crops}; use pairs: paper")
        self.crops, self.mean, self.pairs, self.time_steps = crops, mean, pairs, time_steps
        self.weight_within, self.weight_cross = weight_within, weight_cross
        self.tau_within, self.tau_cross = temperature_within, temperature_cross
        self.detach_keys, self.gather = detach_keys, gather
        # Augmentations of one stretch of time, and the sound that starts with it (§3.2, §6.1).
        same = StartsWith("video_1")
        self.large = [f"video_{i}" for i in range(1, rgb_crops + 1)]
        self.small = [f"small_{j}" for j in range(1, small_rgb_crops + 1)]
        augment = inputs.augment or "stica"
        views: dict[str, View] = {"video_1": self.clip("stica", when=Anywhere())}
        for v in self.large[1:]:
            views[v] = self.clip("stica", when=same)
        for v in self.small:
            views[v] = VideoView(inputs.frames, inputs.fps, small_rgb_size, augment, same)
        if weight_cross:
            views["audio"] = self.sound("stica", when=same)
        self.declare(views)
        least, most = small_rgb_area
        for v in self.small:
            self.transforms[v] = VideoTransform(small_rgb_size, video_augment(augment, (least, most)))
        self.backbones["video"] = self.video_backbone()
        if weight_cross:
            self.backbones["audio"] = self.audio_backbone()
        width, official = self.net("video").num_features, pooling == "official"
        self.attend: TemporalTransformer | None = None
        if pooling != "average":
            self.attend = TemporalTransformer(
                width, layers, attention_heads, identity_values=official, cls_token=not official
            )
        self.heads = nn.ModuleDict(
            {
                m: MLP(self.net(m).num_features, (hidden,), dim, norm=True, dropout=dropout)
                for m in self.backbones
            }
        )

    def pool(self, features: Tensor) -> Tensor:
        """P_t ∘ P_s of eq. 4: mean over space, then attention (or the mean) over time. [B, D, T, H, W] → [B, D]."""
        return pool_steps(features, self.attend, self.time_steps)

    def encoder(self, modality: str) -> nn.Module:
        """The picture's network with P_t ∘ P_s behind it: what table 1c fine-tunes."""
        net = self.net(modality)
        return net if modality == "audio" else Attended(net, self.attend, self.time_steps)

    def forward(self, batch: Batch) -> Embeddings:
        """``audio``, large crops ``L1``, ``L2``, their feature crops ``M1_0`` … ``S2_3``, ``small_1`` …: [B, dim]."""
        out: Embeddings = {}
        if self.weight_cross:
            out["audio"] = self.heads["audio"](self.backbones["audio"](batch["audio"]))
        for i, view in enumerate(self.large, start=1):
            features = self.net("video").forward_features(batch[view])  # Ψ: once a view
            out[f"L{i}"] = self.heads["video"](self.pool(features))
            for name, crop in self.feature_crops(features).items():
                kind = name.rstrip("0123456789")
                out[f"{kind}{i}_{name[len(kind) :]}"] = self.heads["video"](self.pool(crop))
        for view in self.small:
            out[view] = self.heads["video"](self.pool(self.net("video").forward_features(batch[view])))
        return out

    def feature_crops(self, features: Tensor) -> dict[str, Tensor]:
        """Eq. 5: medium (``M0`` …) and small (``S0`` …) crops of Ψ(v)."""
        return self.crops.cut(features) if self.crops else {}

    def loss(self, embeddings: Embeddings, batch: Batch) -> dict[str, Tensor]:
        """Eq. 7: λ_vv L_vv + λ_va L_va."""
        e, n = embeddings, len(self.large)
        if len(e["L1"]) < 2:
            raise UserError(
                "STiCA contrasts the samples of a batch: it needs 2 or more; raise --data.batch_size"
            )
        parts = {}
        if self.weight_within:
            pairs = self.official_pairs if self.pairs == "official" and self.crops else self.all_pairs
            terms = [term for i, j in combinations(range(1, n + 1), 2) for term in pairs(e, i, j)]
            if self.small:  # §3.2: + L(v_L, v_S)
                terms.append(self.nce(e, self._large(e), self.small, self.tau_within).flatten())
            parts["within"] = torch.cat(terms)
        if self.weight_cross:
            there = self.nce(e, self._large(e), ["audio"], self.tau_cross)
            back = self.nce(e, ["audio"], self._large(e), self.tau_cross)
            parts["cross"] = torch.cat([there.flatten(), back.flatten()])
        means = {name: terms.mean() if self.mean else terms.sum() for name, terms in parts.items()}
        weights = {"within": self.weight_within, "cross": self.weight_cross}
        return {"loss": torch.stack([weights[m] * value for m, value in means.items()]).sum(), **means}

    def nce(self, e: Embeddings, queries: list[str], keys: list[str], tau: float) -> Tensor:
        """L(α, β) of eq. 1 for every α of the queries and β of the keys."""
        target = torch.stack([e[name] for name in keys])
        target = target.detach() if self.detach_keys else target
        return info_nce_pairs(
            torch.stack([e[name] for name in queries]),
            ranks.own_first(target, 1) if self.gather else target,
            tau,
        )

    def all_pairs(self, e: Embeddings, i: int, j: int) -> list[Tensor]:
        """Eq. 6: (T_i × T_j) − (S_i × S_j), both ways; without feature crops T_i is the large crop itself."""
        (m_i, s_i), (m_j, s_j) = (
            ([n for n in e if n.startswith((f"M{k}_", f"Mt{k}_"))] or [f"L{k}"],
             [n for n in e if n.startswith((f"S{k}_", f"St{k}_"))])
            for k in (i, j)
        )  # fmt: skip
        there = self.nce(e, m_i + s_i, m_j + s_j, self.tau_within)
        back = self.nce(e, m_j + s_j, m_i + s_i, self.tau_within).T
        wanted = torch.ones_like(there, dtype=torch.bool)
        wanted[len(m_i) :, len(m_j) :] = False
        return [there[wanted], back[wanted]]

    def official_pairs(self, e: Embeddings, i: int, j: int) -> list[Tensor]:
        """What the released code takes of eq. 6: spatial (or all) crops by themselves, temporal ones likewise."""
        terms = []
        for axis in ("", "t"):
            medium = [n for n in e if n.startswith(f"M{axis}{i}_")]
            small = [n for n in e if n.startswith(f"S{axis}{j}_")]
            if len(medium) > 1:
                a, b = medium[-1:], [medium[-1].replace(f"{i}_", f"{j}_", 1)]
                both = self.nce(e, a, b, self.tau_within) + self.nce(e, b, a, self.tau_within)
                terms.append(both.flatten() / 2)
            if medium and small:
                fixed = e | {n: e[n].detach() for n in medium}
                terms.append(self.nce(fixed, small, medium, self.tau_within).flatten())
        if not terms:
            raise UserError("pairs: official has none with one medium and no small crop; use pairs: paper")
        return terms

    def embed(self, modality: str, features: Tensor) -> tuple[Tensor, Tensor] | None:
        """The head's output; query and key are the same. None without sound."""
        if not self.weight_cross:
            return None
        pooled = self.pool(features) if modality == "video" else self.net("audio").pool(features)
        z = self.heads[modality](pooled)
        return z, z

    def _large(self, e: Embeddings) -> list[str]:
        return [f"L{i}" for i in range(1, len(self.large) + 1)]
