"""BraVe: Broaden Your Views for Self-Supervised Video Learning (Recasens et al., ICCV 2021)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from ssl_av.data.views import AnyStart, Anywhere, StartsWith, VideoView, View
from ssl_av.errors import UserError
from ssl_av.heads import MLP
from ssl_av.losses import regression
from ssl_av.methods import register_method
from ssl_av.methods.base import Batch, Embeddings, Method
from ssl_av.methods.settings import Inputs, Networks, Optim, check_choice

KINDS = ("audio", "rgb", "rgb+rc")


@register_method
class BraVe(Method):
    """A narrow view of a second or so and K broad views regress each other; no negatives, no moving average.

    Args:
        broad: the broad views: ``audio``, ``rgb``, or ``rgb+rc`` (random convolutions); a kind may be repeated.
        broad_seconds: length of a broad audio view (§4.1: 5 s).
        broad_frames: frames of a broad visual view (§4.1: 64).
        broad_fps: their rate (§4.1: 6.25, so 10 s).
        broad_size: their height and width (§4.1: 112, half of the narrow view's).
        hidden: hidden width of projector and predictor (§4.1: 4096).
        dim: their output (§4.1: 128).
    """

    name: ClassVar[str] = "brave"
    paper: ClassVar[str] = "BraVe"

    def __init__(
        self,
        *,
        broad: tuple[str, ...] = ("audio",),
        broad_seconds: float = 5.0,
        broad_frames: int = 64,
        broad_fps: float = 6.25,
        broad_size: int = 112,
        hidden: int = 4096,
        dim: int = 128,
        inputs: Inputs = Inputs(frames=16, fps=12.5, size=224, audio_seconds=5.0, front_end="brave"),
        networks: Networks = Networks(video="r2plus1d_18_torchvision", audio="resnet50_audio"),
        optim: Optim = Optim(
            name="lars", lr=1.0, weight_decay=1e-7, warmup=0.01, schedule="cosine", predictor_scale=10
        ),
    ) -> None:
        super().__init__(
            inputs, networks, optim, broad=broad, broad_seconds=broad_seconds, broad_frames=broad_frames,
            broad_fps=broad_fps, broad_size=broad_size, hidden=hidden, dim=dim,
        )  # fmt: skip
        if not broad:
            raise UserError("broad must name at least one broad view: audio, rgb or rgb+rc")
        views: dict[str, View] = {"narrow": self.clip("brave", when=Anywhere())}
        self.broad: list[str] = []
        for k, kind in enumerate(broad):
            check_choice("broad view", kind, KINDS)
            self.broad.append(f"broad_{k}")
            if kind == "audio":  # starts with the narrow view (table 8)
                views[f"broad_{k}"] = self.sound("brave", broad_seconds, when=StartsWith("narrow"))
            else:  # any start, looping (§4.1)
                augment = "brave_broad" if kind == "rgb+rc" else "brave"
                views[f"broad_{k}"] = VideoView(broad_frames, broad_fps, broad_size, augment, AnyStart())
        self.declare(views)

        # f_n for the narrow view, f_b^k for each broad one; g and h are shared by all (§3.1).
        self.backbones["video"] = self.video_backbone()
        self.broad_backbones, self.adapters = nn.ModuleDict(), nn.ModuleDict()
        features = self.net("video").num_features
        for name, kind in zip(self.broad, broad, strict=True):
            network = self.audio_backbone() if kind == "audio" else self.video_backbone()
            self.broad_backbones[name] = network
            same = network.num_features == features
            self.adapters[name] = nn.Identity() if same else nn.Linear(network.num_features, features)
        if "audio" in broad:  # evaluation sees the first audio network
            self.backbones["audio"] = self.broad_backbones[self.broad[broad.index("audio")]]
        self.projector = MLP(features, (hidden,), dim, norm=True, last_norm=True)
        self.predictor = MLP(dim, (hidden,), dim, norm=True)

    def predictors(self) -> list[nn.Module]:
        """h: its rate is ten times the others' (§4.1)."""
        return [self.predictor]

    def forward(self, batch: Batch) -> Embeddings:
        """z and h(z) of every view, e.g. ``z_narrow`` and ``h_broad_0``, [B, dim]."""
        z = {"narrow": self.projector(self.backbones["video"](batch["narrow"]))}
        for name in self.broad:
            z[name] = self.projector(self.adapters[name](self.broad_backbones[name](batch[name])))
        return {f"z_{n}": e for n, e in z.items()} | {f"h_{n}": self.predictor(e) for n, e in z.items()}

    def loss(self, embeddings: Embeddings, batch: Batch) -> dict[str, Tensor]:
        """Eq. 5: the sum over the broad views k of L_n→b^k + L_b→n^k (eq. 3 and 4)."""
        parts = {}
        for b in self.broad:
            parts[f"narrow_to_{b}"] = regression(embeddings["h_narrow"], embeddings[f"z_{b}"])
            parts[f"{b}_to_narrow"] = regression(embeddings[f"h_{b}"], embeddings["z_narrow"])
        return {"loss": torch.stack(list(parts.values())).sum(), **parts}

    def embed(self, modality: str, features: Tensor) -> tuple[Tensor, Tensor] | None:
        """As a query h(z), as a key z: what eq. 3 and 4 compare. None without a broad audio view."""
        if "audio" not in self.backbones:
            return None
        features = self.net(modality).pool(features)
        if modality == "audio":
            first = next(n for n in self.broad if self.broad_backbones[n] is self.backbones["audio"])
            features = self.adapters[first](features)
        z = self.projector(features)
        return self.predictor(z), z
