"""The papers' numbers for classifiers that are trained by gradient, by name.

A name gives a paper's row; `probe_settings` and `finetune_settings` lay changes over it, as a YAML file states them.
Where a paper is silent its released code is followed, and where there is none the comment says what was taken.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from ssl_av.errors import UserError, unknown
from ssl_av.evaluation.finetune_settings import FineTuning
from ssl_av.evaluation.probes import Probe
from ssl_av.methods.settings import Optim
from ssl_av.transforms import AUGMENTS, VideoAugment

S = TypeVar("S", Probe, FineTuning)

# BraVe appendix B, Kinetics-600. "Initial rate 0.5" without a decay being named: the cosine of its other trainings.
_LARS = Optim(name="lars", lr=0.5, weight_decay=0.0, warmup="6.5 epochs", warmup_start=0.0, schedule="cosine")
# AVID's code for the Kinetics probe of table 2; the paper gives no numbers for that one.
_AVID_LINEAR = Optim(
    name="adam",
    lr=1e-4,
    weight_decay=0.0,
    schedule="multistep",
    milestones=("6 epochs", "9 epochs"),
    gamma=0.1,
)

PROBES: dict[str, Probe] = {
    "brave-kinetics600": Probe(_LARS, epochs=100, batch_size=512, norm="learned", draw="one"),
    # BraVe appendix B, "shallow classifier": norms before and after the hidden layer
    "brave-audioset": Probe(
        Optim(name="adam", lr=2e-4, weight_decay=0.0, warmup="5000 steps", warmup_start=0.0, schedule="cosine"),
        epochs=20, batch_size=512, norm="learned", hidden=(512,), multi_label=True, draw="one",
    ),
    # STiCA §6.2, ESC-50 and DCASE: "L2 regularized", so the bias too. How long is not said: 100 epochs are ours.
    "stica-audio": Probe(
        Optim(name="adam", lr=1e-4, weight_decay=5e-4, decay_all=True), epochs=100, batch_size=512, average="score"
    ),
    # AVID's code, on cached features of one block (`BlockFeatures`)
    "avid-blocks": Probe(_AVID_LINEAR, epochs=12, batch_size=128, norm="learned", draw="one"),
    # CrissCross E.1, Kinetics-400, "following" AVID; its optimiser is not said: AVID's
    "crisscross-kinetics400": Probe(_AVID_LINEAR, epochs=12, batch_size=128, draw="one"),
    # the same on UCF101 and HMDB51 with 32 frames: ten clips a sample
    "crisscross-32": Probe(_AVID_LINEAR, epochs=12, batch_size=128, draw="all"),
    # CrissCross's code; its features are L2 normalised before
    "crisscross-dcase": Probe(
        Optim(name="adam", lr=7e-3, weight_decay=1e-5, decay_all=True), epochs=200, batch_size=512, dropout=0.1
    ),
}  # fmt: skip

_AVID_BLOCKS = (9216, 8192, 9216, 8192)
_PLAIN = VideoAugment()  # a crop at random in place, size and shape, and the flip
_AVID_FLIP = VideoAugment(crop_area=None)
_BRAVE_FLIP = replace(_AVID_FLIP, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
_BRAVE_NO_BLUR = replace(AUGMENTS["brave"], blur_p=0.0)
_CRISSCROSS = replace(AUGMENTS["crisscross"], blur_p=0.0)


def _steps(lr: float, gamma: float, epochs: Sequence[int], **more: Any) -> Optim:
    at = tuple(f"{e} epochs" for e in epochs)
    return Optim(lr=lr, weight_decay=0.0, schedule="multistep", gamma=gamma, milestones=at, **more)


def _avid(
    frames: int, batch: int, epochs: int, samples: int, at: Sequence[int], jitter: float, head: int
) -> FineTuning:
    """A row of AVID's table 8. Dropout and ``head`` epochs of the classifier alone are its code's."""
    return FineTuning(
        frames=frames, augment=VideoAugment(jitter=(jitter, jitter, jitter, 0.2)), optim=_steps(1e-4, 0.3, at),
        epochs=epochs, epoch_samples=samples, batch_size=batch, dropout=0.5, head_epochs=head,
    )  # fmt: skip


def _crisscross(
    frames: int, batch: int, samples: int, at: Sequence[int], lr: float, gamma: float
) -> FineTuning:
    """A row of CrissCross's table S11; the augmentation without blur is its code's, as the ticks of table S3."""
    return FineTuning(
        frames=frames, augment=_CRISSCROSS, optim=_steps(lr, gamma, at, name="sgd", momentum=0.9), epochs=20,
        epoch_samples=samples, batch_size=batch, pool="max",
    )  # fmt: skip


# STiCA §4.3, "the schedule of GDT": 12 epochs. Size, augmentation and the mean of the scores are the code's.
_STICA = FineTuning(
    frames=30, fps=30.0, size=128, short=128, augment=replace(AUGMENTS["stica"], grey_p=0.0, blur_p=0.0),
    optim=Optim(
        name="sgd", lr=0.02, weight_decay=0.005, decay_all=True, momentum=0.9, warmup="2 epochs", warmup_start=0.125,
        schedule="multistep", milestones=("6 epochs", "10 epochs"), gamma=0.05,
    ),
    epochs=12, passes=10, batch_size=32, crops=3, average="score",
)  # fmt: skip

# BraVe appendix B with the middle of its grid; table 7 has what was chosen for each model.
_BRAVE = FineTuning(
    frames=32, fps=12.5, crop="short", scale_jitter=(0.8, 1.2), augment=_BRAVE_FLIP,
    optim=Optim(
        name="lars", lr=0.1, weight_decay=1e-7, warmup="50 epochs", warmup_start=0.0, schedule="cosine"
    ),
    epochs=600, batch_size=256, norm="learned", dropout=0.5, crops=3,
)  # fmt: skip

BRAVE_GRID: dict[str, tuple[float, ...]] = {
    "optim.lr": (0.03, 0.1, 0.3), "optim.weight_decay": (0.0, 1e-7), "dropout": (0.1, 0.5, 0.8),
}  # fmt: skip
"""What BraVe's fine-tuning is chosen from (appendix B); half of these rates at a batch of 128."""

