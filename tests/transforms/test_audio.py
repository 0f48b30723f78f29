from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from ssl_av.errors import UserError
from ssl_av.transforms import AUDIO_AUGMENTS, AudioAugment, AudioTransform, audio_augment, spectrogram
from ssl_av.transforms.audio import mask, random_resize_crop
from ssl_av.transforms.draws import Draw


def draws(seed: int = 0) -> Draw:
    return Draw(torch.Generator().manual_seed(seed))


def test_paper_numbers() -> None:
    assert AUDIO_AUGMENTS["avid"] == AudioAugment(volume=0.1)
    crisscross = AUDIO_AUGMENTS["crisscross"]
    assert (crisscross.volume, crisscross.freq_masks, crisscross.time_masks) == (0.2, (2, 10), (2, 20))
    assert (crisscross.resize_crop, crisscross.canvas) == ((0.6, 1.5), (1.0, 1.5))
    assert AUDIO_AUGMENTS["brave"] == AUDIO_AUGMENTS["none"]


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


@pytest.mark.parametrize("name", AUDIO_AUGMENTS)
def test_reproducible_with_a_generator_and_off_in_eval(name: str) -> None:
    front_end = spectrogram("crisscross")
    transform = AudioTransform(front_end, name)
    wave = torch.randn(4, 8000)
    first, again = (transform(wave, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first, again)
    assert first.shape == front_end(wave).shape
    assert torch.equal(transform.eval()(wave), front_end(wave))
    if name in ("none", "brave"):
        assert torch.equal(first, front_end(wave))
    else:
        assert not torch.equal(first, front_end(wave))


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
    ):
        with pytest.raises(UserError, match="audio augmentation"):
            AudioAugment(**wrong)  # type: ignore[arg-type]
