"""Colour jitter of whole batches, transcribed from the papers: one clip, one frame and one operation at a time."""

from __future__ import annotations

import colorsys
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssl_av.transforms import VideoAugment, VideoTransform
from ssl_av.transforms.draws import Draw

Array = NDArray[np.float64]
PLAIN = VideoAugment(crop_area=None, flip=0.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def clips(b: int, t: int, side: int) -> Tensor:
    return torch.randint(
        0, 256, (b, 3, t, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def hsv_turned(rgb: Array, turn: float) -> Array:
    pixels = [colorsys.rgb_to_hsv(*pixel) for pixel in rgb.reshape(3, -1).T]
    turned = [colorsys.hsv_to_rgb((h + turn) % 1, s, v) for h, s, v in pixels]
    return np.array(turned).T.reshape(rgb.shape)


def test_colour_jitter_by_definition_in_an_order_of_its_own_for_each_clip() -> None:
    """AVID's jitter, transcribed: the same draws, one clip, one frame and one operation at a time."""
    luma = np.array([0.2989, 0.587, 0.114])
    jitter, n = (0.4, 0.4, 0.4, 0.2), 12
    video = clips(b=n, t=2, side=12)
    got = VideoTransform(12, replace(PLAIN, jitter=jitter, jitter_p=0.8))(video, generator=seeded(3)).numpy()
    draw = Draw(seeded(3))
    wanted = draw.chance(n, 0.8)
    amounts = [draw.uniform(n, low=-most, high=most).double().numpy() for most in jitter]
    order = draw.orders(n, 4)
    assert len({tuple(row) for row in order.tolist()}) > 5
    for clip in range(n):
        for frame in range(2):
            x = video[clip, :, frame].double().numpy() / 255
            for operation in order[clip].tolist() if wanted[clip] else []:
                factor = 1 + amounts[operation][clip]
                grey = np.tensordot(luma, x, 1)
                if operation == 0:
                    x = x * factor
                elif operation == 1:
                    x = factor * x + (1 - factor) * grey.mean()
                elif operation == 2:
                    x = factor * x + (1 - factor) * grey
                else:
                    x = hsv_turned(x, amounts[3][clip])
                x = np.clip(x, 0, 1)
            np.testing.assert_allclose(got[clip, :, frame], x, atol=2e-4)


def test_brave_jitter_by_definition() -> None:
    """Brightness, saturation, contrast, hue in this order, clipped once, at the end (BraVe A.2)."""
    n = 12
    video = clips(b=n, t=1, side=12)
    jitter = (32 / 255, 0.4, 0.4, 0.2)
    way = replace(PLAIN, jitter=jitter, jitter_p=1.0, additive=True)
    got = VideoTransform(12, way)(video, generator=seeded(4)).numpy()
    draw = Draw(seeded(4))
    draw.chance(n, 1.0)
    offset, contrast, saturation, turn = (draw.uniform(n, low=-m, high=m).double().numpy() for m in jitter)
    checked = 0
    for k in range(n):
        x = video[k, :, 0].double().numpy() / 255 + offset[k]
        inside = (x >= 0).all(0)  # hue and saturation of negative colours are no one's to define
        value, low = x.max(0), x.min(0)
        share = np.where(value > 0, (value - low) / np.where(value > 0, value, 1), 0)
        wanted = np.minimum(1, share * (1 + saturation[k]))
        ratio = np.where(share > 0, wanted / np.where(share > 0, share, 1), 0)
        x = value - (value - x) * ratio
        mean = x.mean((1, 2), keepdims=True)
        x = (x - mean) * (1 + contrast[k]) + mean
        inside &= (x >= 0).all(0)
        x = np.clip(hsv_turned(x, turn[k]), 0, 1)
        if offset[k] >= 0:  # else the means of channels hold pixels that were negative
            np.testing.assert_allclose(got[k, :, 0][:, inside], x[:, inside], atol=1e-3)
            checked += int(inside.sum())
    assert checked > 400


def test_jitter_amounts_are_uniform() -> None:
    video = torch.full((4000, 3, 1, 8, 8), 100, dtype=torch.uint8)
    only = replace(PLAIN, jitter=(0.4, 0.0, 0.0, 0.0))
    factor = VideoTransform(8, only)(video, generator=seeded(2))[:, 0, 0, 0, 0] / (100 / 255)
    shares = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95])
    torch.testing.assert_close(factor.quantile(shares), 0.6 + 0.8 * shares, atol=0.02, rtol=0)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_sticas_order_does_not_matter(order: tuple[int, ...]) -> None:
    """On normalised frames, unclipped and without hue, which is why one order for the batch will do."""
    n = 6
    video = clips(b=n, t=1, side=10)
    way = replace(
        PLAIN, jitter=(0.4, 0.4, 0.4, 0.0), jitter_normalised=True, mean=(0.45,) * 3, std=(0.225,) * 3
    )
    got = VideoTransform(10, way)(video, generator=seeded(8)).numpy()
    draw = Draw(seeded(8))
    draw.chance(n, 1.0)
    factors = [1 + draw.uniform(n, low=-most, high=most).double().numpy() for most in way.jitter]
    luma = np.array([0.2989, 0.587, 0.114])
    for k in range(n):
        x = (video[k, :, 0].double().numpy() / 255 - 0.45) / 0.225
        for operation in order:
            factor = factors[operation][k]
            grey = np.tensordot(luma, x, 1)
            target = (0.0, grey.mean(), grey)[operation]
            x = factor * x + (1 - factor) * target
        np.testing.assert_allclose(got[k, :, 0], x, atol=1e-3)


@pytest.mark.parametrize("name", ["avid", "brave", "stica", "crisscross"])
def test_large_clips_one_by_one_are_as_all_at_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU large clips are changed some frames at a time, in their cache; nothing else is different."""
    transform, video = VideoTransform(16, name).train(), clips(6, 5, 24)
    together = transform(video, generator=seeded(3))
    monkeypatch.setattr("ssl_av.transforms.video._LARGE", 0)
    monkeypatch.setattr("ssl_av.transforms.video._CACHED", 2 * 3 * 16 * 16)  # two frames
    torch.testing.assert_close(transform(video, generator=seeded(3)), together, atol=1e-5, rtol=0)
