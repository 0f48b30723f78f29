from __future__ import annotations

import torch
import torch.nn.functional as F
import torchvision.transforms.functional as tv

from ssl_av.transforms import texture
from ssl_av.transforms.draws import Draw


def draws(seed: int = 0) -> Draw:
    return Draw(torch.Generator().manual_seed(seed))


def test_kernel_is_a_tenth_of_the_side_and_odd() -> None:
    sizes = {112: 11, 224: 23, 56: 5, 128: 13, 24: 3}
    assert {size: texture.blur_kernel_size(size) for size in sizes} == sizes


def test_blur_as_torchvision() -> None:
    video = torch.rand(3, 3, 2, 16, 20)
    sigma = [0.1, 1.0, 2.0]
    got = texture.gaussian_blur(video, torch.tensor(sigma), 5)
    for clip, out, s in zip(video, got, sigma, strict=True):
        expected = tv.gaussian_blur(clip.transpose(0, 1), [5, 5], [s, s]).transpose(0, 1)
        torch.testing.assert_close(out, expected, atol=1e-5, rtol=0)


def test_cutout_is_one_square_of_the_first_frames_mean() -> None:
    video = torch.rand(300, 3, 2, 24, 24)
    out = texture.cutout(video, 8, draws())
    painted = (out != video).all(dim=1)
    assert torch.equal(painted[:, 0], painted[:, 1])  # the same place in every frame
    holes = painted[:, 0]
    rows, columns = holes.any(2).sum(1), holes.any(1).sum(1)
    assert torch.equal(rows * columns, holes.sum((1, 2)))  # a rectangle: a square, or cut by the border
    assert rows.max() == columns.max() == 8
    assert holes.any(0).all()  # anywhere
    mean = video[:, :, 0].mean((2, 3))
    for i in (0, 1, 2):
        inside = out[i, :, 1, holes[i]]
        torch.testing.assert_close(inside, mean[i][:, None].expand_as(inside))


def test_random_convolution_is_one_filter_a_clip() -> None:
    video = torch.rand(40, 3, 2, 16, 16)
    out = texture.random_convolution(video, draws(1))
    assert out.shape == video.shape
    # the same filter for all frames of a clip, another for each clip
    repeated = texture.random_convolution(video[:1, :, :1].expand(40, 3, 2, 16, 16), draws(1))
    assert torch.equal(repeated[:, :, 0], repeated[:, :, 1])
    assert all(not torch.equal(repeated[0], other) for other in repeated[1:])


def test_random_convolution_widths_and_weights() -> None:
    # an impulse shows the weights themselves
    video = torch.zeros(3000, 3, 1, 13, 13)
    video[:, 0, :, 6, 6] = 1
    seen = texture.random_convolution(video, draws(2))[:, :, 0]
    widths = (seen != 0).any(1).any(1).sum(1)
    assert sorted(set(widths.tolist())) == [1, 3, 5, 7, 9, 11]
    assert widths.bincount()[1::2].min() > 400  # uniform: 500 each
    for width in (1, 5, 11):
        variance = seen[widths == width].square().sum((2, 3)).mean() / width**2
        torch.testing.assert_close(variance.item(), 2 / (3 * width**2), rtol=0.15, atol=0)  # He


def test_random_convolution_agrees_with_conv2d() -> None:
    video = torch.rand(1, 3, 2, 16, 16)
    draw = draws(3)
    width = int(2 * draw.below(torch.tensor([6])) + 1)
    weight = draw.normal(3, 3, width, width) * (2 / (3 * width * width)) ** 0.5
    expected = F.conv2d(video[0].transpose(0, 1), weight, padding=width // 2).transpose(0, 1)
    torch.testing.assert_close(texture.random_convolution(video, draws(3))[0], expected, atol=1e-5, rtol=0)