# BraVe table 7, by recipe: dropout, rate, decay for HMDB51 and for UCF101
_TABLE_7 = {
    "vv3-tsm50-k600": ((0.5, 0.03, 1e-7), (0.1, 0.1, 1e-7)),
    "vf3-tsm50-k600": ((0.5, 0.03, 1e-7), (0.5, 0.1, 0.0)),
    "vv3-r3d50-k600": ((0.5, 0.3, 0.0), (0.1, 0.1, 1e-7)),
    "vf3-r3d50-k600": ((0.8, 0.03, 0.0), (0.1, 0.3, 1e-7)),
    "vv3-r3d50-k400": ((0.1, 0.3, 0.0), (0.1, 0.3, 1e-7)),
    "vf3-r3d50-k400": ((0.5, 0.03, 1e-7), (0.1, 0.3, 1e-7)),
    "va-r2plus1d18-as": ((0.8, 0.3, 1e-7), (0.8, 0.1, 1e-7)),
    "va-tsm50-as": ((0.8, 0.03, 1e-7), (0.5, 0.1, 0.0)),
    "vfa-tsm50-as": ((0.8, 0.03, 1e-7), (0.5, 0.1, 0.0)),
    "vfa-r2plus1d50-as": ((0.5, 0.015, 1e-7), (0.5, 0.15, 0.0)),
    "vfa-tsm50x2-as": ((0.8, 0.05, 1e-7), (0.1, 0.15, 1e-7)),
}


def _brave(recipe: str, dropout: float, lr: float, decay: float) -> FineTuning:
    large = recipe in ("vfa-r2plus1d50-as", "vfa-tsm50x2-as")
    return replace(
        _BRAVE, fps=6.25 if "r3d50" in recipe else 12.5, dropout=dropout, batch_size=128 if large else 256,
        optim=replace(_BRAVE.optim, lr=lr, weight_decay=decay),
    )  # fmt: skip


_FROZEN = FineTuning(
    crop="short", augment=_AVID_FLIP, optim=_AVID_LINEAR, epochs=12, batch_size=128, frozen=True
)

