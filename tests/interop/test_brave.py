"""BraVe's official checkpoints: networks written anew from the Haiku arrays themselves, [B, T, H, W, C]."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ssl_av import load_backbone, load_method
from ssl_av.errors import UserError

BLOCKS = (3, 4, 6, 3)


def tensor(array):
    return torch.from_numpy(array).double()


class Haiku:
    """Random float32 parameters and state under Haiku's names, and what the networks make of them in float64."""

    def __init__(self, seed=0):
        self.params, self.state, self.rng = {}, {}, np.random.default_rng(seed)

    def conv(self, name, k, a, b):
        self.params[name] = {"w": self.normal((k, k, a, b), (2 / (k * k * a)) ** 0.5)}

    def linear(self, name, a, b):
        self.params[name] = {"w": self.normal((a, b), a**-0.5), "b": self.normal((b,), 0.1)}

    def norm(self, name, c, dims):
        shape = (1,) * dims + (c,)
        self.params[name] = {"scale": 0.5 + self.uniform(shape), "offset": self.normal(shape, 0.1)}
        for kind, average in (("mean", self.normal(shape, 0.1)), ("var", 0.5 + self.uniform(shape))):
            self.state[f"{name}/~/{kind}_ema"] = {
                "average": average, "hidden": average * np.float32(1 - 0.9**7), "counter": np.int32(7),
            }  # fmt: skip

    def normal(self, shape, std):
        return (self.rng.standard_normal(shape) * std).astype(np.float32)

    def uniform(self, shape):
        return self.rng.random(shape, dtype=np.float32)

    def resnet(self, root, inputs, width, audio):
        inner = f"{root}/~" if audio else root
        self.conv(f"{inner}/{'initial_conv' if audio else 'tsm_resnet_stem'}", 7, inputs, width)
        before = width
        for k, count in enumerate(BLOCKS):
            after = 4 * width * 2**k
            for i in range(count):
                block = f"{inner}/{'block_group' if audio else 'tsm_resnet_unit'}_{k}/block_{i}"
                convs = f"{block}/~" if audio else block
                if i == 0:
                    self.conv(f"{convs}/shortcut_conv", 1, before, after)
                self.conv(f"{convs}/conv_0", 1, before, after // 4)
                self.conv(f"{convs}/conv_1", 3, after // 4, after // 4)
                self.conv(f"{convs}/conv_2", 1, after // 4, after)
                for j, c in enumerate((before, after // 4, after // 4)):
                    self.norm(f"{block}/batch_norm{f'_{j}' if j else ''}", c, 3)
                before = after
        self.norm(f"{root}/batch_norm", before, 3)

    def head(self, root, a, hidden, dim):
        for part, inputs, last in (("projector", a, True), ("predictor", dim, False)):
            self.linear(f"{root}/{part}/linear", inputs, hidden)
            self.norm(f"{root}/{part}/batch_norm", hidden, 1)
            self.linear(f"{root}/{part}/linear_1", hidden, dim)
            if last:
                self.norm(f"{root}/{part}/batch_norm_1", dim, 1)

    # -- forward ---------------------------------------------------------------------------------------------

    def apply_conv(self, name, x, stride):
        """ "SAME" as TensorFlow has it, [N, H, W, C]."""
        w = tensor(self.params[name]["w"])
        pads = []
        for n in (x.shape[2], x.shape[1]):
            total = max((-(-n // stride) - 1) * stride + w.shape[0] - n, 0)
            pads += [total // 2, total - total // 2]
        y = F.conv2d(F.pad(x.permute(0, 3, 1, 2), pads), w.permute(3, 2, 0, 1), stride=stride)
        return y.permute(0, 2, 3, 1)

    def apply_norm(self, name, x):
        p = self.params[name]
        mean, var = (tensor(self.state[f"{name}/~/{k}_ema"]["average"]) for k in ("mean", "var"))
        return (x - mean) * (var + 1e-5).rsqrt() * tensor(p["scale"]) + torch.from_numpy(p["offset"])

    def apply_resnet(self, root, x, audio, frames=1):
        inner = f"{root}/~" if audio else root
        x = self.apply_conv(f"{inner}/{'initial_conv' if audio else 'tsm_resnet_stem'}", x, 2)
        pads = []
        for n in (x.shape[2], x.shape[1]):
            total = max((-(-n // 2) - 1) * 2 + 3 - n, 0)
            pads += [total // 2, total - total // 2]
        x = F.max_pool2d(F.pad(x.permute(0, 3, 1, 2), pads, value=-torch.inf), 3, 2).permute(0, 2, 3, 1)
        for k, count in enumerate(BLOCKS):
            for i in range(count):
                block = f"{inner}/{'block_group' if audio else 'tsm_resnet_unit'}_{k}/block_{i}"
                convs = f"{block}/~" if audio else block
                stride = 2 if k and i == 0 else 1
                y = self.apply_norm(f"{block}/batch_norm", x).relu()
                short = self.apply_conv(f"{convs}/shortcut_conv", y, stride) if i == 0 else x
                y = y if audio else shifted(y, frames)
                y = self.apply_conv(f"{convs}/conv_0", y, 1)
                y = self.apply_conv(
                    f"{convs}/conv_1", self.apply_norm(f"{block}/batch_norm_1", y).relu(), stride
                )
                y = self.apply_conv(f"{convs}/conv_2", self.apply_norm(f"{block}/batch_norm_2", y).relu(), 1)
                x = short + y
        x = self.apply_norm(f"{root}/batch_norm", x).relu().mean(dim=(1, 2))
        return x.unflatten(0, (-1, frames)).mean(dim=1)

    def apply_linear(self, name, x):
        return x @ tensor(self.params[name]["w"]) + tensor(self.params[name]["b"])

    def apply_head(self, part, x):
        root = f"shared_project/{part}"
        x = self.apply_norm(f"{root}/batch_norm", self.apply_linear(f"{root}/linear", x)).relu()
        x = self.apply_linear(f"{root}/linear_1", x)
        return self.apply_norm(f"{root}/batch_norm_1", x) if part == "projector" else x


def shifted(x, frames):
    """By index: an eighth of the channels from the next frame's end, an eighth from the last frame's beginning."""
    x = x.unflatten(0, (-1, frames))
    out, n = x.clone(), x.shape[-1] // 8
    for t in range(frames):
        out[:, t, ..., :n] = x[:, t + 1, ..., -n:] if t + 1 < frames else 0
        out[:, t, ..., -n:] = x[:, t - 1, ..., :n] if t > 0 else 0
    return out.flatten(0, 1)


VIDEO, AUDIO = "narrow_video_embedding/TSMResNetV2", "broad_audio_embedding/res_net_v2"


@pytest.fixture(scope="module")
def official():
    net = Haiku()
    net.resnet(VIDEO, 3, 8, audio=False)
    net.resnet(AUDIO, 1, 8, audio=True)
    net.head("shared_project", 256, 32, 16)
    net.head("shared_project_1", 256, 32, 16)  # the dead one
    return net


@pytest.fixture
def save(tmp_path):
    def make(net, change=None):
        tree = {
            "params": dict(net.params), "state": dict(net.state), "config": {"tsm_resnet_width_multiplier": 1},
        }  # fmt: skip
        if change:
            change(tree)
        np.save(tmp_path / "official.npy", tree)
        return tmp_path / "official.npy"

    return make


@torch.no_grad()
@pytest.mark.parametrize("size", [32, 45])
def test_features_and_embeddings(official, save, size):
    path = save(official)
    method = load_method(path).double()
    assert method.name == "brave"
    assert tuple(method.settings["broad"]) == ("audio",)
    video = torch.randn(
        2, 4, size, size + 2, 3, dtype=torch.float64
    )  # odd sizes: the padding is not the same on both sides
    audio = torch.randn(2, size + 7, 40, 1, dtype=torch.float64)
    theirs = {
        "video": official.apply_resnet(VIDEO, video.flatten(0, 1), audio=False, frames=4),
        "audio": official.apply_resnet(AUDIO, audio, audio=True),
    }
    ours = {"video": video.permute(0, 4, 1, 2, 3), "audio": audio.permute(0, 3, 1, 2)}
    for m, x in ours.items():
        torch.testing.assert_close(load_backbone(path, m).double()(x), theirs[m], atol=1e-5, rtol=1e-5)
        query, key = method.embed(m, method.net(m).forward_features(x))
        z = official.apply_head("projector", theirs[m])
        torch.testing.assert_close(key, z, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(query, official.apply_head("predictor", z), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_averages_are_corrected_where_the_file_has_not(official, save):
    def drop(tree):
        tree["state"] = {
            name: {k: v for k, v in entry.items() if k != "average"} for name, entry in tree["state"].items()
        }

    path = save(official, drop)
    x = torch.randn(1, 1, 32, 40, dtype=torch.float64)
    expected = official.apply_resnet(AUDIO, x.permute(0, 2, 3, 1), audio=True)
    torch.testing.assert_close(load_backbone(path, "audio").double()(x), expected, atol=1e-5, rtol=1e-5)


def test_a_broad_video_and_other_widths(save):
    net = Haiku()
    for root in (VIDEO, "broad_video_embedding/TSMResNetV2"):
        net.resnet(root, 3, 16, audio=False)
    net.head("shared_project", 512, 32, 16)
    method = load_method(save(net))
    assert tuple(method.settings["broad"]) == ("rgb+rc",)
    assert method.settings["networks"]["video_args"] == {"width": 16}
    expected = net.params["broad_video_embedding/TSMResNetV2/tsm_resnet_stem"]["w"]
    stem = method.broad_backbones["rgb"].stem.conv.weight
    assert torch.equal(stem, torch.from_numpy(expected).permute(3, 2, 0, 1))


def test_a_part_is_refused(official, save):
    gone = f"{VIDEO}/tsm_resnet_unit_2/block_5/conv_1"
    path = save(official, lambda tree: tree["params"].pop(gone))
    with pytest.raises(UserError, match=f"1 missing: {gone}/w"):
        load_method(path)
    path = save(
        official, lambda tree: tree["params"].update({"broad_new_embedding/x": {"w": np.zeros((2, 2))}})
    )
    with pytest.raises(UserError, match="1 unexpected: broad_new_embedding/x/w; --backbones-only"):
        load_method(path)
    assert load_backbone(path, "video").num_features == 256
