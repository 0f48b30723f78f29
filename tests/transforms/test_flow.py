"""Optical flow on the device: pixels, mirrored motion, crops without scale jitter (BraVe A.2)."""

from __future__ import annotations

import pytest
import torch

from ssl_av.errors import UserError
from ssl_av.transforms.flow import FLOW_AUGMENTS, FlowAugment, FlowTransform, flow_augment

STEP = 10 / 127 / 128  # ± 10 pixels at a short side of 128


def uniform(levels: tuple[int, int], n: int = 40, side: int = 128) -> torch.Tensor:
    """Clips in which everything moves alike."""
    return torch.tensor(levels, dtype=torch.uint8).view(1, 2, 1, 1, 1).expand(n, 2, 3, side, side).clone()


def run(
    flow: torch.Tensor, size: int, augment: FlowAugment | str, aspect: float = 1.0, train: bool = True
) -> torch.Tensor:
    n = len(flow)
    transform = FlowTransform(size, augment).train(train)
    return transform(flow, torch.full((n,), aspect), torch.full((n,), STEP), torch.Generator().manual_seed(0))


def test_paper_numbers():
    brave = FLOW_AUGMENTS["brave"]
    assert (brave.crop, brave.flip) == (112 / 128, 0.5)


def test_grey_levels_become_pixels_of_the_paper_s_crop():
    out = run(uniform((255, 1)), 112, FlowAugment(flip=0.0))
    assert out.shape == (40, 2, 3, 112, 112)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out[:, 0], torch.full_like(out[:, 0], 10.0))
    torch.testing.assert_close(out[:, 1], torch.full_like(out[:, 1], -10.0))
    assert run(uniform((128, 128)), 112, "brave").abs().max() < 1e-6


def test_the_motion_is_scaled_with_the_picture():
    half = run(uniform((255, 1)), 56, FlowAugment(flip=0.0))
    torch.testing.assert_close(half[:, 0], torch.full_like(half[:, 0], 5.0))
    # however finely the flow is stored, and at whatever size it is read
    coarse = run(uniform((255, 1), side=32), 56, FlowAugment(flip=0.0))
    torch.testing.assert_close(coarse, half)


def test_a_mirrored_motion_to_the_right_is_one_to_the_left():
    flow = uniform((228, 178), n=400)
    out = run(flow, 112, "brave")
    right, down = out[:, 0].mean((1, 2, 3)), out[:, 1].mean((1, 2, 3))
    share = (right < 0).float().mean()
    assert 0.42 < share < 0.58
    torch.testing.assert_close(right.abs(), torch.full_like(right, 100 * 10 / 127))
    torch.testing.assert_close(down, torch.full_like(down, 50 * 10 / 127))


def test_the_picture_is_mirrored_with_the_motion():
    flow = uniform((128, 128), n=1)
    flow[:, 0, :, :, :64] = 255  # the left half moves to the right
    out = run(flow, 112, FlowAugment(crop=None, flip=1.0))
    assert out[0, 0, 0, 50, 100] < -8  # the right half moves to the left
    assert out[0, 0, 0, 50, 10].abs() < 1e-4


def test_crops_are_anywhere_alike_in_all_frames_and_of_one_size():
    ramp = torch.arange(128, dtype=torch.uint8)
    flow = torch.zeros(300, 2, 2, 128, 128, dtype=torch.uint8)
    flow[:, 0] = ramp[None, None, None, :]
    flow[:, 1] = ramp[None, None, :, None]
    out = run(flow, 112, FlowAugment(flip=0.0)) / (STEP * 128) + 128
    assert torch.equal(out[:, :, 0], out[:, :, 1])
    left, top = out[:, 0, 0, 0, 0], out[:, 1, 0, 0, 0]
    torch.testing.assert_close(out[:, 0, 0, 0, -1] - left, torch.full_like(left, 111.0), atol=0.01, rtol=0)
    for edge in (left, top):  # uniform from 0 to 16
        assert -0.01 <= edge.min() < 0.5
        assert 15.5 < edge.max() <= 16.01
        assert abs(edge.mean() - 8) < 0.6
    assert abs(torch.corrcoef(torch.stack([left, top]))[0, 1]) < 0.15


def test_wide_frames_are_cropped_square_in_their_true_geometry():
    ramp = torch.arange(128, dtype=torch.uint8)
    flow = ramp.view(1, 1, 1, 1, 128).expand(20, 2, 1, 128, 128).clone()
    out = run(flow, 112, FlowAugment(flip=0.0), aspect=2.0) / (STEP * 128) + 128
    across = out[:, 0, 0, 0, -1] - out[:, 0, 0, 0, 0]
    assert (
        (across - 55.5).abs() < 0.6
    ).all()  # 112 of 256 true pixels are 56 of the 128 that it is squashed to


def test_in_evaluation_the_largest_centred_square():
    flow = uniform((255, 128), n=2)
    out = run(flow, 64, "brave", train=False)
    torch.testing.assert_close(out[:, 0], torch.full_like(out[:, 0], 10 * 64 / 128))
    torch.testing.assert_close(out, run(flow, 64, "none"))


def test_what_is_no_flow_is_refused():
    one = torch.ones(1)
    for wrong in (torch.zeros(1, 2, 1, 8, 8), torch.zeros(1, 3, 1, 8, 8, dtype=torch.uint8)):
        with pytest.raises(ValueError, match="flow must be uint8"):
            FlowTransform(8)(wrong, one, one)
    with pytest.raises(UserError, match="unknown flow augmentation 'bravo'; did you mean brave"):
        flow_augment("bravo")
    with pytest.raises(UserError, match="crop"):
        FlowAugment(crop=1.5)
    with pytest.raises(UserError, match="flip"):
        FlowAugment(flip=2)
