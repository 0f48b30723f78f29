from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ssl_av.errors import UserError
from ssl_av.transforms import (
    AUDIO_AUGMENTS,
    AUGMENTS,
    AudioAugment,
    AudioTransform,
    audio_augment,
    spectrogram,
)
from ssl_av.transforms.audio import mask, random_resize_crop, rescale, time_warp
from ssl_av.transforms.draws import Draw


def draws(seed: int = 0) -> Draw:
    return Draw(torch.Generator().manual_seed(seed))


def test_paper_numbers() -> None:
    assert AUDIO_AUGMENTS["avid"] == AudioAugment(volume=0.1)
    crisscross = AUDIO_AUGMENTS["crisscross"]
    assert (crisscross.volume, crisscross.freq_masks, crisscross.time_masks) == (0.2, (2, 10), (2, 20))
    assert (crisscross.resize_crop, crisscross.canvas) == ((0.6, 1.5), (1.0, 1.5))
    assert AUDIO_AUGMENTS["brave"] == AUDIO_AUGMENTS["none"]
    paper = AUDIO_AUGMENTS["avid_paper"]
    assert paper.rescale is not None
    assert (2 * paper.rescale[0], 2 * paper.rescale[1]) == (1.4, 2.8)  # seconds, where the network sees 2
    assert AUDIO_AUGMENTS["crisscross_vj_m_tw"].warp == 20
    assert AUDIO_AUGMENTS["crisscross_vj_m_tw"].resize_crop is None
    assert AUDIO_AUGMENTS["crisscross_vj"] == AudioAugment(volume=0.2)


def test_every_name_is_a_pair_of_ways() -> None:
    assert set(AUDIO_AUGMENTS) == set(AUGMENTS)


def test_volume_factors_are_uniform() -> None:
    front_end = spectrogram("avid", stats=None)
    wave = torch.sin(torch.arange(600) / 7).expand(2000, -1)
    change = AudioTransform(front_end, "crisscross_vj")(wave, torch.Generator().manual_seed(1)) - front_end(
        wave
    )
    factor = 10 ** (change[:, 0, 1, 10] / 20)
    shares = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95])
    torch.testing.assert_close(factor.quantile(shares), 0.8 + 0.4 * shares, atol=0.02, rtol=0)


def test_volume_is_one_factor_a_sample() -> None:
    front_end = spectrogram("avid", stats=None)
    transform = AudioTransform(front_end, "avid")
    wave = torch.randn(64, 2400)
    change = transform(wave, torch.Generator().manual_seed(1)) - front_end(wave)
    decibel = change.amax(dim=(1, 2, 3))
    assert torch.allclose(change, decibel.view(-1, 1, 1, 1).expand_as(change), atol=1e-2)
    factor = 10 ** (decibel / 20)
    assert 0.9 <= factor.min() < 0.92
    assert 1.08 < factor.max() <= 1.1


def test_masks_have_the_asked_width_and_the_samples_mean() -> None:
    spec = torch.randn(400, 1, 50, 30)
    masked = mask(spec, dim=3, count=1, width=10, draw=draws())
    changed = (masked != spec).any(dim=2)[:, 0]
    widths = changed.sum(1)
    assert sorted(set(widths.tolist())) == list(range(10))
    edges = (F.pad(changed.int(), (1, 1)).diff(dim=1) == 1).sum(1)
    assert edges.max() == 1  # one span
    assert changed.any(0).all()  # that may lie anywhere
    for row in range(5):
        mean = spec[row].mean()
        assert torch.allclose(masked[row][..., changed[row]], mean)


def test_time_masks_cover_whole_frames() -> None:
    spec = torch.randn(50, 1, 60, 20)
    changed = mask(spec, dim=2, count=2, width=20, draw=draws()) != spec
    assert torch.equal(changed.all(dim=3), changed.any(dim=3))
    assert changed.any(dim=3).sum(dim=(1, 2)).max() <= 38


def test_resize_crop_of_the_whole_changes_nothing() -> None:
    spec = torch.randn(3, 1, 40, 24)
    same = random_resize_crop(spec, (1.0, 1.0), (1.0, 1.0), draws())
    torch.testing.assert_close(same, spec, atol=1e-5, rtol=1e-5)


