from __future__ import annotations

import numpy as np
import torch
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


def test_blur_by_definition() -> None:
    """Each pixel is the weighted mean of its neighbours, mirrored at the border without repeating it."""
    clip = np.random.default_rng(0).random((9, 12))
    sigma, kernel = 1.3, 5
    steps = np.arange(kernel) - kernel // 2
    taps = np.exp(-(steps**2) / (2 * sigma**2))
    taps /= taps.sum()
    padded = np.pad(clip, kernel // 2, mode="reflect")
    expected = np.zeros_like(clip)
    for i in range(9):
        for j in range(12):
            expected[i, j] = taps @ padded[i : i + kernel, j : j + kernel] @ taps
    video = torch.from_numpy(clip).float().expand(1, 3, 1, 9, 12)
    got = texture.gaussian_blur(video, torch.tensor([sigma]), kernel)
    np.testing.assert_allclose(got[0, 1, 0].numpy(), expected, atol=1e-5)


def test_blur_keeps_an_even_colour_and_the_mirror_image() -> None:
    even = torch.full((2, 3, 2, 16, 16), 0.3)
    sigma = torch.tensor([0.5, 2.0])
    torch.testing.assert_close(texture.gaussian_blur(even, sigma, 5), even)
    video = torch.rand(2, 3, 2, 16, 16)
    mirrored = texture.gaussian_blur(video.flip(-1), sigma, 5).flip(-1)
    torch.testing.assert_close(mirrored, texture.gaussian_blur(video, sigma, 5), atol=1e-6, rtol=0)


def test_cutout_is_one_square_of_the_first_frames_mean() -> None:
    video = torch.rand(300, 3, 2, 24, 24)
    out = texture.cutout(video, texture.random_squares(300, 24, 8, draws()))
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


def test_squares_have_every_side_and_every_centre_alike() -> None:
    holes = texture.random_squares(40_000, 64, 20, draws(4))
    rows, columns = holes.any(2), holes.any(1)
    inner = ~(rows[:, 0] | rows[:, -1] | columns[:, 0] | columns[:, -1])  # not cut by the border
    sides = rows[inner].sum(1)
    assert torch.equal(sides, columns[inner].sum(1))
    small = sides.bincount(minlength=21)[1:6].float()  # short sides are seldom cut
    assert small.sum() > 8000
    assert ((small / small.mean() - 1).abs() < 0.1).all()
    assert set(rows.sum(1).tolist()) >= set(range(1, 21))
    centre = (rows.float() @ torch.arange(64.0)) / rows.sum(1)
    hits = centre[inner].histc(4, 12, 52)
    assert ((hits / hits.mean() - 1).abs() < 0.1).all()


def test_random_convolution_is_one_filter_a_clip() -> None:
    still = torch.rand(1, 3, 1, 16, 16).expand(40, 3, 2, 16, 16)
    out = texture.convolve(still, texture.random_kernels(40, draws(1)))
    assert out.shape == still.shape
    assert torch.equal(out[:, :, 0], out[:, :, 1])  # the same filter for all frames of a clip
    assert all(not torch.equal(out[0], other) for other in out[1:])  # another for each clip


def test_random_kernels_are_he_normal_of_odd_widths() -> None:
    kernels = texture.random_kernels(3000, draws(2))
    widths = torch.tensor([k.shape[-1] for k in kernels])
    assert widths.unique().tolist() == [1, 3, 5, 7, 9, 11]
    assert widths.bincount()[1::2].min() > 400  # uniform: 500 each
    for width in (1, 5, 11):
        weights = torch.stack([k for k in kernels if k.shape[-1] == width])
        assert weights.shape[1:] == (3, 3, width, width)
        fan_in = 3 * width * width
        torch.testing.assert_close(weights.square().mean().item() * fan_in, 2.0, rtol=0.1, atol=0)
        assert weights.mean().abs() < 0.1 * weights.std()


def test_convolution_by_definition() -> None:
    rng = np.random.default_rng(5)
    clip, kernel = rng.random((3, 7, 8)), rng.standard_normal((3, 3, 3, 3))
    padded = np.pad(clip, ((0, 0), (1, 1), (1, 1)))
    expected = np.zeros((3, 7, 8))
    for out in range(3):
        for i in range(7):
            for j in range(8):
                expected[out, i, j] = (kernel[out] * padded[:, i : i + 3, j : j + 3]).sum()
    video = torch.from_numpy(clip).float()[None, :, None].expand(1, 3, 2, 7, 8)
    got = texture.convolve(video, [torch.from_numpy(kernel).float()])
    np.testing.assert_allclose(got[0, :, 1].numpy(), expected, atol=1e-4)
