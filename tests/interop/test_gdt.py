"""GDT's and STiCA's official checkpoints."""

from __future__ import annotations

import argparse

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ssl_av import load_backbone, load_method
from ssl_av.errors import UserError


def mid(a, b):
    return a * b * 27 // (a * 9 + 3 * b)


def factored(a, m, b, s):
    return nn.Sequential(
        nn.Conv3d(a, m, (1, 3, 3), (1, s, s), (0, 1, 1), bias=False), nn.BatchNorm3d(m), nn.ReLU(),
        nn.Conv3d(m, b, (3, 1, 1), (s, 1, 1), (1, 0, 0), bias=False),
    )  # fmt: skip


class VideoBlock(nn.Module):
    def __init__(self, a, b, s):
        super().__init__()
        self.conv1 = nn.Sequential(factored(a, mid(a, b), b, s), nn.BatchNorm3d(b), nn.ReLU())
        self.conv2 = nn.Sequential(factored(b, mid(a, b), b, 1), nn.BatchNorm3d(b))
        self.downsample = (
            nn.Sequential(nn.Conv3d(a, b, 1, s, bias=False), nn.BatchNorm3d(b)) if s > 1 else None
        )

    def forward(self, x):
        return F.relu(self.conv2(self.conv1(x)) + (x if self.downsample is None else self.downsample(x)))


class Video(nn.Module):
    def __init__(self, w, middle):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv3d(3, middle, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False), nn.BatchNorm3d(middle), nn.ReLU(),
            nn.Conv3d(middle, w, (3, 1, 1), 1, (1, 0, 0), bias=False), nn.BatchNorm3d(w), nn.ReLU(),
        )  # fmt: skip
        for k, (a, b) in enumerate(((w, w), (w, 2 * w), (2 * w, 4 * w), (4 * w, 8 * w)), start=1):
            self.add_module(
                f"layer{k}", nn.Sequential(VideoBlock(a, b, 1 if k == 1 else 2), VideoBlock(b, b, 1))
            )

    def forward(self, x):
        return self.layer4(self.layer3(self.layer2(self.layer1(self.stem(x)))))


class AudioBlock(nn.Module):
    def __init__(self, a, b, s):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(a, b, 3, s, 1, bias=False), nn.BatchNorm2d(b)
        self.conv2, self.bn2 = nn.Conv2d(b, b, 3, 1, 1, bias=False), nn.BatchNorm2d(b)
        if s > 1:
            self.downsample = nn.Sequential(nn.Conv2d(a, b, 1, s, bias=False), nn.BatchNorm2d(b))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (self.downsample(x) if hasattr(self, "downsample") else x))


class Audio(nn.Module):
    """The official ResNet-9, with the classifier that is never called."""

    def __init__(self, w, depth):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, w, 7, 2, 3, bias=False), nn.BatchNorm2d(w)
        for k, (a, b) in enumerate(((w, w), (w, 2 * w), (2 * w, 4 * w), (4 * w, 8 * w)), start=1):
            blocks = [AudioBlock(a if i == 0 else b, b, 2 if k > 1 and i == 0 else 1) for i in range(depth)]
            self.add_module(f"layer{k}", nn.Sequential(*blocks))
        self.fc = nn.Linear(8 * w, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        return self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean(dim=(2, 3))


class Base(nn.Module):
    def __init__(self, base):
        super().__init__()
        self.base = base


class Head(nn.Module):
    def __init__(self, a):
        super().__init__()
        self.block_forward = nn.Sequential(
            nn.Flatten(), nn.Dropout(0.3), nn.Linear(a, 32, bias=False), nn.Identity(), nn.BatchNorm1d(32),
            nn.Flatten(), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 16),
        )  # fmt: skip


