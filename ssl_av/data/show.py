"""What a method sees of some samples: each view as it was read and as the networks get it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ssl_av.config import RunConfig
from ssl_av.data.datamodule import ClipDataset, collate
from ssl_av.data.flow import ZERO
from ssl_av.data.manifest import Manifest, Skip
from ssl_av.data.prepare import restrict
from ssl_av.data.views import FlowView, VideoView, View, Window, draw_starts, modalities
from ssl_av.errors import UserError
from ssl_av.methods.base import Batch, Method
from ssl_av.transforms import AudioTransform, VideoTransform

Array = NDArray[Any]


@dataclass(frozen=True)
class Frames:
    """A view of video, or of optical flow in colours.

    Attributes:
        before: [T, S, S', 3] as read, squashed: uint8, of flow float in [0, 1].
        after: float [T, size, size, 3] in [0, 1], the normalisation taken back.
        times: of the frames in seconds of the sample, [T].
        aspect: true width / height of `before`.
        stretched: `after` had values outside of [0, 1] by a random convolution; its own range was put there.
    """

    before: Array
    after: Array
    times: Array
    aspect: float
    stretched: bool


@dataclass(frozen=True)
class Sound:
    """An audio view.

    Attributes:
        wave: [samples] as read.
        before: spectrogram without augmentation, [time, frequency].
        after: the same augmented.
        hertz: centre frequency of each bin.
        seconds: of `wave` and of what `after` is taken to last.
    """

    wave: Array
    before: Array
    after: Array
    hertz: Array
    seconds: tuple[float, float]


@dataclass(frozen=True)
class Seen:
    """One sample.

    Attributes:
        name: of its file.
        label: its class, empty where it has none.
        duration: seconds.
        views: by name: what was asked for, where it lies, what came.
    """

    name: str
    label: str
    duration: float
    views: dict[str, tuple[View, Window, Frames | Sound]]


def flow_colours(flow: Array) -> Array:
    """Optical flow in colours: the hue is the direction, white is still, the fastest 1 % are fully coloured.

    Args:
        flow: [2, T, H, W], to the right and downwards.

    Returns:
        float [T, H, W, 3] in [0, 1].
    """
    from matplotlib.colors import hsv_to_rgb

    speed = np.hypot(flow[0], flow[1])
    hue = (np.arctan2(flow[1], flow[0]) / (2 * np.pi)) % 1.0
    full = max(float(np.percentile(speed, 99)), 1e-6)
    colours: Array = hsv_to_rgb(np.stack([hue, (speed / full).clip(0, 1), np.ones_like(hue)], axis=-1))
    return colours


def look(
    config: RunConfig, manifest: Manifest, count: int, method: Method | None = None
) -> tuple[list[Seen], list[Skip]]:
    """Reads and augments samples of the training split, drawn by the run's seed.

    Args:
        config: the run.
        manifest: of its data.
        count: samples.
        method: the run's, on the CPU and built for this manifest; by default one is built.

    Returns:
        The samples, and what was drawn but could not be read.

    Raises:
        UserError: if not one can be read.
    """
    from ssl_av.runs.run import build_method

    views = (method or build_method(config, manifest)).views
    usable = restrict(manifest, modalities(views), config.data["name"])
    train = usable.split("train")
    if len(train) == 0:
        raise UserError(f"the training split of '{config.data['name']}' has no sample that can be used")
    method = method or build_method(config, usable)
    data = ClipDataset(train, method.views, config.loading, config.seed)
    items, rows, skipped = [], [], []
    for row in np.random.default_rng(config.seed).permutation(len(train)).tolist():
        item = data[(0, row)]
        if isinstance(item, Skip):
            skipped.append(item)
            continue
        items.append(item)
        rows.append(row)
        if len(rows) == count:
            break
    if not rows:
        raise UserError(
            f"none of the {len(train)} samples can be read ({skipped[0].path}: {skipped[0].reason})"
        )
    batch = collate(items)
    torch.manual_seed(config.seed)
    after = method.train().transform_batch(batch)
    seen = []
    for k, row in enumerate(rows):
        # the same draw as the data set's: it depends on seed, epoch and row alone
        rng = np.random.default_rng([config.seed, 0, row])
        windows = draw_starts(method.views, train[row].duration, rng)
        seen.append(_seen(method, train, row, windows, batch, after, k))
    return seen, skipped


def _seen(
    method: Method, data: Manifest, row: int, windows: dict[str, Window], batch: Batch, after: Batch, k: int
) -> Seen:
    sample = data[row]
    views: dict[str, tuple[View, Window, Frames | Sound]] = {}
    for name, view in method.views.items():
        transform, window = method.transforms[name], windows[name]
        if isinstance(view, VideoView):
            assert isinstance(transform, VideoTransform)
            std, mean = transform.std.view(3, 1, 1, 1), transform.mean.view(3, 1, 1, 1)
            shown = (after[name][k] * std + mean).permute(1, 2, 3, 0).numpy()
            stretched = transform.augment.random_conv
            if stretched:
                low, high = np.percentile(shown, [1, 99])
                shown = (shown - low) / max(high - low, 1e-6)
            times = np.mod(window.start + np.arange(view.frames) / view.fps, sample.duration)
            raw = batch[name][k].permute(1, 2, 3, 0).numpy()
            frames = Frames(raw, shown.clip(0, 1), times, sample.aspect, stretched)
            views[name] = (view, window, frames)
        elif isinstance(view, FlowView):
            times = np.mod(window.start + np.arange(view.frames) / view.fps, sample.duration)
            raw, shown = batch[name][k].numpy().astype(np.float32) - ZERO, after[name][k].numpy()
            frames = Frames(flow_colours(raw), flow_colours(shown), times, sample.aspect, False)
            views[name] = (view, window, frames)
        else:
            assert isinstance(transform, AudioTransform)
            front_end, wave = transform.front_end, batch[name][k]
            seconds = (view.seconds, view.seconds / transform.augment.reach)
            plain, changed = front_end(wave[None])[0, 0].numpy(), after[name][k, 0].numpy()
            sound = Sound(wave.numpy(), plain, changed, front_end.hertz().numpy(), seconds)
            views[name] = (view, window, sound)
    label = data.classes[sample.label] if 0 <= sample.label < len(data.classes) else ""
    return Seen(os.path.basename(sample.path), label, sample.duration, views)
