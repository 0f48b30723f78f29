"""BraVe: Broaden Your Views for Self-Supervised Video Learning (Recasens et al., ICCV 2021)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from ssl_av.backbones import Backbone
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
MODULES = ("backbone", "projector", "predictor")


@register_method
class BraVe(Method):
    """A narrow view of a second or so and K broad views regress each other; no negatives, no moving average.

    The paper's tables, by argument:

    - 1, 8: ``sync`` with ``broad: [rgb+rc]`` (``paper``, then ``start``) or ``[audio]``.
    - 2: ``inputs.frames, fps, size`` for the narrow view; ``broad_seconds``, or ``broad_frames, broad_fps``.
    - 3, 4, 9: ``broad``, e.g. ``[rgb]``, ``[flow]``, ``[rgb+rc, rgb+rc]``, ``[rgb+rc, flow]``.
    - 5, with ``broad: [rgb]``: ``share``; by row ``[]``, ``[predictor]``, the default, ``[backbone, projector]``, all
      three. (The marks of the second and the fourth row were not at hand: they are inferred from §4.3's text.)
    - 6: ``broad`` (V↔V×3 is three ``rgb+rc``, V↔FA is ``[flow, audio]``); ``networks.video`` for the narrow view with
      the TSM-ResNet-50 as ``broad_network``. The default is V↔A, R(2+1)D-18, with §4.1's 16 frames (§4.4: 32).
    - Appendix D: ``inputs.frames: 1``, an image model.

    Args:
        broad: the broad views: ``audio``, ``rgb``, ``rgb+rc`` (random convolutions) or ``flow`` (made beforehand by
            ``ssl-av data flow``); a kind may be repeated.
        sync: where the broad views lie in time. ``paper``: sound starts with the narrow view, picture and flow start
            anywhere (§4.1). ``start``, ``center``, ``async`` (tables 1 and 8): all start with the narrow view, have
            its centre, or start anywhere. ``official``: what the released code does, which is ``start``.
        share: which of ``backbone``, ``projector`` and ``predictor`` the broad views share with the narrow one
            (table 5; §3.1: projector and predictor); what is not shared, each modality has for itself. A shared
            backbone needs ``rgb`` views.
        broad_seconds: length of a broad audio view (§4.1: 5 s).
        broad_frames: frames of a broad visual view (§4.1: 64).
        broad_fps: their rate (§4.1: 6.25, so 10 s).
        broad_size: their height and width (§4.1: 112, half of the narrow view's).
        broad_network: backbone of the broad visual views (§4.1: always TSM-ResNet-50); null for ``networks.video``.
        broad_network_args: its arguments; laid over ``networks.video_args`` where ``broad_network`` is null.
        hidden: hidden width of projector and predictor (§4.1: 4096).
        dim: their output (§4.1: 128).
        scale: of the loss. ``paper``: the sum of eq. 5. ``official``: half of the mean, as in the released code.
    """

    name: ClassVar[str] = "brave"
    paper: ClassVar[str] = "BraVe"

    def __init__(
        self,
        *,
        broad: tuple[str, ...] = ("audio",),
        sync: Literal["paper", "start", "center", "async", "official"] = "paper",
        share: tuple[str, ...] = ("projector", "predictor"),
        broad_seconds: float = 5.0,
        broad_frames: int = 64,
        broad_fps: float = 6.25,
        broad_size: int = 112,
        broad_network: str | None = None,
        broad_network_args: dict[str, Any] | None = None,
        hidden: int = 4096,
        dim: int = 128,
        scale: Literal["paper", "official"] = "paper",
        inputs: Inputs = Inputs(frames=16, fps=12.5, size=224, audio_seconds=5.0, front_end="brave"),
        networks: Networks = Networks(video="r2plus1d_18_torchvision", audio="resnet50_audio"),
        optim: Optim = Optim(
            name="lars", lr=1.0, weight_decay=1e-7, warmup=5 / 300, schedule="cosine", predictor_scale=10
        ),
    ) -> None:
        super().__init__(
            inputs, networks, optim, broad=broad, sync=sync, share=share, broad_seconds=broad_seconds,
            broad_frames=broad_frames, broad_fps=broad_fps, broad_size=broad_size, broad_network=broad_network,
            broad_network_args=broad_network_args, hidden=hidden, dim=dim, scale=scale,
        )  # fmt: skip
        if not broad:
            raise UserError(f"broad must name at least one broad view: {', '.join(KINDS)}")
        check_choice("sync", sync, SYNCS)
        check_choice("scale", scale, ("paper", "official"))
        for module in share:
            check_choice("module to share", module, MODULES)
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
        modalities = list(dict.fromkeys(self.broad.values()))
        self.scale, self.broad_network, self.broad_network_args = (
            scale,
            broad_network,
            broad_network_args or {},
        )
        if "backbone" in share and (modalities != ["rgb"] or broad_network or broad_network_args):
            raise UserError(
                "share: backbone needs rgb or rgb+rc as the only broad views, and no broad_network"
            )
        self.backbones["video"] = self.video_backbone()
        self.broad_backbones, self.adapters = nn.ModuleDict(), nn.ModuleDict()
        features = self.net("video").num_features
        for m in modalities:
            network = self.net("video") if "backbone" in share else self.broad_backbone(m)
            same = network.num_features == features
            self.broad_backbones[m] = network
            self.adapters[m] = nn.Identity() if same else nn.Linear(network.num_features, features)
        if "audio" in self.broad_backbones:
            self.backbones["audio"] = self.broad_backbones["audio"]

        def g() -> MLP:
            return MLP(features, (hidden,), dim, norm=True, last_norm=True)

        def h() -> MLP:
            return MLP(dim, (hidden,), dim, norm=True)

        self.projector, self.predictor = g(), h()
        self.own_projectors = nn.ModuleDict({} if "projector" in share else {m: g() for m in modalities})
        self.own_predictors = nn.ModuleDict({} if "predictor" in share else {m: h() for m in modalities})

    def broad_backbone(self, modality: str) -> Backbone:
        """A new f_b for the broad views of a modality."""
        if modality == "audio":
            return self.audio_backbone()
        channels = {"in_channels": 2} if modality == "flow" else {}
        return self.video_backbone(self.broad_network, **self.broad_network_args, **channels)

    def predictors(self) -> list[nn.Module]:
        """h: its rate is ten times the others' (§4.1)."""
        return [self.predictor, *self.own_predictors.values()]

    def project(self, features: Tensor, modality: str = "") -> tuple[Tensor, Tensor]:
        """z and h(z) of the narrow view's features, or of those of a broad view of ``modality``."""
        if modality:
            features = self.adapters[modality](features)
        g = dict(self.own_projectors).get(modality, self.projector)
        h = dict(self.own_predictors).get(modality, self.predictor)
        z = g(features)
        return z, h(z)

    def forward(self, batch: Batch) -> Embeddings:
        """z and h(z) of every view, e.g. ``z_narrow`` and ``h_broad_0``, [B, dim]."""
        views = {"narrow": self.project(self.backbones["video"](batch["narrow"]))}
        for name, m in self.broad.items():
            views[name] = self.project(self.broad_backbones[m](batch[name]), m)
        return {f"z_{n}": z for n, (z, _) in views.items()} | {f"h_{n}": h for n, (_, h) in views.items()}

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
        terms = torch.stack(list(parts.values()))
        return {"loss": terms.sum() if self.scale == "paper" else terms.mean() / 2, **parts}

    def embed(self, modality: str, features: Tensor) -> tuple[Tensor, Tensor] | None:
        """As a query h(z), as a key z: what eq. 3 and 4 compare. None without a broad audio view."""
        if "audio" not in self.backbones:
            return None
        pooled = self.net(modality).pool(features)
        z, h = self.project(pooled, "audio" if modality == "audio" else "")
        return h, z


def _when(sync: str, kind: str) -> When:
    """Where in time a broad view lies."""
    if sync == "center":
        return CentredOn("narrow")
    if sync in ("start", "official") or (sync == "paper" and kind == "audio"):
        return StartsWith("narrow")
    return AnyStart()