class Attention(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.q_lin, self.k_lin = nn.Linear(dim, dim), nn.Linear(dim, dim)


class FeedForward(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.lin1, self.lin2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)


class Layer(nn.Module):
    """Attention with neither value nor output projection, four heads, norm after each sum."""

    def __init__(self, dim):
        super().__init__()
        self.mha, self.ffn = Attention(dim), FeedForward(dim)
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-12), nn.LayerNorm(dim, eps=1e-12)

    def forward(self, x):
        q, k, v = (y.unflatten(2, (4, -1)).transpose(1, 2) for y in (self.mha.q_lin(x), self.mha.k_lin(x), x))
        weights = (q @ k.transpose(2, 3) / (x.shape[2] // 4) ** 0.5).softmax(dim=3)
        x = self.norm1(x + (weights @ v).transpose(1, 2).flatten(2))
        return self.norm2(x + self.ffn.lin2(F.gelu(self.ffn.lin1(x))))


class Pooling(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.transformer = nn.ModuleList([Layer(dim), Layer(dim)])

    def forward(self, x):
        for layer in self.transformer:
            x = layer(x)
        return x[:, 0]


class Official(nn.Module):
    """At width 64 the stem has 45 planes in its middle, as published."""

    def __init__(self, transformer=False, audio_depth=1, width=8):
        super().__init__()
        self.video_network = Base(Video(width, 45 * width // 64))
        self.audio_network = Base(Audio(width, audio_depth))
        if transformer:
            self.video_pooling = nn.ModuleList([nn.Identity(), nn.Identity(), Pooling(8 * width)])
        self.mlp_v, self.mlp_a = Head(8 * width), Head(8 * width)

    def features(self, modality, x):
        """Of video [B, 3, T, H, W], or of spectrograms [B, 1, frequency, time]."""
        if modality == "audio":
            return self.audio_network.base(x)
        return self.video_network.base(x).mean(dim=(2, 3, 4))

    def embed(self, modality, x):
        if modality == "audio" or not hasattr(self, "video_pooling"):
            return getattr(self, f"mlp_{modality[0]}").block_forward(self.features(modality, x))
        tokens = self.video_network.base(x).mean(dim=(3, 4)).transpose(1, 2)
        return self.mlp_v.block_forward(self.video_pooling[2](tokens))


VIDEO, AUDIO = (2, 3, 16, 32, 32), (2, 1, 65, 99)


@pytest.fixture
def save(tmp_path):
    def make(official, key="state_dict", prefix="module."):
        tree = {
            "epoch": 100, key: {f"{prefix}{k}": v for k, v in official.state_dict().items()},
            "args": argparse.Namespace(num_head=4, root_dir="/data"),
        }  # fmt: skip
        torch.save(tree, tmp_path / "official.pth")
        return tmp_path / "official.pth"

    return make


@torch.no_grad()
def compare(official, path, embeddings=True):
    method = load_method(path)
    for m, shape in (("video", VIDEO), ("audio", AUDIO)):
        x = torch.randn(shape)
        ours = x.transpose(2, 3) if m == "audio" else x  # here time stands before frequency
        torch.testing.assert_close(
            load_backbone(path, m)(ours), official.features(m, x), atol=1e-5, rtol=1e-5
        )
        if embeddings:
            z = method.embed(m, method.net(m).forward_features(ours))[0]
            torch.testing.assert_close(
                F.normalize(z), F.normalize(official.embed(m, x)), atol=1e-5, rtol=1e-5
            )
    return method


@pytest.mark.parametrize(("key", "prefix", "depth"), [("state_dict", "module.", 1), ("model", "", 2)])
def test_gdt(randomise, save, key, prefix, depth):
    official = randomise(Official(audio_depth=depth))
    method = compare(official, save(official, key, prefix))
    assert (method.name, method.settings["pooling"]) == ("stica", "average")


@pytest.mark.slow
def test_gdt_of_the_published_size(randomise, save):
    official = randomise(Official(width=64))
    compare(official, save(official))


def test_stica_with_its_transformer(randomise, save):
    official = randomise(Official(transformer=True))
    method = compare(official, save(official))
    assert (method.name, method.settings["pooling"]) == ("stica", "official")


def test_a_missing_head_is_refused_and_may_be_left(randomise, save):
    official = randomise(Official())
    del official.mlp_a
    path = save(official)
    with pytest.raises(UserError, match=r"missing: mlp_a.block_forward.2.weight, .*--backbones-only"):
        load_method(path)
    assert load_backbone(path, "audio").num_features == 64


def test_a_depth_that_we_have_not_is_named(randomise, save):
    official = Official()
    for k, count in ((1, 1), (2, 2), (3, 4), (4, 1)):
        layer = getattr(official.video_network.base, f"layer{k}")
        layer.extend(VideoBlock(8, 8, 1) for _ in range(count))
    with pytest.raises(UserError, match=r"3-4-6-3 blocks \(R\(2\+1\)D-34\)"):
        load_method(save(official))
