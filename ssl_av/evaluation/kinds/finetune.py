"""Kinds that need the network: fine-tuning of the video backbone, and linear probes that see other clips each epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from ssl_av.errors import UserError
from ssl_av.evaluation.changes import changed, grid_points, said
from ssl_av.evaluation.features import Features, labels_of
from ssl_av.evaluation.finetune import choose, finetune
from ssl_av.evaluation.finetune_settings import FineTuning, Tuning
from ssl_av.evaluation.kinds import (
    NETWORK,
    NotApplicableError,
    Outcome,
    Predicted,
    Results,
    Subject,
    average,
    register_kind,
)
from ssl_av.evaluation.kinds._labels import need
from ssl_av.evaluation.kinds._tuned import Choice, add_tuned
from ssl_av.evaluation.protocols import Clips, Protocol
from ssl_av.evaluation.scores import Measured
from ssl_av.methods.settings import Inputs, Optim
from ssl_av.transforms import VideoAugment, video_augment


@dataclass(frozen=True)
class FineTune(Tuning):
    """What a protocol adds to `ssl_av.evaluation.finetune_settings.Tuning`.

    Attributes:
        augment: fields of `ssl_av.transforms.VideoAugment` that are other than in the protocol's ``train.augment``.
        grid: fields with lists of values, ``{optim: {lr: [0.03, 0.1]}, dropout: [0.1, 0.5]}``: every combination is
            trained, and the one that is best on validation is measured.
        paper_choice: a second figure beside ours, as of the linear SVM; it needs every combination measured on test.
    """

    optim: Optim = Optim()
    augment: dict[str, Any] = field(default_factory=dict)
    grid: dict[str, Any] = field(default_factory=dict)
    paper_choice: Choice = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        changed(VideoAugment(), self.augment, "settings.augment")
        wrong = sorted(set(self.grid) - {f.name for f in fields(Tuning)})
        if wrong:
            raise UserError(f"settings.grid: {wrong[0]} is no field of the training")
        for point in grid_points(self.grid):
            changed(Tuning(), point)
        if self.blocks and not isinstance(self, OnlineProbe):
            raise UserError("settings.blocks are probed on a frozen backbone: give kind: online-probe")


@dataclass(frozen=True)
class OnlineProbe(FineTune):
    """What the kind ``online-probe`` fixes: the same, of a classifier on the frozen backbone."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.head_epochs:
            raise UserError("settings.head_epochs: an online-probe trains the classifier alone in any case")


def _check(p: Protocol) -> None:
    """What the other kinds leave open is fixed here."""
    if p.modalities != ("video",):
        raise UserError("this kind trains on the picture: modalities must be [video]")
    if p.pooling.video not in (None, "max", "avg", "method") or p.pooling.audio is not None:
        raise UserError(
            "pooling.video must be null, max, avg or method for a network that is trained, and pooling.audio null"
        )
    t = p.train
    if (t.clips, t.place, t.crops, t.warp, p.merge) != (1, "random", 1, 0, "keep"):
        raise UserError(
            "training draws its own clips: train must have clips 1, place random and crops 1, and merge be keep"
        )


def _combine(outcomes: list[Outcome], protocol: Protocol) -> Results:
    """The folds' mean; the second figure is chosen over all folds, as the papers choose it."""
    return add_tuned(average(outcomes, protocol), outcomes, protocol.settings.paper_choice, "test_by_setting")


@register_kind("finetune", FineTune, needs=NETWORK, combine=_combine, check=_check)
def fine_tuning(subject: Subject, protocol: Protocol, classes: int, seed: int) -> Outcome:
    """Top-1 on test by the mean over a sample's clips and crops, and of single ones; the backbone is trained.

    Of several settings (``grid``) the best on validation is measured. With ``refit`` it is trained once more, on
    training and validation together.

    Returns:
        ``{"video": {"top1", "clip_top1", "steps", "epoch"}}``, with a grid the ``setting``, without ``refit`` also
        ``top1_val``.
    """
    return _tuned(subject, protocol, classes, seed, frozen=False)


@register_kind("online-probe", OnlineProbe, needs=NETWORK, combine=_combine, check=_check)
def online_probe(subject: Subject, protocol: Protocol, classes: int, seed: int) -> Outcome:
    """The same on the frozen backbone: a linear probe that sees a new clip of each sample in each epoch.

    Returns:
        As of `fine_tuning`; with ``blocks`` under ``block1``, ``block2`` … in place of ``video``.
    """
    return _tuned(subject, protocol, classes, seed, frozen=True)