def test_resize_crop_agrees_with_cropping_and_bicubic_resizing() -> None:
    spec = torch.randn(1, 1, 80, 40)
    cropped = random_resize_crop(spec, (0.5, 0.5), (1.0, 1.0), draws(3))
    inside = slice(4, -4)  # at its border `interpolate` repeats the crop's edge, here the neighbours are read
    best = min(
        (cropped - F.interpolate(part, (80, 40), mode="bicubic", align_corners=True))[..., inside, inside]
        .abs()
        .max()
        .item()
        for i in range(41)
        for j in range(21)
        for part in [spec[:, :, i : i + 40, j : j + 20]]
    )
    assert best < 1e-3


def test_resize_crop_reads_zeros_beyond_the_spectrogram_in_time_only() -> None:
    spec = torch.ones(200, 1, 40, 20)
    out = random_resize_crop(spec, (1.4, 1.5), (1.0, 1.5), draws())
    silent_frames = (out.abs() < 1e-6).all(dim=3).sum(dim=(1, 2))
    assert silent_frames.float().mean() > 5
    assert not (out.abs() < 1e-6).all(dim=2).any()


def ramp(batch: int, frames: int, bins: int = 3) -> torch.Tensor:
    """Spectrograms whose value is the number of the frame: what comes out says where it was read."""
    return torch.arange(float(frames)).view(1, 1, -1, 1).repeat(batch, 1, 1, bins)


def test_time_warp_moves_one_frame_and_stretches_the_rest() -> None:
    frames, window = 100, 20
    out = time_warp(ramp(3000, frames), window, draws(6))[..., 0].squeeze(1).double()
    draw = draws(6)  # the same numbers again
    old = draw.below(torch.full((3000, 1), frames - 2 * window)) + window
    new = old + draw.below(torch.full((3000, 1), 2 * window)) - window + 1
    for k in range(30):  # bicubic reading ripples by a fifth of a frame on a ramp
        a, b = int(old[k]), int(new[k])
        # what `interpolate` reads of the part before, resized from a frames to b, and of the part after
        left = np.clip((np.arange(b) + 0.5) * a / b - 0.5, 0, a - 1)
        right = (
            np.clip((np.arange(frames - b) + 0.5) * (frames - a) / (frames - b) - 0.5, 0, frames - a - 1) + a
        )
        np.testing.assert_allclose(out[k, 2:-2], np.concatenate([left, right])[2:-2], atol=0.2)
    assert (out[:, 2:-2].diff(dim=1) >= -1e-3).all()  # time never runs backwards
    moves = (new - old).flatten()
    assert (moves.min(), moves.max()) == (-window + 1, window)
    assert (old.min(), old.max()) == (window, frames - window - 1)
    assert moves.unique().numel() == 2 * window


def test_time_warp_leaves_frequency_and_short_sounds_alone() -> None:
    spec = torch.randn(4, 1, 1, 8).expand(4, 1, 60, 8)  # each bin constant in time
    warped = time_warp(spec, 20, draws())
    torch.testing.assert_close(warped, spec, atol=1e-5, rtol=0)
    short = torch.randn(2, 1, 40, 8)
    assert torch.equal(time_warp(short, 20, draws()), short)


def test_rescale_reads_a_beginning_of_uniform_length() -> None:
    out = rescale(ramp(4000, 280), 200, (0.5, 1.0), draws(2))
    assert out.shape == (4000, 1, 200, 3)
    places = out[:, 0, :, 0].double()
    length = (places[:, 150] - places[:, 50]) / 100 * 200  # frames read, from the slope
    shares = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95], dtype=torch.float64)
    torch.testing.assert_close(length.quantile(shares), 140 + 140 * shares, atol=2.5, rtol=0)
    k = 7  # and each frame is read where a resize of that beginning would read it
    expected = (np.arange(200) + 0.5) * float(length[k]) / 200 - 0.5
    np.testing.assert_allclose(places[k, 5:-5], expected[5:-5], atol=0.2)  # bicubic ripples on a ramp


