"""Crops of labelled clips: where they lie, what they do not change."""

from __future__ import annotations

import pytest
import torch

from ssl_av.errors import UserError
from ssl_av.evaluation.clips import ClipTransform
from ssl_av.transforms import VideoAugment

PLAIN = VideoAugment(crop_area=None, flip=0.0, mean=(0.0, 0.0, 0.0), std=(1 / 255,) * 3)


def ramp(size: int = 64) -> torch.Tensor:
    """A clip whose red is the column, whose green is the row, as read: squashed to a square."""
    column = torch.arange(size).expand(size, size)
    return torch.stack([column, column.T, torch.zeros(size, size)]).to(torch.uint8)[None, :, None]


def test_tested_crops_lie_left_centre_right_and_in_the_middle_of_the_short_side():
    # 16:8, so that a short side of 64 is a frame of 128 × 64; crops of 48
    crops = ClipTransform(48, 64, PLAIN, crops=3).eval().tested(ramp(), torch.tensor([2.0]))[0, :, :, 0]
    assert crops.shape == (3, 3, 48, 48)
    columns, rows = crops[:, 0].mean(dim=1), crops[:, 1].mean(dim=2)
    # 48 of 128 columns are 24 of the 64 that were read: they begin at 0, 20 and 40
    for k, begin in enumerate((0, 20, 40)):
        assert columns[k, 0] == pytest.approx(begin, abs=0.6)
        assert columns[k, -1] == pytest.approx(begin + 23, abs=0.6)
        assert rows[k, 0] == pytest.approx(8, abs=0.6)
        assert rows[k, -1] == pytest.approx(55, abs=0.6)


def test_a_high_frame_is_cropped_from_top_to_bottom():
    crops = ClipTransform(64, 64, PLAIN, crops=3).tested(ramp(), torch.tensor([0.5]))[0, :, :, 0]
    # half of the rows that were read: around 15.5, 31.5 and 47.5
    for crop, centre in zip(crops, (15.5, 31.5, 47.5), strict=True):
        assert float(crop[1].mean()) == pytest.approx(centre, abs=0.3)
        assert float(crop[0].mean()) == pytest.approx(31.5, abs=0.1)


def test_one_crop_is_the_centre_and_nothing_is_random():
    transform = ClipTransform(32, 64, PLAIN, test_size=48).train()
    first, second = (transform.tested(ramp(), torch.tensor([1.0])) for _ in range(2))
    assert first.shape == (1, 1, 3, 1, 48, 48)
    assert torch.equal(first, second)
    assert float(first[0, 0, 0].mean()) == pytest.approx(31.5, abs=0.1)


def test_training_crops_of_the_short_side():
    torch.manual_seed(0)
    n = 64
    transform = ClipTransform(48, 64, PLAIN, crop="short", scale_jitter=(0.8, 1.2))
    x = transform.augmented(ramp().expand(n, -1, -1, -1, -1), torch.full((n,), 1.0))
    assert x.shape == (n, 3, 1, 48, 48)
    width = x[:, 0, 0, 0, -1] - x[:, 0, 0, 0, 0]
    height = x[:, 1, 0, -1, 0] - x[:, 1, 0, 0, 0]
    # the longer of the jittered sides has room: the crop is narrower on it, by at most 1.2 / 0.8
    assert (torch.maximum(width, height) > 46).all()
    assert 48 / 1.5 - 2 < torch.minimum(width, height).min() < 42
    assert x[:, 0, 0, 0, 0].std() > 1
    flipped = ClipTransform(48, 64, VideoAugment(crop_area=None, flip=1.0), crop="short")
    y = flipped.augmented(ramp(), torch.ones(1))
    assert y[0, 0, 0, 0, 0] > y[0, 0, 0, 0, -1]


def test_training_crops_are_the_augmentations_own():
    torch.manual_seed(0)
    transform = ClipTransform(32, 64, VideoAugment(mean=PLAIN.mean, std=PLAIN.std))
    x = transform.augmented(ramp().expand(16, -1, -1, -1, -1), torch.ones(16))
    assert x.shape == (16, 3, 1, 32, 32)
    assert len({round(float(v), 2) for v in x[:, 0].mean(dim=(1, 2, 3))}) > 10


def test_the_inputs_have_the_mean_that_the_backbone_knows():
    other = VideoAugment(crop_area=None, flip=0.0, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    video = torch.full((1, 3, 2, 64, 64), 255, dtype=torch.uint8)
    for crop in ("short", "resized"):
        transform = ClipTransform(32, 64, PLAIN, crop=crop, like=other)
        for x in (transform.tested(video, torch.ones(1)), transform.augmented(video, torch.ones(1))):
            torch.testing.assert_close(x, torch.ones_like(x))


def test_mistakes_are_explained():
    with pytest.raises(UserError, match="80 pixels does not fit"):
        ClipTransform(80, 64, PLAIN)
    with pytest.raises(UserError, match="did you mean resized"):
        ClipTransform(48, 64, PLAIN, crop="resize")
    with pytest.raises(UserError, match="no augmentation but the flip"):
        ClipTransform(48, 64, VideoAugment(grey_p=0.2), crop="short")
    with pytest.raises(UserError, match="two factors"):
        ClipTransform(48, 64, PLAIN, crop="short", scale_jitter=(1.2, 0.8))
    with pytest.raises(UserError, match="scale_jitter is for crop short"):
        ClipTransform(48, 64, PLAIN, scale_jitter=(0.8, 1.2))
