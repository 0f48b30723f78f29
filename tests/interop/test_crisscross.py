"""CrissCross's official checkpoints: single backbones, and a training's."""

from __future__ import annotations

import zipfile

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ssl_av import load_backbone, load_method
from ssl_av.errors import UserError


class Block(nn.Module):
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
    def __init__(self, w):
        super().__init__()
        self.conv1 = nn.Sequential(
            nn.Conv2d(1, w, 7, 2, 3, bias=False), nn.BatchNorm2d(w), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        )
        for k in range(4):
            a, b = (w, w) if k == 0 else (w * 2 ** (k - 1), w * 2**k)
            self.add_module(f"block{k + 1}", nn.Sequential(Block(a, b, 1 if k == 0 else 2), Block(b, b, 1)))

    def forward(self, x):
        return self.block4(self.block3(self.block2(self.block1(self.conv1(x))))).mean(dim=(2, 3))


class Factored(nn.Module):
    def __init__(self, a, b, s):
        super().__init__()
        for k, (i, stride) in enumerate(((a, s), (b, 1)), start=1):
            self.add_module(
                f"spt_conv{k}", nn.Conv3d(i, b, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False)
            )
            self.add_module(f"spt_bn{k}", nn.BatchNorm3d(b))
            self.add_module(f"tmp_conv{k}", nn.Conv3d(b, b, (3, 1, 1), (stride, 1, 1), (1, 0, 0), bias=False))
        self.tmp_bn1, self.out_bn = nn.BatchNorm3d(b), nn.BatchNorm3d(b)
        if a != b or s != 1:
            self.res_conv = nn.Conv3d(a, b, 1, s, bias=False)

    def forward(self, x):
        y = F.relu(self.tmp_bn1(self.tmp_conv1(F.relu(self.spt_bn1(self.spt_conv1(x))))))
        y = self.tmp_conv2(F.relu(self.spt_bn2(self.spt_conv2(y))))
        return F.relu(self.out_bn(y + (self.res_conv(x) if hasattr(self, "res_conv") else x)))


class Video(nn.Module):
    """The network of AVID, with average pooling."""

    def __init__(self, w):
        super().__init__()
        self.conv1 = nn.Sequential(
            nn.Conv3d(3, w, (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False), nn.BatchNorm3d(w),
            nn.ReLU(), nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
        )  # fmt: skip
        for k in range(4):
            a, b = (w, w) if k == 0 else (w * 2 ** (k - 1), w * 2**k)
            self.add_module(
                f"conv{k + 2}x", nn.Sequential(Factored(a, b, 1 if k == 0 else 2), Factored(b, b, 1))
            )

    def forward(self, x):
        return self.conv5x(self.conv4x(self.conv3x(self.conv2x(self.conv1(x))))).mean(dim=(2, 3, 4))


class Projector(nn.Module):
    def __init__(self, a, b):
        super().__init__()
        self.layer1 = nn.Sequential(nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU())
        self.layer2 = nn.Sequential(nn.Linear(b, b), nn.BatchNorm1d(b), nn.ReLU())
        self.layer3 = nn.Sequential(nn.Linear(b, b), nn.BatchNorm1d(b))

    def forward(self, x):
        return self.layer3(self.layer2(self.layer1(x)))


class Predictor(nn.Module):
    def __init__(self, a, b):
        super().__init__()
        self.layer1 = nn.Sequential(nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU())
        self.layer2 = nn.Linear(b, a)

    def forward(self, x):
        return self.layer2(self.layer1(x))


class Official(nn.Module):
    def __init__(self, w=8):
        super().__init__()
        self.video_backbone, self.audio_backbone = Video(w), Audio(w)
        for m in ("video", "audio"):
            projector = Projector(8 * w, 24)
            self.add_module(f"{m}_projector", projector)
            self.add_module(f"{m}_predictor", Predictor(24, 12))
            backbone = getattr(self, f"{m}_backbone")
            self.add_module(f"{m}_encoder", nn.Sequential(backbone, nn.Flatten(), projector))


INPUTS = {"video": (2, 3, 8, 32, 32), "audio": (2, 1, 80, 101)}


@pytest.fixture
def official(randomise):
    return randomise(Official())


def batch(m):
    """The official input, and ours: time before frequency."""
    x = torch.randn(INPUTS[m])
    return x, x.transpose(2, 3) if m == "audio" else x


@pytest.mark.parametrize("m", ["video", "audio"])
@torch.no_grad()
def test_a_released_backbone(official, tmp_path, m):
    net = getattr(official, f"{m}_backbone")
    path = tmp_path / "backbone.pth.tar"
    torch.save(net.state_dict(), path)
    zipped = tmp_path / "backbone.pth.tar.zip"
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.write(path, path.name)
    theirs, ours = batch(m)
    for file in (path, zipped):
        torch.testing.assert_close(load_backbone(file, m)(ours), net(theirs), atol=1e-5, rtol=1e-5)
    method = load_method(path)
    assert list(method.backbones) == [m]
    assert method.inputs.front_end == "crisscross"
    other = "audio" if m == "video" else "video"
    with pytest.raises(UserError, match=f"has no {other} backbone, only {m}"):
        load_backbone(path, other)


@torch.no_grad()
def test_a_training_s_checkpoint_has_the_heads(official, tmp_path):
    path = tmp_path / "checkpoint.pth.tar"
    torch.save(
        {
            "model": {f"module.{k}": v for k, v in official.state_dict().items()},
            "epoch": 3,
            "amp": {"scale": 1.0},
        },
        path,
    )
    method = load_method(path)
    assert method.name == "crisscross"
    for m in ("video", "audio"):
        theirs, ours = batch(m)
        features = getattr(official, f"{m}_backbone")(theirs)
        z = getattr(official, f"{m}_projector")(features)
        torch.testing.assert_close(load_backbone(path, m)(ours), features, atol=1e-5, rtol=1e-5)
        query, key = method.embed(m, method.net(m).forward_features(ours))
        torch.testing.assert_close(key, z, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(query, getattr(official, f"{m}_predictor")(z), atol=1e-5, rtol=1e-5)


def test_a_backbone_without_a_block_is_refused(official, tmp_path):
    state = official.audio_backbone.state_dict()
    for k in [k for k in state if k.startswith("block3.1.")]:
        del state[k]
    torch.save(state, tmp_path / "part.pth")
    with pytest.raises(UserError, match="2-2-1-2 blocks"):
        load_method(tmp_path / "part.pth")