def _tuned(subject: Subject, p: Protocol, classes: int, seed: int, frozen: bool) -> Outcome:
    labels = _labels(subject, classes)
    s, net, own = p.settings, subject.backbones["video"], subject.own["video"]
    base = whole_settings(p, subject.inputs, own, subject.data.loading.decode_size, frozen)
    points = grid_points(s.grid)
    grid = [changed(base, point) for point in points]
    device = next((x.device for x in net.parameters()), None)
    tell = subject.report
    more: dict[str, Any] = {
        "like": video_augment(own), "seed": seed, "device": device,
        "progress": (lambda done, total: tell(f"{p.name}: training", done, total, {})) if tell else None,
    }  # fmt: skip
    outcome, best = Outcome({}), 0
    if len(grid) > 1:
        trials = [replace(settings, refit=False) for settings in grid]
        choice = choose(net, subject.data, trials, splits=(), **more)
        best = int(np.argmax(choice.val))
        outcome.skipped |= choice.tuned.skipped
    splits = ("test",) if s.refit else ("val", "test")
    on_test: dict[str, dict[str, Measured]] = {}
    for at in [best] if s.paper_choice == "none" else range(len(grid)):
        done = finetune(net, subject.data, grid[at], splits=splits, **more)
        on_test[said(points[at])] = done.results["test"]
        outcome.skipped |= done.skipped
        if at == best:
            measured = done
    for head, test in measured.results["test"].items():
        side = "video" if head == "pooled" else head
        numbers: Results = {k: v for k, v in test.metrics.items() if k in ("top1", "clip_top1")}
        numbers |= {"steps": measured.steps, "epoch": measured.epoch}
        if not s.refit:
            numbers["top1_val"] = measured.results["val"][head].metrics["top1"]
        if s.grid:
            numbers["setting"] = said(points[best])
        if s.paper_choice != "none":
            numbers["test_by_setting"] = {name: on[head].metrics["top1"] for name, on in on_test.items()}
        known = np.flatnonzero(subject.data.manifest.split("test").labels >= 0)
        outcome.results[side] = numbers
        outcome.predicted[side] = Predicted(test.target, test.scores, known[test.rows])
        outcome.samples = {name: int((y >= 0).sum()) for name, y in labels.items()} | {
            "test": len(test.target)
        }
    return outcome


def _labels(subject: Subject, classes: int) -> Mapping[str, np.ndarray]:
    """The labels of each split, one a sample.

    Raises:
        NotApplicableError: if there is nothing to train, or nothing to train it on.
    """
    if "video" not in subject.backbones:
        raise NotApplicableError("no video backbone")
    manifest = subject.data.manifest
    labels = {name: labels_of(manifest.split(name)) for name in ("train", "val", "test")}
    need({name: Features(y) for name, y in labels.items()}, classes)
    if labels["train"].ndim != 1:
        raise NotApplicableError("samples have several labels; this kind learns one class of each")
    return labels


def whole_settings(p: Protocol, inputs: Inputs, own: str, decode_size: int, frozen: bool) -> FineTuning:
    """A protocol with all that it leaves to the backbone filled in.

    Args:
        p: with its clips resolved (`Protocol.with_clips`).
        inputs: of the backbone.
        own: the augmentation that it was trained with.
        decode_size: side of the frames as the data are read, where the protocol leaves the size open.
        frozen: whether the backbone stays as it is.
    """
    seen, s = p.inputs, p.settings
    size = seen.size or inputs.size
    return FineTuning(
        **{f.name: getattr(s, f.name) for f in fields(Tuning)},
        frames=seen.frames or inputs.frames, fps=float(seen.fps or inputs.fps), size=size,
        short=round(size / seen.zoom), decode_size=None if seen.size else decode_size,
        augment=_augment(p.train, own, s.augment), frozen=frozen,
        pool=None if p.pooling.of_method("video") else p.pooling.video,
        clips=p.test.clips or 1, crops=p.test.crops,
    )  # fmt: skip


def _augment(train: Clips, own: str, changes: Mapping[str, Any]) -> VideoAugment:
    found = video_augment(own if train.augment == "own" else train.augment)
    found = found if train.blur else replace(found, blur_p=0.0)
    result: VideoAugment = changed(found, changes)
    return result
