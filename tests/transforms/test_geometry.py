from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as tv
from numpy.typing import NDArray
from torch import Tensor

from ssl_av.transforms import geometry
from ssl_av.transforms.draws import Draw


def draws(seed: int = 0) -> Draw:
    return Draw(torch.Generator().manual_seed(seed))


def ramp(width: int, height: int) -> Tensor:
    """A clip whose first channel is the place from left to right, and second from top to bottom, 0 to 1."""
    x = (torch.arange(width) + 0.5) / width
    y = (torch.arange(height) + 0.5) / height
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)])[None, :, None]


@pytest.mark.parametrize("aspect", [0.5, 1.0, 16 / 9])
def test_random_boxes_are_drawn_in_the_true_geometry(aspect: float) -> None:
    n = 20_000
    x, y, w, h = geometry.random_boxes(torch.full((n,), aspect), (0.08, 1.0), (3 / 4, 4 / 3), draws()).T
    assert min(x.min(), y.min()) >= 0
    assert max((x + w).max(), (y + h).max()) <= 1 + 1e-6
    area, ratio = w * h, w / h * aspect
    # a tried box is within the limits; the fallback may be less than all of the frame, never beyond the ratio
    assert 0.08 - 1e-4 <= area.min() < 0.1
    assert 3 / 4 - 1e-3 <= ratio.min() < 0.77
    assert 1.31 < ratio.max() <= 4 / 3 + 1e-3
    assert ratio.log().mean().abs() < 0.05


def test_random_boxes_follow_torchvisions_law() -> None:
    from torchvision.transforms import RandomResizedCrop

    ours = geometry.random_boxes(torch.full((4000,), 4 / 3), (0.3, 1.0), (0.5, 2.0), draws())
    picture = torch.empty(3, 300, 400)
    torch.manual_seed(0)
    theirs = torch.tensor(
        [RandomResizedCrop.get_params(picture, [0.3, 1.0], [0.5, 2.0]) for _ in range(4000)]
    ).float()[:, [1, 0, 3, 2]] / torch.tensor([400.0, 300.0, 400.0, 300.0])
    for share in (0.1, 0.5, 0.9):
        torch.testing.assert_close(ours.quantile(share, 0), theirs.quantile(share, 0), atol=0.02, rtol=0)


def test_a_box_that_never_fits_falls_back_to_the_largest_centred_one() -> None:
    # the whole area of a frame ten times as wide as high cannot be had at a ratio of at most 4/3
    box = geometry.random_boxes(torch.tensor([10.0, 0.1]), (1.0, 1.0), (3 / 4, 4 / 3), draws())
    width = 4 / 3 / 10
    expected = [[(1 - width) / 2, 0, width, 1], [0, (1 - width) / 2, 1, width]]
    torch.testing.assert_close(box, torch.tensor(expected))


def test_square_boxes() -> None:
    aspect = torch.tensor([2.0, 0.5, 1.0])
    centre = [[0.25, 0, 0.5, 1], [0, 0.25, 1, 0.5], [0, 0, 1, 1]]
    torch.testing.assert_close(geometry.square_boxes(aspect), torch.tensor(centre))
    right = geometry.square_boxes(aspect, 1.0)
    torch.testing.assert_close(right[:2], torch.tensor([[0.5, 0, 0.5, 1], [0, 0.5, 1, 0.5]]))


def test_whole_frame_at_the_same_size_is_the_identity() -> None:
    video = torch.randint(0, 256, (2, 3, 4, 20, 20), dtype=torch.uint8)
    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).expand(2, 4)
    torch.testing.assert_close(geometry.crop_resize(video, boxes, 20), video.float(), atol=1e-3, rtol=0)


def test_crop_of_whole_pixels_is_that_crop() -> None:
    video = torch.randint(0, 256, (1, 3, 2, 32, 64), dtype=torch.uint8)
    box = torch.tensor([[8 / 64, 4 / 32, 16 / 64, 16 / 32]])
    expected = video[..., 4:20, 8:24].float()
    torch.testing.assert_close(geometry.crop_resize(video, box, 16), expected, atol=1e-3, rtol=0)


def test_coordinates_come_out_where_the_box_lies() -> None:
    box = torch.tensor([[0.25, 0.1, 0.5, 0.6]])
    out = geometry.crop_resize(ramp(64, 64), box, 60)[0, :, 0]
    steps = (torch.arange(60) + 0.5) / 60
    torch.testing.assert_close(out[0, 30], 0.25 + 0.5 * steps, atol=1e-4, rtol=0)
    torch.testing.assert_close(out[1, :, 30], 0.1 + 0.6 * steps, atol=1e-4, rtol=0)


def test_flip_is_the_exact_mirror_of_the_clips_it_is_asked_for() -> None:
    video = torch.randint(0, 256, (2, 3, 2, 32, 32), dtype=torch.uint8)
    boxes = torch.tensor([[0.25, 0.0, 0.5, 0.75]]).expand(2, 4)
    straight = geometry.crop_resize(video, boxes, 24)
    flipped = geometry.crop_resize(video, boxes, 24, torch.tensor([True, False]))
    torch.testing.assert_close(flipped[0], straight[0].flip(-1), atol=1e-3, rtol=0)
    assert torch.equal(flipped[1], straight[1])


