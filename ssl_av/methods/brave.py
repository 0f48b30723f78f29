"""BraVe: Broaden Your Views for Self-Supervised Video Learning (Recasens et al., ICCV 2021)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from ssl_av.data.views import AnyStart, Anywhere, CentredOn, FlowView, StartsWith, VideoView, View, When
from ssl_av.errors import UserError
from ssl_av.heads import MLP
from ssl_av.losses import regression
from ssl_av.methods import register_method
from ssl_av.methods.base import Batch, Embeddings, Method
from ssl_av.methods.settings import Inputs, Networks, Optim, check_choice

# Broad view → its modality; views of one modality share a backbone (§3.1).
KINDS = {"audio": "audio", "rgb": "rgb", "rgb+rc": "rgb", "flow": "flow"}
SYNCS = ("paper", "start", "center", "async", "official")


@register_method
class BraVe(Method):
    """A narrow view of a second or so and K broad views regress each other; no negatives, no moving average.

    Args:
        broad: the broad views: ``audio``, ``rgb``, ``rgb+rc`` (random convolutions) or ``flow`` (made beforehand by
            ``ssl-av data flow``); a kind may be repeated.
        sync: where the broad views lie in time. ``paper``: sound starts with the narrow view, picture and flow start
            anywhere (§4.1). ``start``, ``center``, ``async`` (tables 1 and 8): all start with the narrow view, have
            its centre, or start anywhere. ``official``: what the released code does, which is ``start``.
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
        sync: Literal["paper", "start", "center", "async", "official"] = "paper",
        broad_seconds: float = 5.0,
        broad_frames: int = 64,
        broad_fps: float = 6.25,
        broad_size: int = 112,
        hidden: int = 4096,
        dim: int = 128,
        inputs: Inputs = Inputs(frames=16, fps=12.5, size=224, audio_seconds=5.0, front_end="brave"),
        networks: Networks = Networks(video="r2plus1d_18_torchvision", audio="resnet50_audio"),
        optim: Optim = Optim(
            name="lars", lr=1.0, weight_decay=1e-7, warmup=5 / 300, schedule="cosine", predictor_scale=10
        ),
    ) -> None:
        super().__init__(
            inputs, networks, optim, broad=broad, sync=sync, broad_seconds=broad_seconds, broad_frames=broad_frames,
            broad_fps=broad_fps, broad_size=broad_size, hidden=hidden, dim=dim,
        )  # fmt: skip
        if not broad:
            raise UserError(f"broad must name at least one broad view: {', '.join(KINDS)}")
        check_choice("sync", sync, SYNCS)
        views: dict[str, View] = {"narrow": self.clip("brave", when=Anywhere())}
        self.broad: dict[str, str] = {}
        for k, kind in enumerate(broad):
            check_choice("broad view", kind, tuple(KINDS))
            name, when = f"broad_{k}", _when(sync, kind)
            self.broad[name] = KINDS[kind]
            if kind == "audio":
                views[name] = self.sound("brave", broad_seconds, when=when)
            elif kind == "flow":
                views[name] = FlowView(broad_frames, broad_fps, broad_size, "brave", when)
            else:
                augment = "brave_broad" if kind == "rgb+rc" else "brave"
                views[name] = VideoView(broad_frames, broad_fps, broad_size, augment, when)
        self.declare(views)

        # f_n for the narrow view, f_b for the broad ones of each modality; g and h are shared by all (§3.1).
        self.backbones["video"] = self.video_backbone()
        self.broad_backbones, self.adapters = nn.ModuleDict(), nn.ModuleDict()
        make = {"audio": self.audio_backbone, "rgb": self.video_backbone, "flow": self.flow_backbone}
        features = self.net("video").num_features
        for modality in dict.fromkeys(self.broad.values()):
            network = self.broad_backbones[modality] = make[modality]()
            same = network.num_features == features
            self.adapters[modality] = nn.Identity() if same else nn.Linear(network.num_features, features)
        if "audio" in self.broad_backbones:
            self.backbones["audio"] = self.broad_backbones["audio"]
        self.projector = MLP(features, (hidden,), dim, norm=True, last_norm=True)
        self.predictor = MLP(dim, (hidden,), dim, norm=True)

    def predictors(self) -> list[nn.Module]:
        """h: its rate is ten times the others' (§4.1)."""
        return [self.predictor]

    def forward(self, batch: Batch) -> Embeddings:
        """z and h(z) of every view, e.g. ``z_narrow`` and ``h_broad_0``, [B, dim]."""
        z = {"narrow": self.projector(self.backbones["video"](batch["narrow"]))}
        for name, modality in self.broad.items():
            z[name] = self.projector(self.adapters[modality](self.broad_backbones[modality](batch[name])))
        return {f"z_{n}": e for n, e in z.items()} | {f"h_{n}": self.predictor(e) for n, e in z.items()}

    def loss(self, embeddings: Embeddings, batch: Batch) -> dict[str, Tensor]:
        """Eq. 5: the sum over the modalities m of L_n→m + L_m→n.

        Of several views of one modality the mean z is the target of eq. 2, and the losses of eq. 4 are averaged (§3.1).
        """
        parts = {}
        for m in self.broad_backbones:
            views = [name for name, modality in self.broad.items() if modality == m]
            target = torch.stack([embeddings[f"z_{b}"] for b in views]).mean(dim=0)
            parts[f"narrow_to_{m}"] = regression(embeddings["h_narrow"], target)
            back = [regression(embeddings[f"h_{b}"], embeddings["z_narrow"]) for b in views]
            parts[f"{m}_to_narrow"] = torch.stack(back).mean()
        return {"loss": torch.stack(list(parts.values())).sum(), **parts}

    def embed(self, modality: str, features: Tensor) -> tuple[Tensor, Tensor] | None:
        """As a query h(z), as a key z: what eq. 3 and 4 compare. None without a broad audio view."""
        if "audio" not in self.backbones:
            return None
        features = self.net(modality).pool(features)
        if modality == "audio":
            features = self.adapters["audio"](features)
        z = self.projector(features)
        return self.predictor(z), z


def _when(sync: str, kind: str) -> When:
    """Where in time a broad view lies."""
    if sync == "center":
        return CentredOn("narrow")
    if sync in ("start", "official") or (sync == "paper" and kind == "audio"):
        return StartsWith("narrow")
    return AnyStart()