def test_rescaling_gives_the_frames_of_the_sound_that_the_network_sees() -> None:
    transform = AudioTransform(spectrogram("avid"), "avid_paper")
    wave = torch.randn(3, round(2.8 * 24000))
    assert transform(wave).shape == (3, 1, 200, 257)
    assert transform.eval()(wave[:, :48000]).shape == (3, 1, 200, 257)
    same = AudioTransform(spectrogram("avid"), AudioAugment(rescale=(1.0, 1.0)))
    front = same.front_end(wave)
    torch.testing.assert_close(same(wave), front, atol=1e-4, rtol=0)


def cubic(t: float) -> list[float]:
    """Weights of the four neighbours at t between the second and the third: Keys's kernel with a = -0.75."""
    a = -0.75
    near = [(a + 2) * d**3 - (a + 3) * d**2 + 1 for d in (t, 1 - t)]
    far = [a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a for d in (1 + t, 2 - t)]
    return [far[0], near[0], near[1], far[1]]


def test_resize_crop_by_definition() -> None:
    spec = torch.randn(1, 1, 12, 9)
    got = random_resize_crop(spec, (0.6, 1.5), (1.0, 1.5), draws(11))[0, 0].numpy()
    draw = draws(11)
    places = []
    for length, room in ((9, 9), (12, 18)):  # frequency first, then time, on a canvas half as long again
        size = min(max(int(float(draw.uniform(1, low=0.6, high=1.5)) * length), 1), room)
        start = int(draw.below(torch.tensor([room - size + 1]))) - (room - length) // 2
        places.append(start + np.arange(length) / (length - 1) * (size - 1))
    padded = np.zeros((12 + 40, 9 + 40))
    padded[20:32, 20:29] = spec[0, 0].numpy()
    expected = np.zeros((12, 9))
    for i, y in enumerate(places[1]):
        for j, x in enumerate(places[0]):
            r, c = int(np.floor(y)), int(np.floor(x))
            near = padded[19 + r : 23 + r, 19 + c : 23 + c]
            expected[i, j] = np.array(cubic(y - r)) @ near @ np.array(cubic(x - c))
    np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize("name", AUDIO_AUGMENTS)
def test_reproducible_with_a_generator_and_off_in_eval(name: str) -> None:
    front_end = spectrogram("crisscross")
    transform = AudioTransform(front_end, name)
    wave = torch.randn(4, 8000)
    first, again = (transform(wave, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first, again)
    reach = transform.augment.reach
    assert first.shape[2] == front_end.frames(round(wave.shape[1] / reach))
    assert torch.equal(transform.eval()(wave), front_end(wave))
    if AUDIO_AUGMENTS[name] == AUDIO_AUGMENTS["none"]:
        assert torch.equal(first, front_end(wave))
    else:
        assert first.shape[2] < front_end(wave).shape[2] or not torch.equal(first, front_end(wave))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("name", AUDIO_AUGMENTS)
def test_same_on_the_gpu(name: str) -> None:
    transform, wave = AudioTransform(spectrogram("small"), name), torch.randn(4, 16000)
    here = transform(wave, torch.Generator().manual_seed(5))
    there = transform.cuda()(wave.cuda(), torch.Generator().manual_seed(5))
    torch.testing.assert_close(there.cpu(), here, atol=2e-3, rtol=1e-3)


def test_samples_are_augmented_independently() -> None:
    transform = AudioTransform(spectrogram("small"), "crisscross")
    out = transform(torch.randn(1, 8000).expand(8, -1))
    assert all(not torch.equal(out[0], other) for other in out[1:])


def test_mistakes_are_named() -> None:
    with pytest.raises(UserError, match="unknown audio augmentation 'avd'; did you mean avid"):
        audio_augment("avd")
    for wrong in (
        {"volume": -0.1},
        {"freq_masks": (-1, 3)},
        {"resize_crop": (2.0, 1.0)},
        {"canvas": (0.5, 1)},
        {"rescale": (0.0, 1.0)},
        {"warp": -1},
    ):
        with pytest.raises(UserError, match="audio augmentation"):
            AudioAugment(**wrong)  # type: ignore[arg-type]
