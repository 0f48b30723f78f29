"""Grad-CAM against the formula written out, on all registered video backbones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ssl_av.backbones import create_backbone, list_backbones
from ssl_av.backbones.base import Backbone
from ssl_av.evaluation.saliency import agreement, grad_cam, overlay
from ssl_av.methods import create_method


class Grid(Backbone):
    """Means over blocks of 4 × 4 pixels, three channels: everything about it is known."""

    modality, num_features, stages = "video", 3, ("blocks",)

    def __init__(self, pool: str = "avg") -> None:
        super().__init__(pool)
        self.blocks = nn.AvgPool3d((1, 4, 4))
        self.dropout = nn.Dropout(0.5)


def spot() -> Tensor:
    clip = torch.zeros(2, 3, 2, 16, 16)
    clip[0, 0, :, 4:8, 8:12] = 1.0
    clip[1, 1, 1, 12:, :4] = 2.0
    return clip


def test_against_the_formula():
    net = Grid().train()
    heat = grad_cam(net, spot())
    assert net.training
    assert heat.shape == (2, 2, 16, 16)
    assert heat.amax(dim=(1, 2, 3)).tolist() == [1.0, 1.0]
    # d (|mean|²/2) / d map = mean / positions; the heat is Σ_c mean_c map_c / positions, upsampled.
    maps = net.eval().forward_features(spot())
    by_hand = torch.einsum("bc,bcthw->bthw", maps.mean(dim=(2, 3, 4)), maps)[:, None]
    by_hand = nn.functional.interpolate(by_hand, size=(2, 16, 16), mode="trilinear")[:, 0]
    by_hand /= by_hand.amax(dim=(1, 2, 3), keepdim=True)
    assert torch.allclose(heat, by_hand, atol=1e-6)
    assert heat[0, 0, 5:7, 9:11].min() > 0.5
    assert heat[0, 0, :, :4].max() == 0


def test_a_target_of_ones_own():
    clip = spot()
    clip[0, 1, :, 12:, 12:] = 1.0  # a second spot, in the second channel
    first = grad_cam(Grid(), clip, lambda m: m.mean(dim=(2, 3, 4))[:, 0])[0, 0]
    second = grad_cam(Grid(), clip, lambda m: m.mean(dim=(2, 3, 4))[:, 1])[0, 0]
    assert first[5, 9] > 0.5
    assert first[14, 14] == 0
    assert second[14, 14] > 0.5
    assert second[5, 9] == 0


def test_nothing_there():
    assert grad_cam(Grid(), torch.zeros(1, 3, 2, 16, 16)).sum() == 0


@pytest.mark.parametrize("name", list_backbones("video"))
def test_every_video_backbone(name: str):
    torch.manual_seed(0)
    small = {"s3d": {}, "vit_small_tubelet": {"width": 12, "depth": 2, "heads": 2}}.get(name, {"width": 4})
    net = create_backbone(name, **small).eval()
    clip = torch.randn(2, 3, 8, 32, 32)
    heat = grad_cam(net, clip)
    assert heat.shape == (2, 8, 32, 32)
    assert heat.min() >= 0
    assert heat.amax(dim=(1, 2, 3)).tolist() == pytest.approx([1.0, 1.0])
    assert all(p.grad is None for p in net.parameters())
    assert torch.allclose(grad_cam(net, clip[:1]), heat[:1], atol=1e-4)


def test_agreement_with_the_sound_is_the_cosine_of_the_embeddings():
    torch.manual_seed(0)
    inputs = {"frames": 4, "fps": 8, "size": 32, "audio_seconds": 0.5, "front_end": "small"}
    networks = {
        "video": "r2plus1d_10", "video_args": {"width": 4},
        "audio": "conv9_audio", "audio_args": {"width": 4},
    }  # fmt: skip
    avid = create_method("avid", inputs=inputs, networks=networks, dim=8, hidden=16, num_samples=9).eval()
    clip, sound = torch.randn(2, 3, 4, 32, 32), torch.randn(2, 1, 50, 64)
    target = agreement(avid, sound)
    video, audio = avid({"video": clip, "audio": sound}).values()
    features = avid.net("video").forward_features(clip)
    assert torch.allclose(target(features), (video * audio).sum(dim=1), atol=1e-5)
    assert grad_cam(avid.net("video"), clip, target).shape == (2, 4, 32, 32)
    none = create_method("random", inputs=inputs, networks=networks)
    with pytest.raises(ValueError, match="no space"):
        agreement(none, sound)


def test_overlay_shows_where_it_is_hot():
    frames = np.full((2, 8, 8, 3), (200, 40, 40), dtype=np.uint8)
    heat = np.zeros((2, 8, 8))
    heat[0, 3, 3] = 1.0
    mixed = overlay(frames, heat)
    assert mixed.shape == frames.shape
    assert mixed.dtype == np.uint8
    cold, hot = mixed[1, 0, 0].astype(int), mixed[0, 3, 3].astype(int)
    assert np.ptp(cold) == 0  # grey
    assert hot.sum() > 2 * cold.sum()
    with pytest.raises(ValueError, match="do not fit"):
        overlay(frames, heat[:1])
