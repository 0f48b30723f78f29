from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ssl_av.backbones import Backbone, create_backbone
from ssl_av.backbones.preact import shift_in_time
from ssl_av.errors import UserError


def on_meta(name: str, **kw: object) -> Backbone:
    with torch.device("meta"):
        return create_backbone(name, **kw)


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        ("tsm_resnet50", {}, 23_500_352),  # BraVe table 6: 23.5M
        ("tsm_resnet50x2", {}, 93_891_712),  # 93.9M
        ("tsm_resnet50", {"width": 128}, 93_891_712),
        ("tsm_resnet50", {"shift": 0}, 23_500_352),  # the shift has no parameters
        ("tsm_resnet50", {"in_channels": 2}, 23_500_352 - 64 * 49),
        ("resnet50v2_audio", {}, 23_494_080),  # the official code's 23.49M
    ],
)
def test_parameters(name: str, options: dict[str, object], parameters: int) -> None:
    assert sum(p.numel() for p in on_meta(name, **options).parameters()) == parameters


@pytest.mark.parametrize(("name", "features"), [("tsm_resnet50", 2048), ("tsm_resnet50x2", 4096)])
def test_time_stays_and_space_is_cut_to_a_thirtysecond(name: str, features: int) -> None:
    net = on_meta(name)
    for frames in (1, 16):
        maps = net.forward_stages(torch.empty(2, 3, frames, 224, 224, device="meta"))
        assert [list(m.shape[2:]) for m in maps.values()] == [[frames, n, n] for n in (56, 56, 28, 14, 7, 7)]
        assert maps["norm"].shape[:2] == (2, features)


@pytest.mark.parametrize("frames", [1, 2, 5])
@pytest.mark.parametrize("channels", [8, 20])
def test_the_shift_by_index(frames: int, channels: int) -> None:
    x = torch.arange(1.0, 2 * frames * channels * 6 + 1).reshape(2 * frames, channels, 2, 3)
    got, n = shift_in_time(x, frames), channels // 8
    for i in range(2 * frames):
        clip, t = divmod(i, frames)
        for c in range(channels):
            if c < n:  # the last channels, of the next frame
                frame, channel = t + 1, channels - n + c
            elif c >= channels - n:  # the first channels, of the previous frame
                frame, channel = t - 1, c - (channels - n)
            else:
                frame, channel = t, c
            inside = 0 <= frame < frames
            want = x[clip * frames + frame, channel] if inside else torch.zeros(2, 3)
            assert torch.equal(got[i, c], want), (i, c)


def test_clips_of_a_batch_do_not_meet() -> None:
    net, x = create_backbone("tsm_resnet50", width=8).eval(), torch.randn(2, 3, 4, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(net(x), torch.cat([net(x[:1]), net(x[1:])]))


def test_frames_meet_only_by_the_shift() -> None:
    x = torch.randn(1, 3, 4, 32, 32)
    changed = x.clone()
    changed[:, :, 3] += 1
    for share, reaches in ((0.125, True), (0.0, False)):
        net = create_backbone("tsm_resnet50", width=8, shift=share).eval()
        with torch.no_grad():
            a, b = net.forward_features(x), net.forward_features(changed)
        assert torch.equal(a[:, :, 0], b[:, :, 0]) is not reaches


@pytest.mark.parametrize("size", [32, 45])
def test_without_shift_it_is_timms_network_with_tensorflows_padding(size: int) -> None:
    from timm.layers import BatchNormAct2d, create_conv2d
    from timm.models.resnetv2 import ResNetV2

    theirs = ResNetV2(
        [3, 4, 6, 3], (64, 128, 256, 512), num_classes=0, stem_chs=16, stem_type="same",
        norm_layer=BatchNormAct2d, conv_layer=partial(create_conv2d, padding="same"),
    ).eval()  # fmt: skip
    ours = create_backbone("tsm_resnet50", width=16, shift=0).eval()

    def name(key: str) -> str:
        stage, _, rest = key.partition(".")
        if not stage.startswith("layer"):
            return key.replace("norm.norm.", "norm.")
        i, _, rest = rest.partition(".")
        return f"stages.{int(stage[-1]) - 1}.blocks.{i}.{rest.replace('shortcut', 'downsample.conv')}"

    theirs.load_state_dict({name(k): v for k, v in ours.state_dict().items()})  # strict: every one fits
    x = torch.randn(1, 3, 2, size, size)
    with torch.no_grad():
        frames = [theirs.forward_features(x[:, :, t]) for t in range(2)]
        torch.testing.assert_close(ours.forward_features(x), torch.stack(frames, 2), rtol=1e-4, atol=1e-4)


def test_the_stem_pads_more_behind_than_before() -> None:
    """TensorFlow's SAME: for 16 pixels, kernel 7 and stride 2 there are five to add, two before, three behind."""
    net = create_backbone("resnet50v2_audio", width=4).eval()
    x = torch.randn(1, 1, 16, 16)
    conv = F.conv2d(F.pad(x, (2, 3, 2, 3)), net.get_parameter("stem.conv.weight"), stride=2)
    want = F.max_pool2d(F.pad(conv, (0, 1, 0, 1), value=-torch.inf), 3, 2)
    torch.testing.assert_close(net.forward_stages(x)["stem"], want)


def test_the_shift_is_after_norm_and_relu_and_not_on_the_shortcut() -> None:
    net = create_backbone("tsm_resnet50", width=8).eval()
    block = net.get_submodule("layer1.0")
    x = torch.randn(6, 8, 5, 5)
    with torch.no_grad():
        y = F.relu(block.norm1(x))
        z = F.conv2d(shift_in_time(y, 3), block.conv1.weight)
        z = F.conv2d(F.relu(block.norm2(z)), block.conv2.weight, padding=1)
        z = F.conv2d(F.relu(block.norm3(z)), block.conv3.weight)
        want = z + F.conv2d(y, block.shortcut.weight)
        torch.testing.assert_close(block(x, 3), want)


def test_random_start_is_a_truncated_normal_of_the_fan_in() -> None:
    weight: Tensor = create_backbone("resnet50v2_audio", width=16).get_parameter("layer4.0.conv2.weight")
    deviation = (128 * 9) ** -0.5
    assert weight.abs().max() <= 2 * deviation
    assert abs(weight.std().item() / deviation - 0.8796) < 0.01  # of a normal cut at two deviations


@pytest.mark.parametrize("shift", [-0.1, 0.6, "0.1", True])
def test_a_wrong_share_is_named(shift: object) -> None:
    with pytest.raises(UserError, match="share of the channels from 0 to"):
        on_meta("tsm_resnet50", shift=shift)