@pytest.mark.parametrize("size", [16, 24])
def test_strong_shrinking_does_not_alias(size: int) -> None:
    # a chequerboard of single pixels is grey from afar
    board = ((torch.arange(96)[:, None] + torch.arange(96)) % 2 * 255).to(torch.uint8)
    video = board.expand(1, 3, 1, 96, 96)
    out = geometry.crop_resize(video, torch.tensor([[0.0, 0.0, 1.0, 1.0]]), size)
    assert (out - 127.5).abs().max() < 10


def test_shrinking_is_close_to_torchvisions_antialiased_one() -> None:
    noise = torch.rand(1, 3, 1, 128, 128, generator=torch.Generator().manual_seed(0))
    smooth = tv.gaussian_blur(noise[:, :, 0], [5, 5], [1.5, 1.5])
    ours = geometry.crop_resize(smooth[:, :, None], torch.tensor([[0.0, 0.0, 1.0, 1.0]]), 56)[:, :, 0]
    theirs = tv.resize(smooth, [56, 56], antialias=True)
    assert (ours - theirs).abs().mean() < 0.2 * theirs.std()


def test_each_clip_is_sampled_as_finely_as_its_own_box_needs() -> None:
    video = torch.randint(0, 256, (3, 3, 2, 64, 64), dtype=torch.uint8)
    boxes = torch.tensor([[0.25, 0.25, 0.25, 0.25], [0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.5, 0.25]])
    flip = torch.tensor([True, False, True])
    together = geometry.crop_resize(video, boxes, 16, flip)
    alone = [geometry.crop_resize(video[i : i + 1], boxes[i : i + 1], 16, flip[i : i + 1]) for i in range(3)]
    assert torch.equal(together, torch.cat(alone))
    torch.testing.assert_close(together[0], video[0, :, :, 16:32, 16:32].float().flip(-1), atol=1e-3, rtol=0)


def bilinear(frame: NDArray[np.float64], x: float, y: float) -> float:
    """The frame at a place in pixels whose centres are whole numbers; beyond the border its last pixel."""
    h, w = frame.shape
    x, y = min(max(x, 0.0), w - 1.0), min(max(y, 0.0), h - 1.0)
    i, j = min(int(y), h - 2), min(int(x), w - 2)
    a, b = y - i, x - j
    top = (1 - b) * frame[i, j] + b * frame[i, j + 1]
    return float((1 - a) * top + a * ((1 - b) * frame[i + 1, j] + b * frame[i + 1, j + 1]))


@pytest.mark.parametrize("finer", [1, 2])
def test_crop_by_definition(finer: int) -> None:
    rng = np.random.default_rng(1)
    frame = rng.integers(0, 256, (20, 28)).astype(np.float64)
    size = 13 // finer
    x, y, width, height = 0.2, 0.1, 0.47, 0.6  # 13.2 x 12 pixels
    expected = np.zeros((size, size))
    for i in range(size):
        for j in range(size):
            parts = [
                bilinear(
                    frame,
                    (x + width * (1 - (j + (q + 0.5) / finer) / size)) * 28 - 0.5,  # mirrored
                    (y + height * (i + (p + 0.5) / finer) / size) * 20 - 0.5,
                )
                for p in range(finer)
                for q in range(finer)
            ]
            expected[i, j] = np.mean(parts)
    video = torch.from_numpy(frame).to(torch.uint8).expand(1, 3, 2, 20, 28)
    box = torch.tensor([[x, y, width, height]])
    got = geometry.crop_resize(video, box, size, torch.tensor([True]))
    np.testing.assert_allclose(got[0, 2, 1].numpy(), expected, atol=1e-2)


def test_both_ways_of_cropping_agree() -> None:
    video = torch.randint(0, 256, (40, 3, 2, 48, 64), dtype=torch.uint8)
    boxes = geometry.random_boxes(torch.full((40,), 1.5), (0.08, 1.0), (0.5, 2.0), draws(2))
    flip = draws(3).chance(40, 0.5)
    finer = torch.arange(40) % 3 + 1
    grid = geometry._by_grid(video, boxes, 20, flip, finer)
    torch.testing.assert_close(geometry._by_matrices(video, boxes, 20, flip, finer), grid, atol=2e-2, rtol=0)
    large = torch.randint(0, 256, (1, 3, 1, 128, 128), dtype=torch.uint8)  # larger than matrices are used for
    whole = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    torch.testing.assert_close(geometry.crop_resize(large, whole, 128), large.float(), atol=1e-2, rtol=0)


def test_area_is_uniform_and_aspect_log_uniform() -> None:
    # a square frame and narrow limits: every first try fits, so the law shows undistorted
    _, _, w, h = geometry.random_boxes(torch.ones(40_000), (0.1, 0.5), (0.8, 1.25), draws(5)).T
    area, ratio = w * h, (w / h).log() / math.log(1.25)
    for value, low, high in ((area, 0.1, 0.5), (ratio, -1.0, 1.0)):
        shares = torch.tensor([0.1, 0.25, 0.5, 0.75, 0.9])
        torch.testing.assert_close(value.quantile(shares), low + shares * (high - low), atol=0.02, rtol=0)
