"""Colour operations against torchvision, and BraVe's against colorsys."""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import pytest
import torch
import torchvision.transforms.functional as tv
from torch import Tensor

from ssl_av.transforms import colour


@pytest.fixture
def clips() -> Tensor:
    """Random colours, with greys, black, white and pure colours among them."""
    x = torch.rand(3, 3, 2, 12, 12, generator=torch.Generator().manual_seed(0))
    x[:, :, :, 0] = x[:, :1, :, 0]
    x[:, :, :, 1, 0], x[:, :, :, 1, 1] = 0, 1
    for channel in range(3):
        x[:, channel, :, 2, channel], x[:, channel, :, 3, channel] = 1, 0
    return x


@pytest.mark.parametrize(
    ("ours", "theirs", "amounts"),
    [
        (colour.brightness, tv.adjust_brightness, [0.6, 1.0, 1.4]),
        (colour.contrast, tv.adjust_contrast, [0.6, 1.0, 1.4]),
        (colour.saturation, tv.adjust_saturation, [0.6, 0.0, 1.4]),
        (colour.hue, tv.adjust_hue, [-0.5, 0.13, 0.5]),
        (colour.hue, tv.adjust_hue, [-0.2, 0.0, 0.37]),
    ],
)
def test_as_torchvision(
    clips: Tensor, ours: Callable[..., Tensor], theirs: Callable[..., Tensor], amounts: list[float]
) -> None:
    before = clips.clone()
    got = ours(clips, torch.tensor(amounts)).clamp(0, 1)
    for clip, out, amount in zip(clips, got, amounts, strict=True):
        expected = theirs(clip.transpose(0, 1), amount).transpose(0, 1)
        torch.testing.assert_close(out, expected, atol=1e-5, rtol=0)
    assert torch.equal(clips, before)


def test_grey_as_torchvision(clips: Tensor) -> None:
    expected = tv.rgb_to_grayscale(clips.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(colour.grey(clips), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("factor", [0.6, 1.4, 10.0])
def test_saturation_in_hsv(clips: Tensor, factor: float) -> None:
    got = colour.saturation_hsv(clips, torch.full((3,), factor))
    for pixel, out in zip(clips[0, :, 0].flatten(1).T.tolist(), got[0, :, 0].flatten(1).T, strict=True):
        h, s, v = colorsys.rgb_to_hsv(*pixel)
        expected = torch.tensor(colorsys.hsv_to_rgb(h, min(1, s * factor), v))
        torch.testing.assert_close(out, expected, atol=1e-5, rtol=0)


def test_brave_contrast_keeps_each_channels_mean(clips: Tensor) -> None:
    factor = torch.tensor([0.6, 1.0, 1.4])
    got = colour.contrast_channel(clips, factor)
    torch.testing.assert_close(got.mean(dim=(3, 4)), clips.mean(dim=(3, 4)), atol=1e-5, rtol=0)
    torch.testing.assert_close(got.std(dim=(3, 4)), clips.std(dim=(3, 4)) * factor.view(3, 1, 1))


def test_brave_brightness_is_an_offset(clips: Tensor) -> None:
    torch.testing.assert_close(
        colour.brightness_offset(clips, torch.tensor([0.1, 0.0, -0.1]))[2], clips[2] - 0.1
    )


def test_hue_and_saturation_stay_finite_outside_0_to_1(clips: Tensor) -> None:
    beyond = clips * 3 - 1
    assert torch.isfinite(colour.hue(beyond, torch.full((3,), 0.2))).all()
    assert torch.isfinite(colour.saturation_hsv(beyond, torch.full((3,), 1.4))).all()
