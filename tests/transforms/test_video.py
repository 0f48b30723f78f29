from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ssl_av.errors import UserError
from ssl_av.transforms import AUGMENTS, VideoAugment, VideoTransform, video_augment

PLAIN = VideoAugment(crop_area=None, flip=0.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def clips(b: int = 4, t: int = 3, side: int = 32, seed: int = 0) -> Tensor:
    return torch.randint(
        0, 256, (b, 3, t, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_identity_when_everything_is_off() -> None:
    video = clips()
    out = VideoTransform(32, PLAIN)(video)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, video.float() / 255, atol=1e-5, rtol=0)


CONSISTENT = [name for name, augment in AUGMENTS.items() if augment.consistent]


@pytest.mark.parametrize("name", CONSISTENT)
def test_all_frames_of_a_clip_get_the_same(name: str) -> None:
    still = clips(b=8, t=1).expand(-1, -1, 4, -1, -1)
    out = VideoTransform(28, name)(still, generator=seeded())
    assert out.shape == (8, 3, 4, 28, 28)
    assert torch.isfinite(out).all()
    torch.testing.assert_close(out, out[:, :, :1].expand_as(out), atol=1e-5, rtol=1e-5)


def test_drawn_per_frame_each_frame_is_a_clip_of_its_own() -> None:
    augment = AUGMENTS["crisscross_per_frame"]
    video, aspect = clips(b=3, t=4), torch.tensor([1.0, 1.5, 0.7])
    out = VideoTransform(28, augment)(video, aspect, seeded())
    assert out.shape == (3, 3, 4, 28, 28)
    assert out.is_contiguous()
    frames = video.transpose(1, 2).reshape(12, 3, 1, 32, 32)  # clip 0's frames, then clip 1's …
    alone = VideoTransform(28, replace(augment, consistent=True))(
        frames, torch.tensor([1.0, 1.5, 0.7]).repeat_interleave(4), seeded()
    )
    for clip in range(3):
        for frame in range(4):
            torch.testing.assert_close(out[clip, :, frame], alone[clip * 4 + frame, :, 0], atol=0, rtol=0)
    still = VideoTransform(28, augment)(video[:1, :, :1].expand(1, 3, 8, 32, 32), None, seeded())[0]
    assert all(not torch.allclose(still[:, 0], still[:, k], atol=1e-3) for k in range(1, 8))
    still = VideoTransform(32, augment).eval()(video[:1, :, :1].expand(1, 3, 8, 32, 32))
    torch.testing.assert_close(still, still[:, :, :1].expand_as(still))  # nothing is random in eval mode


@pytest.mark.parametrize("name", [name for name in AUGMENTS if name != "none"])
def test_clips_of_a_batch_get_different_ones(name: str) -> None:
    same = clips(b=1).expand(8, -1, -1, -1, -1)
    out = VideoTransform(28, name)(same)
    assert all(not torch.allclose(out[0], other, atol=1e-3) for other in out[1:])


@pytest.mark.parametrize("name", AUGMENTS)
def test_reproducible_with_a_generator(name: str) -> None:
    transform, video = VideoTransform(28, name), clips()
    first, again = (transform(video, generator=seeded(7)) for _ in range(2))
    assert torch.equal(first, again)
    torch.manual_seed(3)
    loose = transform(video)
    torch.manual_seed(3)
    assert torch.equal(transform(video), loose)
    if name != "none":
        assert not torch.equal(first, transform(video, generator=seeded(8)))


@pytest.mark.parametrize("name", AUGMENTS)
def test_eval_mode_is_the_normalised_centre(name: str) -> None:
    video, augment = clips(), AUGMENTS[name]
    transform = VideoTransform(32, augment).eval()
    mean, std = (torch.tensor(v).view(3, 1, 1, 1) for v in (augment.mean, augment.std))
    expected = (video.float() / 255 - mean) / std
    torch.testing.assert_close(transform(video, torch.ones(4)), expected, atol=1e-4, rtol=0)


def test_centre_square_of_the_true_geometry() -> None:
    # a 64 x 32 picture squashed to 32 x 32: its left and right quarters are cut away
    place = ((torch.arange(32) + 0.5) / 32 * 255).round().to(torch.uint8)
    video = place.expand(2, 3, 1, 32, 32)
    transform = VideoTransform(16, PLAIN)
    wide, square = transform(video, torch.tensor([2.0, 1.0]))
    assert wide[0, 0, 8, 0] == pytest.approx(0.25 + 0.5 / 32, abs=0.01)
    assert wide[0, 0, 8, -1] == pytest.approx(0.75 - 0.5 / 32, abs=0.01)
    assert square[0, 0, 8, 0] == pytest.approx(1 / 32, abs=0.01)
    tall = transform(video.transpose(3, 4), torch.tensor([0.5, 0.5]))
    assert tall[0, 0, 0, 0, 8] == pytest.approx(0.25 + 0.5 / 32, abs=0.01)


def test_aspect_of_the_tensor_is_the_default() -> None:
    video = torch.randint(0, 256, (2, 3, 2, 20, 40), dtype=torch.uint8)
    expected = video[..., 10:30].float() / 255
    torch.testing.assert_close(VideoTransform(20, PLAIN)(video), expected, atol=1e-4, rtol=0)


def test_three_crops_go_from_end_to_end() -> None:
    video = torch.randint(0, 256, (2, 3, 2, 20, 40), dtype=torch.uint8)
    out = VideoTransform(20, PLAIN).crops(video, count=3)
    parts = torch.stack([video[..., i : i + 20].float() / 255 for i in (0, 10, 20)], dim=1)
    torch.testing.assert_close(out, parts, atol=1e-4, rtol=0)
    torch.testing.assert_close(VideoTransform(20, PLAIN).crops(video, count=1)[:, 0], parts[:, 1])


def test_flip_mirrors_with_its_probability() -> None:
    video = clips(b=1).expand(400, -1, -1, -1, -1)
    out = VideoTransform(32, replace(PLAIN, flip=0.5))(video, generator=seeded())
    expected = video[0].float() / 255
    mirrored = (out - expected.flip(-1)).abs().amax((1, 2, 3, 4)) < 1e-4
    straight = (out - expected).abs().amax((1, 2, 3, 4)) < 1e-4
    assert (mirrored ^ straight).all()
    assert 150 < mirrored.sum() < 250


@pytest.mark.parametrize(
    ("augment", "p"),
    [
        (replace(PLAIN, jitter=(0.4, 0.4, 0.4, 0.2), jitter_p=0.8), 0.8),
        (replace(PLAIN, jitter=(0.1, 0.4, 0.4, 0.2), jitter_p=0.8, additive=True), 0.8),
        (replace(PLAIN, grey_p=0.2), 0.2),
        (replace(PLAIN, blur_p=0.5, blur_sigma=(1.0, 2.0)), 0.5),
    ],
)
def test_only_the_drawn_share_is_changed(augment: VideoAugment, p: float) -> None:
    video = clips(b=300, t=1, side=16)
    out = VideoTransform(16, augment)(video, generator=seeded())
    changed = (out - video.float() / 255).abs().amax((1, 2, 3, 4)) > 1e-4
    assert changed.float().mean().item() == pytest.approx(p, abs=0.08)
    assert out.min() >= 0
    assert out.max() <= 1 + 1e-6


def test_grey_clips_have_equal_channels() -> None:
    out = VideoTransform(32, replace(PLAIN, grey_p=1.0))(clips())
    assert torch.equal(out, out[:, :1].expand_as(out))
    assert out.is_contiguous()


def test_brave_jitter_amounts() -> None:
    # on a grey picture saturation and hue do nothing and contrast keeps the mean: the offset remains
    video = torch.full((2000, 3, 1, 8, 8), 128, dtype=torch.uint8)
    jitter = replace(PLAIN, jitter=(32 / 255, 0.4, 0.4, 0.2), additive=True)
    offset = (VideoTransform(8, jitter)(video, generator=seeded()) * 255 - 128).mean((1, 2, 3, 4))
    assert -32.1 < offset.min() < -31
    assert 31 < offset.max() < 32.1


def test_stica_jitter_scales_about_the_mean() -> None:
    # the code jitters normalised frames: a picture of the mean's grey stays as it is at any brightness
    video = torch.full((50, 3, 1, 8, 8), round(0.45 * 255), dtype=torch.uint8)
    only_brightness = replace(AUGMENTS["stica"], jitter=(0.4, 0.0, 0.0, 0.0), crop_area=None)
    assert VideoTransform(8, only_brightness)(video).abs().max() < 0.02
    black = torch.zeros_like(video)
    levels = VideoTransform(8, only_brightness)(black, generator=seeded())[:, 0, 0, 0, 0]
    assert levels.min() < -2.4  # darker than black, -2, since nothing is clipped
    assert levels.max() > -1.6


def test_paper_numbers() -> None:
    assert AUGMENTS["avid"].crop_area == (0.08, 1.0)
    assert AUGMENTS["avid"].jitter == AUGMENTS["crisscross"].jitter == (0.4, 0.4, 0.4, 0.2)
    assert AUGMENTS["crisscross"].cutout == 20
    brave = AUGMENTS["brave"]
    assert (brave.crop_area, brave.crop_aspect, brave.jitter_p, brave.blur_p) == (
        (0.3, 1.0),
        (0.5, 2.0),
        0.8,
        1.0,
    )
    assert AUGMENTS["brave_broad"] == replace(brave, random_conv=True)
    stica = AUGMENTS["stica"]
    assert (stica.crop_area, stica.jitter, stica.jitter_p) == ((0.14, 1.0), (0.4, 0.4, 0.4, 0.0), 0.8)
    assert (stica.grey_p, stica.blur_p) == (0.2, 0.5)
    simclr = AUGMENTS["stica_simclr"]
    assert (simclr.crop_area, simclr.jitter, simclr.jitter_p) == ((0.08, 1.0), (0.8, 0.8, 0.8, 0.2), 0.8)
    # CrissCross table 5, and its ablation of MSC-HF-CJ-GS drawn for each frame
    full, per_frame = AUGMENTS["crisscross"], AUGMENTS["crisscross_per_frame"]
    assert (full.grey_p, full.blur_p, full.blur_sigma, full.flip) == (0.2, 0.5, (0.1, 2.0), 0.5)
    assert replace(per_frame, consistent=True) == AUGMENTS["crisscross_gs"]
    assert not per_frame.consistent
    assert AUGMENTS["crisscross_gs_c"].cutout == 20
    assert AUGMENTS["crisscross_gs_gb"].blur_p == 0.5


def test_crop_area_can_be_replaced_by_name() -> None:
    assert video_augment("avid") is AUGMENTS["avid"]
    assert video_augment("avid", crop_area=(0.4, 1.0)) == replace(AUGMENTS["avid"], crop_area=(0.4, 1.0))
    assert video_augment("none", crop_area=(0.4, 1.0)) is AUGMENTS["none"]  # it takes the centre


def test_nothing_is_stored_in_checkpoints_and_autocast_is_off() -> None:
    transform, video = VideoTransform(28, "crisscross"), clips()
    assert not transform.state_dict()
    plain = transform(video, generator=seeded())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(transform(video, generator=seeded()), plain)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("name", AUGMENTS)
def test_same_on_the_gpu(name: str) -> None:
    transform, video = VideoTransform(28, name), clips()
    here = transform(video, generator=seeded())
    there = transform.cuda()(video.cuda(), generator=seeded())
    torch.testing.assert_close(there.cpu(), here, atol=2e-2, rtol=1e-2)  # TF32 convolutions


def test_mistakes_are_named() -> None:
    transform = VideoTransform(28, "avid")
    with pytest.raises(ValueError, match="must be uint8"):
        transform(clips().float())
    with pytest.raises(ValueError, match=r"\[B, 3, T, H, W\]"):
        transform(clips(t=4).transpose(1, 2))
    with pytest.raises(ValueError, match=r"aspect must be \[4\]"):
        transform(clips(), torch.ones(3))
    with pytest.raises(UserError, match="unknown video augmentation 'brav'; did you mean brave"):
        video_augment("brav")


@pytest.mark.parametrize(
    "wrong",
    [
        {"crop_area": (0.0, 1.0)},
        {"crop_area": (0.5, 1.5)},
        {"crop_aspect": (2.0, 1.0)},
        {"jitter": (0.4, 0.4, 0.4, 0.6)},
        {"jitter": (0.4, 0.4)},
        {"flip": 1.5},
        {"blur_sigma": (0.0, 1.0)},
        {"cutout": -1},
        {"std": (0.0, 1.0, 1.0)},
        {"jitter": (0.4, 0.4, 0.4, 0.2), "jitter_normalised": True},
    ],
)
def test_impossible_numbers_are_refused(wrong: dict[str, tuple[float, ...]]) -> None:
    with pytest.raises(UserError, match="video augmentation"):
        VideoAugment(**wrong)  # type: ignore[arg-type]
