"""What all methods share: networks from the registry, transforms on the device, the training step, the optimiser."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from ssl_av import ranks
from ssl_av.backbones import Backbone, create_backbone
from ssl_av.backbones.base import channels_last
from ssl_av.data.views import AudioView, FlowView, VideoView, View
from ssl_av.errors import NotFinite, UserError, WeightNotFinite
from ssl_av.methods.settings import Inputs, Networks, Optim, plain
from ssl_av.optim import create_optimizer
from ssl_av.training.deadline import deadline_of
from ssl_av.transforms import AudioTransform, VideoTransform, audio_augment, spectrogram, video_augment
from ssl_av.transforms.flow import FlowTransform, flow_augment

Batch = dict[str, Any]
Embeddings = dict[str, Tensor]


class Method(pl.LightningModule):
    """A paper: views + networks + loss.

    A subclass sets ``name`` and ``paper``, declares its `views`, and writes `forward` and `loss`. ``settings``
    holds all arguments; they are stored in every checkpoint.

    Attributes:
        views: what the method asks of each sample, by name.
        backbones: ``video`` and ``audio`` networks, what evaluation sees.
        rates: learning rate of each parameter group before any schedule, once the training has begun.
        source: the file or the run's folder that it was read from, by `ssl_av.load_method`.
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    #: False for a row that is only measured, never trained (`random`).
    trains: ClassVar[bool] = True
    #: buffers that the method itself keeps the same on all ranks: DDP need not send them at every step
    replicated: ClassVar[tuple[str, ...]] = ()
    source: Path | None = None
    views: dict[str, View]
    backbones: nn.ModuleDict

    def __init__(self, inputs: Inputs, networks: Networks, optim: Optim, **settings: Any) -> None:
        super().__init__()
        self.inputs, self.networks, self.optim = inputs, networks, optim
        self.settings = plain({"inputs": inputs, "networks": networks, "optim": optim, **settings})
        with torch.device("cpu"):  # its constants are computed: also of a method on the meta device
            self.front_end = spectrogram(inputs.front_end)
        self.origin: dict[str, Any] = {}  # of weights that were imported
        shortest = self.front_end.shortest / self.front_end.sample_rate
        if inputs.audio_seconds < shortest:
            raise UserError(
                f"inputs.audio_seconds {inputs.audio_seconds:g}: the front end '{inputs.front_end}' needs "
                f"at least {shortest:.4f} s"
            )
        self.backbones = nn.ModuleDict()
        self.transforms = nn.ModuleDict()
        self.views = {}
        self.rates: dict[str, float] = {}
        self._ddp_params_and_buffers_to_ignore = list(self.replicated)

    # -- pieces a subclass builds itself from ------------------------------------------------------------------

    def net(self, modality: str) -> Backbone:
        """The backbone of a modality."""
        return cast(Backbone, self.backbones[modality])

    def encoder(self, modality: str) -> nn.Module:
        """What the method's embeddings start from, a view to [B, D]: the backbone, with what the method pools it by.

        It shares the method's modules. Fine-tuning takes it where a protocol says ``pooling: {video: method}``.
        """
        return self.net(modality)

    def video_backbone(self, network: str | None = None, **args: Any) -> Backbone:
        """A new video backbone: ``networks.video`` with ``args`` over its own, or ``network`` with ``args`` alone."""
        own = {} if network else self.networks.video_args
        # Convolutions over frames are a third faster with the channels last; the weights' layout decides.
        return channels_last(create_backbone(network or self.networks.video, **(own | args)))

    def audio_backbone(self) -> Backbone:
        """A new audio backbone."""
        # Not with the channels last: torch 2.14 corrupts the heap in the gradient of narrow 1×1 convolutions then.
        return create_backbone(self.networks.audio, **self.networks.audio_args)

    def declare(self, views: Mapping[str, View]) -> None:
        """Sets the views and builds their transforms."""
        self.views = dict(views)
        for name, view in self.views.items():
            self.transforms[name] = self.transform(view)

    def transform(self, view: View) -> nn.Module:
        """The device-side transform of a view: augmentation, and for sound the spectrogram."""
        if isinstance(view, AudioView):
            return AudioTransform(self.front_end, audio_augment(view.augment))
        if isinstance(view, FlowView):
            return FlowTransform(view.size, flow_augment(view.augment))
        return VideoTransform(view.size, video_augment(view.augment, crop_area=self.inputs.crop_area))

    def clip(self, augment: str = "none", **kw: Any) -> VideoView:
        """A video view of the common length and size."""
        i = self.inputs
        return VideoView(i.frames, i.fps, i.size, i.augment or augment, **kw)

    def sound(self, augment: str = "none", seconds: float | None = None, **kw: Any) -> AudioView:
        """An audio view at the front end's rate, of the common length unless ``seconds`` says otherwise."""
        augment = self.inputs.augment or augment
        length = self.inputs.audio_seconds if seconds is None else seconds
        length *= audio_augment(augment).reach  # more, where the augmentation rescales time
        return AudioView(length, int(self.front_end.sample_rate), augment, **kw)

    # -- what a paper writes -----------------------------------------------------------------------------------

    @abstractmethod
    def forward(self, batch: Batch) -> Embeddings:
        """Embeddings of the batch's transformed views."""

    @abstractmethod
    def loss(self, embeddings: Embeddings, batch: Batch) -> dict[str, Tensor]:
        """The loss under ``"loss"`` and its named parts."""

    def embed(self, modality: str, features: Tensor) -> tuple[Tensor, Tensor] | None:
        """Features in the space that the two modalities share, for cross-modal retrieval.

        Args:
            modality: ``video`` or ``audio``.
            features: the backbone's last map, unpooled (`forward_features`).

        Returns:
            The embedding as a query and as a key, [B, D] each; None if the method has no such space.
        """
        return None

    def predictors(self) -> list[nn.Module]:
        """Modules with the predictor's learning rate."""
        return []

    def stages(self, total_steps: int) -> list[tuple[str, int]] | None:
        """Named stages of the training with their steps, where there is more than one."""
        return None

    # -- the training step -------------------------------------------------------------------------------------

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Transforms the views on the device (Lightning calls this after the transfer)."""
        return self.transform_batch(batch)

    @torch.no_grad()
    def transform_batch(self, batch: Batch) -> Batch:
        """What was read → clips [B, 3, T, H, W], flow [B, 2, T, H, W] and spectrograms [B, 1, time, frequency]."""
        out = dict(batch)
        for name, view in self.views.items():
            if name not in batch:
                continue
            if isinstance(view, VideoView):
                aspect = out.pop(f"{name}.aspect", None)
                out[name] = self.transforms[name](batch[name], aspect)
            elif isinstance(view, FlowView):
                aspect, step = out.pop(f"{name}.aspect"), out.pop(f"{name}.step")
                out[name] = self.transforms[name](batch[name], aspect, step)
            else:
                out[name] = self.transforms[name](batch[name])
        return out

    def on_fit_start(self) -> None:
        """What several ranks must hold alike is the first one's: machines may differ in how they draw numbers."""
        for name in self.replicated:
            ranks.send(self.get_buffer(name))

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Any] | None:
        """One step: forward, loss, log. A batch of which fewer than two samples could be read is passed over.

        Several ranks do so together, whichever has one, and all fail where one does. Each sample of their batches
        counts the same.
        """
        sizes = ranks.sizes(len(batch["index"]))
        if min(sizes) < 2:
            return None
        self.check_views(batch)
        embeddings = self(batch)
        # Before the loss, which may write them to a memory; any loss of them is NaN.
        finite = all(bool(torch.isfinite(e).all()) for e in embeddings.values())
        self.stop_unless(finite, torch.tensor(torch.nan), embeddings, batch)
        parts = self.loss(embeddings, batch)
        self.stop_unless(bool(torch.isfinite(parts["loss"])), parts["loss"], embeddings, batch)
        weight = ranks.weight(sizes)
        for name, value in ranks.means(parts, weight).items():
            key = "loss" if name == "loss" else f"loss/{name}"
            self.log(key, value, prog_bar=name == "loss", on_step=True, on_epoch=False, batch_size=sum(sizes))
        loss = parts["loss"] if weight == 1 else parts["loss"] * weight
        return {"loss": loss, "embeddings": {k: v.detach() for k, v in embeddings.items()}}

    def stop_unless(self, finite: bool, loss: Tensor, embeddings: Embeddings, batch: Batch) -> None:
        """Raises `NotFinite` on all ranks if one has come upon it, as that one says it."""
        if ranks.any_of(not finite):
            said = ranks.gather_objects(None if finite else self.not_finite(loss, embeddings, batch))
            raise next(s for s in said if s)

    def check_views(self, batch: Batch) -> None:
        """Raises a `UserError` for a transformed batch that lacks a view or has one of another shape."""
        for name, view in self.views.items():
            want: list[int | str] = [len(batch["index"]), 1, "time", "frequency"]
            if not isinstance(view, AudioView):
                want[1:] = [3 if isinstance(view, VideoView) else 2, view.frames, view.size, view.size]
            have = list(batch[name].shape) if name in batch else []
            fits = [h == w or isinstance(w, str) for h, w in zip(have, want, strict=False)]
            if len(have) != len(want) or not all(fits):
                shape = f"[{', '.join(map(str, want))}]"
                raise UserError(
                    f"{self.name}: view '{name}' of a batch must be {shape}, got {have or 'none'}"
                )

    def not_finite(self, loss: Tensor, embeddings: Embeddings, batch: Batch) -> NotFinite:
        """What to say of a loss that is NaN or infinite: where it comes from, and what to do."""
        said = f"the loss of {self.name} is {loss.item()} at step {self.global_step}"
        for name in self.views:
            rows = ~torch.isfinite(batch[name]).flatten(1).all(dim=1)
            if rows.any():
                where = [i for i, bad in zip(batch["index"].tolist(), rows.tolist(), strict=True) if bad][:3]
                return NotFinite(
                    f"{said}: view '{name}' holds NaN or infinity, in rows {where} of the manifest"
                )
        if spoilt := self.spoilt():
            return WeightNotFinite(f"{said}: {spoilt}")
        bad = ", ".join(n for n, e in embeddings.items() if not torch.isfinite(e).all())
        cause = (
            f"embeddings {bad} are not finite, the views are" if bad else "views and embeddings are finite"
        )
        return NotFinite(f"{said}: {cause}; a lower --method.optim.lr than {self.optim.lr} may help")

    def spoilt(self) -> WeightNotFinite | None:
        """What to say of a weight that is NaN or infinite, if there is one."""
        for name, weight in self.named_parameters():
            if not bool(torch.isfinite(weight).all()):
                return WeightNotFinite(
                    f"weight {name} is not finite after step {self.global_step}; a lower --method.optim.lr than "
                    f"{self.optim.lr} may help"
                )
        return None

    def configure_optimizers(self) -> Any:
        """The optimiser and schedule of ``optim``, stretched over all steps of the training."""
        trainer = self.trainer
        deadline, accumulated = deadline_of(trainer), trainer.accumulate_grad_batches
        total = deadline.total if deadline else int(trainer.estimated_stepping_batches)
        trainer.fit_loop.setup_data()  # else the length of an epoch is not known yet
        batches = trainer.num_training_batches
        epoch_steps = max(math.ceil(batches / accumulated), 1) if math.isfinite(batches) else None
        batch = getattr(trainer.train_dataloader, "batch_size", None)
        batch = batch and batch * accumulated * trainer.world_size
        made = create_optimizer(self.optim, self, self.predictors(), total, epoch_steps, batch)
        self.rates = {g["name"]: g["initial_lr"] for g in made["optimizer"].param_groups}
        return made

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Stores what is needed to build this method again."""
        checkpoint["ssl_av"] = {"method": self.name, "settings": self.settings, "origin": self.origin}