FINE_TUNINGS: dict[str, FineTuning] = {
    "avid-ucf101-8": _avid(8, 32, 160, 10_000, (60, 100, 140), 0.4, head=50),
    "avid-ucf101-32": _avid(32, 16, 80, 10_000, (30, 50, 70), 0.4, head=25),
    "avid-hmdb51-8": _avid(8, 32, 250, 3_400, (75, 150, 200), 1.0, head=125),
    "avid-hmdb51-32": _avid(32, 16, 100, 3_400, (30, 60, 80), 1.0, head=50),
    "crisscross-ucf101-8": _crisscross(8, 64, 95_000, (6, 10, 14), 5e-4, 0.3),
    "crisscross-ucf101-32": _crisscross(32, 32, 95_000, (8, 12, 16), 7e-5, 0.3),
    "crisscross-hmdb51-8": _crisscross(8, 64, 35_000, (6, 10, 14), 5e-4, 0.1),
    "crisscross-hmdb51-32": _crisscross(32, 32, 35_000, (8, 12, 16), 1e-4, 0.3),
    "stica": _STICA,
    # GDT's code: 32 frames, and the backbone at a tenth of the classifier's rate
    "gdt": replace(_STICA, frames=32, optim=replace(_STICA.optim, lr=0.002, predictor_scale=10.0)),
    "brave": _BRAVE,
    **{
        f"brave-{dataset}-{recipe}": _brave(recipe, *numbers[k])
        for recipe, numbers in _TABLE_7.items()
        for k, dataset in enumerate(("hmdb51", "ucf101"))
    },
    # frozen backbones that see other clips each epoch -----------------------------------------------------------
    # AVID table 2 by its code: blocks 2 to 5 each with a norm and a linear classifier
    "avid-kinetics400-blocks": replace(_FROZEN, norm="learned", blocks=_AVID_BLOCKS),
    # AVID tables 1 and 5, table 8's row for Kinetics
    "avid-analysis-blocks": replace(
        _FROZEN, frames=16, size=112, short=128, crop="resized", augment=_PLAIN,
        optim=_steps(1e-4, 0.3, (8, 12, 15, 18)), epochs=20, epoch_samples=10_000, batch_size=32, norm="learned",
        blocks=_AVID_BLOCKS, clips=25,
    ),
    # CrissCross E.1: a fully connected layer; how it is trained is not said: AVID's way, which it follows
    "crisscross-kinetics400-linear": replace(_FROZEN, crop="resized", augment=_CRISSCROSS),
    "crisscross-32-linear": replace(_FROZEN, crop="resized", augment=_CRISSCROSS, frames=32, passes=10),
    # BraVe appendix B: tested on 256 × 256
    "brave-kinetics600-linear": replace(
        _FROZEN, frames=32, fps=12.5, test_size=256, crop="resized", augment=_BRAVE_NO_BLUR, optim=_LARS, epochs=100,
        batch_size=512, norm="learned", crops=3,
    ),
}  # fmt: skip


def probe_settings(name: str, changes: Mapping[str, Any] | None = None) -> Probe:
    """A paper's probe by name.

    Args:
        name: in `PROBES`.
        changes: fields to lay over it, groups as dictionaries: ``{"epochs": 10, "optim": {"lr": 1.0e-3}}``.

    Raises:
        UserError: for a name or a field that does not exist, and for what no probe can be.
    """
    if name not in PROBES:
        raise unknown("probe", name, PROBES)
    return changed(PROBES[name], changes or {})


def finetune_settings(name: str, changes: Mapping[str, Any] | None = None) -> FineTuning:
    """A paper's fine-tuning by name in `FINE_TUNINGS`; ``changes`` and errors as in `probe_settings`."""
    if name not in FINE_TUNINGS:
        raise unknown("fine-tuning", name, FINE_TUNINGS)
    return changed(FINE_TUNINGS[name], changes or {})


def settings_grid(settings: S, grid: Mapping[str, Sequence[Any]]) -> list[S]:
    """All combinations: ``settings_grid(FINE_TUNINGS["brave"], BRAVE_GRID)`` are 18.

    Args:
        settings: what they have in common.
        grid: values by field; a field of a group has a dot in its name.
    """
    found = []
    for values in itertools.product(*grid.values()):
        changes: dict[str, Any] = {}
        for name, value in zip(grid, values, strict=True):
            group, _, inner = name.rpartition(".")
            (changes.setdefault(group, {}) if group else changes)[inner] = value
        found.append(changed(settings, changes))
    return found


def changed(settings: Any, changes: Mapping[str, Any], where: str = "") -> Any:
    """A copy of some settings with fields replaced; a group may be a dictionary with some of its fields.

    Raises:
        UserError: for a field that does not exist, or a group that is none.
    """
    fields = {f.name for f in dataclasses.fields(settings)}
    values: dict[str, Any] = {}
    for key, value in changes.items():
        if key not in fields:
            raise unknown(f"field of {where or type(settings).__name__}", str(key), fields)
        now = getattr(settings, key)
        if dataclasses.is_dataclass(now) and not dataclasses.is_dataclass(value):
            if not isinstance(value, Mapping):
                raise UserError(f"{key} must be fields with their values, got {value!r}")
            value = changed(now, value, key)
        values[key] = tuple(value) if isinstance(value, list) else value
    return replace(settings, **values)
