"""AVID's and CMA's official checkpoints: the same features, the same memory, and nothing half."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ssl_av import load_backbone, load_method
from ssl_av.checkpoint import write
from ssl_av.errors import UserError
from ssl_av.interop.files import read_file
from ssl_av.interop.official import convert

N, D = 20, 8


class Factored(nn.Module):
    """A block of the official video network."""

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
    def __init__(self, blocks, width):
        super().__init__()
        self.conv1 = nn.Sequential(
            nn.Conv3d(3, width, (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False), nn.BatchNorm3d(width),
            nn.ReLU(), nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
        )  # fmt: skip
        before = width
        for k, count in enumerate(blocks):
            after = width * 2**k
            stage = [
                Factored(before if i == 0 else after, after, 2 if k and i == 0 else 1) for i in range(count)
            ]
            self.add_module(f"conv{k + 2}x", nn.Sequential(*stage) if count > 1 else stage[0])
            before = after

    def forward(self, x):
        for name in ("conv1", "conv2x", "conv3x", "conv4x", "conv5x"):
            x = getattr(self, name)(x)
        return x


class Pair(nn.Module):
    def __init__(self, a, b, s):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(a, b, 3, s, 1, bias=False), nn.BatchNorm2d(b)
        self.conv2, self.bn2 = nn.Conv2d(b, b, 3, 1, 1, bias=False), nn.BatchNorm2d(b)

    def forward(self, x):
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class Audio(nn.Module):
    def __init__(self, w):
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv2d(1, w, 7, 2, 3, bias=False), nn.BatchNorm2d(w), nn.ReLU())
        self.block1, self.block2 = Pair(w, w, 2), Pair(w, 2 * w, 2)
        self.block3, self.block4 = Pair(2 * w, 4 * w, 2), Pair(4 * w, 8 * w, 1)

    def forward(self, x):
        return self.block4(self.block3(self.block2(self.block1(self.conv1(x)))))


class Head(nn.Module):
    def __init__(self, a):
        super().__init__()
        self.projection = nn.Sequential(
            nn.Linear(a, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, D)
        )


class Official(nn.Module):
    """The official wrapper: max pool, projection."""

    def __init__(self, blocks=(2, 2, 2, 2), width=8):
        super().__init__()
        self.video_model, self.audio_model = Video(blocks, width), Audio(width)
        self.video_proj, self.audio_proj = Head(8 * width), Head(8 * width)

    def features(self, modality, x):
        return getattr(self, f"{modality}_model")(x).flatten(2).amax(2)

    def embed(self, modality, x):
        return getattr(self, f"{modality}_proj").projection(self.features(modality, x))


def tree_of(net, positives=False):
    criterion = {
        "nce_average.view1_mem": F.normalize(torch.randn(N, D), dim=1),
        "nce_average.view2_mem": F.normalize(torch.randn(N, D), dim=1),
        "criterion.avg_exp_score": torch.tensor([2.2045]),
    }
    if positives:
        others = torch.stack([torch.randperm(N - 1)[:3] for _ in range(N)])
        criterion["nce_average.positive_set"] = (others + (others >= torch.arange(N)[:, None])).int()
    return {
        "optimizer": {"state": {}, "param_groups": [{"lr": 2e-4, "params": [0]}]}, "train_criterion": criterion,
        "epoch": 30, "model": {f"module.{k}": v for k, v in net.state_dict().items()},
    }  # fmt: skip


@pytest.fixture
def official(randomise):
    return randomise(Official())


@pytest.fixture
def save(tmp_path):
    def make(tree, name="official.pth.tar"):
        torch.save(tree, tmp_path / name)
        return tmp_path / name

    return make


def imported(path, layout="avid", **kw):
    out = path.with_suffix(".ckpt")
    write(convert(path, read_file(path), layout, **kw), out)
    return out


INPUTS = {"video": (2, 3, 8, 32, 32), "audio": (2, 1, 50, 65)}


@pytest.mark.parametrize("blocks", [(1, 1, 1, 1), (2, 2, 2, 2), (3, 4, 6, 3), (3, 4, 5, 3)])
def test_features_of_every_depth(randomise, save, blocks):
    official = randomise(Official(blocks, 4))
    path = save(tree_of(official))
    for file in (path, imported(path)):  # the official file itself, and what was made of it
        for m, shape in INPUTS.items():
            x = torch.randn(shape)
            with torch.no_grad():
                torch.testing.assert_close(
                    load_backbone(file, m)(x), official.features(m, x), atol=1e-5, rtol=1e-5
                )
    assert "r2plus1d" in str(load_method(path).origin["found"])


def test_embeddings_bank_and_partition(official, save):
    tree = tree_of(official)
    method = load_method(imported(save(tree)))
    assert method.name == "avid"
    for m, shape in INPUTS.items():
        x = torch.randn(shape)
        with torch.no_grad():
            z = method.embed(m, method.net(m).forward_features(x))[0]
            torch.testing.assert_close(z, F.normalize(official.embed(m, x), dim=1), atol=1e-5, rtol=1e-5)
    memory = tree["train_criterion"]
    assert torch.equal(method.bank.video, memory["nce_average.view1_mem"])
    assert torch.equal(method.bank.audio, memory["nce_average.view2_mem"])
    assert method.partition.shape == ()
    assert float(method.partition) == pytest.approx(2.2045)


def test_cma_brings_its_positives(official, save):
    tree = tree_of(official, positives=True)
    tree["train_criterion"]["criterion.avg_exp_score"] = torch.tensor(2.2)
    method = load_method(imported(save(tree), "cma"))
    assert method.name == "cma"
    assert method.positives == 3
    assert torch.equal(method.positive_set, tree["train_criterion"]["nce_average.positive_set"].long())


def test_a_partition_that_was_never_estimated_is_ours_for_not_yet(official, save):
    tree = tree_of(official)
    tree["train_criterion"]["criterion.avg_exp_score"] = torch.tensor(-1.0)
    assert float(load_method(save(tree)).partition) == 0


def test_missing_and_unexpected_are_named_and_counted(official, save):
    tree = tree_of(official)
    del tree["model"]["module.video_model.conv3x.1.spt_bn2.running_var"]
    del tree["model"]["module.video_model.conv3x.1.spt_bn2.weight"]
    tree["model"]["module.video_model.extra.weight"] = torch.zeros(3)
    with pytest.raises(
        UserError, match=r"2 missing: video_model.conv3x.1.spt_bn2.weight, .*1 unexpected: video_model"
    ):
        convert(save(tree), tree, "avid")
    tree = tree_of(official)
    del tree["train_criterion"]["nce_average.view2_mem"]
    with pytest.raises(UserError, match=r"1 missing: nce_average.view2_mem; --backbones-only"):
        convert(save(tree), tree, "avid")
    assert convert(save(tree), tree, "avid", backbones_only=True).modalities == ["video", "audio"]
    tree["model"]["module.audio_model.block2.conv1.weight"] = torch.zeros(16, 8, 5, 5)
    with pytest.raises(
        UserError, match=r"of another shape: audio_model.block2.conv1.weight \[16, 8, 5, 5\] for"
    ):
        convert(save(tree), tree, "avid", backbones_only=True)


def test_counters_of_old_files_may_be_missing(official, save):
    tree = tree_of(official)
    tree["model"] = {k: v for k, v in tree["model"].items() if "num_batches" not in k}
    assert load_method(save(tree)).name == "avid"


def test_the_networks_alone_become_backbones(official, save):
    tree = {"model": {k: v for k, v in official.state_dict().items() if "_proj" not in k}}
    method = load_method(save(tree))
    assert method.name == "backbones"
    assert method.inputs.augment == "avid"
