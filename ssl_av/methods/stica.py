"""STiCA: Space-Time Crop & Attend (Patrick et al., ICCV 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from ssl_av.data.views import Anywhere, StartsWith
from ssl_av.errors import UserError
from ssl_av.heads import MLP, TemporalTransformer
from ssl_av.losses import info_nce
from ssl_av.methods import register_method
from ssl_av.methods.base import Batch, Embeddings, Method
from ssl_av.methods.settings import Inputs, Networks, Optim, check_choice, check_positive


@dataclass(frozen=True)
class FeatureCrops:
    """Crops of the trunk's output, in its cells (table 1b). ``(2, 6)`` is two crops of side 6.

    A crop of one class is every spatial crop of the class combined with every temporal one.

    Attributes:
        medium_space: count and side of the medium crops.
        medium_time: count and length of the medium crops.
        small_space: count and side of the small crops.
        small_time: count and length of the small crops.
    """

    medium_space: tuple[int, int] = (2, 6)
    medium_time: tuple[int, int] = (2, 3)
    small_space: tuple[int, int] = (4, 4)
    small_time: tuple[int, int] = (1, 2)


@register_method
class STiCA(Method):
    """Sound and two RGB crops are contrasted; the crops' features are cropped again in space and time.

    Args:
        crops: the feature crops, or null for whole maps only.
        pooling: how time is pooled: ``transformer`` (§3.3) or ``average``.
        weight_within: λ_vv of eq. 7.
        weight_cross: λ_va of eq. 7.
        mean: divide L_vv and L_va by their number of terms. The paper sums (eq. 6, 7) and does not give its λ;
            the mean keeps the weights independent of the number of crops.
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
        pooling: Literal["transformer", "average"] = "transformer",
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
            inputs, networks, optim, crops=crops, pooling=pooling, weight_within=weight_within,
            weight_cross=weight_cross, mean=mean, temperature_within=temperature_within,
            temperature_cross=temperature_cross, dim=dim, hidden=hidden, dropout=dropout,
        )  # fmt: skip
        check_choice("pooling", pooling, ("transformer", "average"))
        check_positive(temperature_within=temperature_within, temperature_cross=temperature_cross)
        self.crops, self.mean = crops, mean
        self.weight_within, self.weight_cross = weight_within, weight_cross
        self.tau_within, self.tau_cross = temperature_within, temperature_cross
        # Two augmentations of one stretch of time, and the sound that starts with it (§3.2, §6.1).
        self.declare(
            {
                "video_1": self.clip("stica", when=Anywhere()),
                "video_2": self.clip("stica", when=StartsWith("video_1")),
                "audio": self.sound("stica", when=StartsWith("video_1")),
            }
        )
        self.backbones["video"], self.backbones["audio"] = self.video_backbone(), self.audio_backbone()
        width = self.net("video").num_features
        self.attend: TemporalTransformer | None = (
            TemporalTransformer(width) if pooling == "transformer" else None
        )
        self.heads = nn.ModuleDict(
            {
                m: MLP(self.net(m).num_features, (hidden,), dim, norm=True, dropout=dropout)
                for m in self.backbones
            }
        )

    def pool(self, features: Tensor) -> Tensor:
        """P_t ∘ P_s of eq. 4: mean over space, then attention (or the mean) over time. [B, D, T, H, W] → [B, D]."""
        tokens = features.mean(dim=(3, 4)).transpose(1, 2)
        return tokens.mean(dim=1) if self.attend is None else self.attend(tokens)

    def forward(self, batch: Batch) -> Embeddings:
        """``audio``, the two large crops ``L1`` and ``L2``, and their feature crops ``M1_0`` …, ``S2_3``: [B, dim]."""
        out: Embeddings = {"audio": self.heads["audio"](self.backbones["audio"](batch["audio"]))}
        for i in (1, 2):
            features = self.net("video").forward_features(batch[f"video_{i}"])  # Ψ: once a view
            out[f"L{i}"] = self.heads["video"](self.pool(features))
            for name, crop in self.feature_crops(features).items():
                out[f"{name[0]}{i}_{name[1:]}"] = self.heads["video"](self.pool(crop))
        return out

    def feature_crops(self, features: Tensor) -> dict[str, Tensor]:
        """Eq. 5: medium (``M0`` …) and small (``S0`` …) crops of Ψ(v), one place for the whole batch."""
        if self.crops is None:
            return {}
        kinds = {
            "M": (self.crops.medium_space, self.crops.medium_time),
            "S": (self.crops.small_space, self.crops.small_time),
        }
        out = {}
        for kind, ((n_space, side), (n_time, length)) in kinds.items():
            boxes = [(_place(features, 3, side), _place(features, 4, side)) for _ in range(n_space)]
            times = [_place(features, 2, length) for _ in range(n_time)]
            for k, (t, (y, x)) in enumerate((t, box) for t in times for box in boxes):
                out[f"{kind}{k}"] = features[:, :, t, y, x]
        return out

    def loss(self, embeddings: Embeddings, batch: Batch) -> dict[str, Tensor]:
        """Eq. 7: λ_vv L_vv (eq. 6) + λ_va L_va."""
        audio = embeddings["audio"]
        cross = [
            info_nce(*pair, self.tau_cross)
            for view in (embeddings["L1"], embeddings["L2"])
            for pair in ((view, audio), (audio, view))
        ]
        # (T_1 × T_2) − (S_1 × S_2), in both directions; without feature crops T_i is the large crop itself.
        sets = [[n for n in embeddings if n[0] in "MS" and n[1] == i] or [f"L{i}"] for i in "12"]
        within = [
            info_nce(*pair, self.tau_within)
            for a in sets[0]
            for b in sets[1]
            if not (a[0] == "S" and b[0] == "S")
            for pair in ((embeddings[a], embeddings[b]), (embeddings[b], embeddings[a]))
        ]
        l_va, l_vv = torch.stack(cross).sum(), torch.stack(within).sum()
        if self.mean:
            l_va, l_vv = l_va / len(cross), l_vv / len(within)
        loss = self.weight_within * l_vv + self.weight_cross * l_va
        return {"loss": loss, "within": l_vv, "cross": l_va}

    def embed(self, modality: str, features: Tensor) -> tuple[Tensor, Tensor]:
        """The head's output; query and key are the same."""
        pooled = self.pool(features) if modality == "video" else self.net("audio").pool(features)
        z = self.heads[modality](pooled)
        return z, z


def _place(features: Tensor, dim: int, length: int) -> slice:
    """A uniformly random stretch of ``length`` cells of one dimension."""
    room = features.shape[dim] - length
    if room < 0:
        raise UserError(
            f"a feature crop of {length} cells does not fit the video backbone's map of {list(features.shape[2:])} "
            "(time, height, width); lower the sizes in `crops` or give larger clips"
        )
    start = int(torch.randint(room + 1, ()))
    return slice(start, start + length)
