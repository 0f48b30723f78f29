from __future__ import annotations

import pytest
import torch
from torchvision.models.video import r2plus1d_18

from ssl_av.backbones import Backbone, create_backbone
from ssl_av.errors import UserError


def on_meta(name: str, **kw: object) -> Backbone:
    with torch.device("meta"):
        return create_backbone(name, **kw)


def shapes(net: Backbone, *shape: int) -> list[list[int]]:
    """Shape after each stage, without the batch."""
    x, found = torch.empty(shape, device="meta"), []
    for stage in net.stages:
        x = net.get_submodule(stage)(x)
        found.append(list(x.shape[1:]))
    return found


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        ("r2plus1d_10", {}, 7_015_616),
        ("r2plus1d_18", {}, 15_379_136),
        ("r2plus1d_34", {}, 28_861_632),
        ("r2plus1d_34", {"blocks": (3, 4, 5, 3)}, 27_286_720),
        ("r2plus1d_18_torchvision", {}, 31_300_125),
    ],
)
def test_parameters(name: str, options: dict[str, object], parameters: int) -> None:
    assert sum(p.numel() for p in on_meta(name, **options).parameters()) == parameters


@pytest.mark.parametrize("name", ["r2plus1d_10", "r2plus1d_18", "r2plus1d_34"])
def test_avid_table_10(name: str) -> None:
    got = shapes(on_meta(name), 2, 3, 8, 224, 224)
    assert got == [[64, 8, 56, 56], [64, 8, 56, 56], [128, 4, 28, 28], [256, 2, 14, 14], [512, 1, 7, 7]]


def test_avid_table_9() -> None:
    """The analysis network's stem has no pooling in the paper; in the released code it has."""
    net = on_meta("r2plus1d_10", stem_pool=False)
    got = shapes(net, 2, 3, 16, 112, 112)
    assert got == [[64, 16, 56, 56], [64, 16, 56, 56], [128, 8, 28, 28], [256, 4, 14, 14], [512, 2, 7, 7]]
    assert sum(p.numel() for p in net.parameters()) == 7_015_616


def test_crisscross_table_s5() -> None:
    got = shapes(on_meta("r2plus1d_18", pool="avg"), 2, 3, 8, 112, 112)
    assert got == [[64, 8, 28, 28], [64, 8, 28, 28], [128, 4, 14, 14], [256, 2, 7, 7], [512, 1, 4, 4]]


def test_time_strides() -> None:
    net = on_meta("r2plus1d_10", time_strides=[1, 1, 2, 1])
    assert [t for _, t, *_ in shapes(net, 2, 3, 8, 32, 32)] == [8, 8, 8, 4, 4]
    assert sum(p.numel() for p in net.parameters()) == 7_015_616


def test_stica_map_holds_its_feature_crops() -> None:
    # STiCA table 1b: crops of 6 × 6 cells and 3 of the 4 time steps that 30 frames of 112 px leave.
    assert shapes(on_meta("r2plus1d_18_torchvision"), 2, 3, 30, 112, 112)[-1] == [512, 4, 7, 7]


def test_a_block_is_four_factored_convolutions_and_one_shared_normalisation() -> None:
    net = create_backbone("r2plus1d_10", width=4)
    same, narrower = net.get_submodule("conv2x.0"), net.get_submodule("conv3x.0")
    kernels = [
        [m.kernel_size for m in b.modules() if isinstance(m, torch.nn.Conv3d)] for b in (same, narrower)
    ]
    assert kernels[0] == [(1, 3, 3), (3, 1, 1), (1, 3, 3), (3, 1, 1)]
    assert kernels[1] == [*kernels[0], (1, 1, 1)]  # a shortcut only where the shape changes
    assert sum(isinstance(m, torch.nn.BatchNorm3d) for m in narrower.modules()) == 4


def test_a_block_by_hand() -> None:
    """With all convolutions zero but the shortcut, a block is ReLU(BN(shortcut(x)))."""
    block = create_backbone("r2plus1d_10", width=2).eval().get_submodule("conv3x.0")
    convolutions = [m for m in block.modules() if isinstance(m, torch.nn.Conv3d)]
    shortcut = next(m for m in convolutions if m.kernel_size == (1, 1, 1))
    for m in convolutions:
        if m is not shortcut:
            torch.nn.init.zeros_(m.weight)
    x = torch.randn(1, 2, 4, 6, 6)
    want = torch.einsum("oi,bithw->bothw", shortcut.weight[:, :, 0, 0, 0], x[:, :, ::2, ::2, ::2]).relu()
    torch.testing.assert_close(block(x), want / (1 + 1e-5) ** 0.5)


def test_torchvision_weights_fit_and_give_torchvisions_features() -> None:
    theirs, ours = r2plus1d_18(weights=None).eval(), create_backbone("r2plus1d_18_torchvision").eval()
    weights = {k.removeprefix("net."): v for k, v in ours.state_dict().items()}
    theirs.load_state_dict(weights, strict=False)
    assert set(theirs.state_dict()) - set(weights) == {"fc.weight", "fc.bias"}
    theirs.fc = torch.nn.Identity()
    x = torch.randn(1, 3, 2, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("name", ["r2plus1d_10", "r2plus1d_18", "r2plus1d_34", "r2plus1d_18_torchvision"])
def test_two_channels_for_optical_flow(name: str) -> None:
    three, two = on_meta(name), on_meta(name, in_channels=2)
    assert two(torch.empty(2, 2, 8, 32, 32, device="meta")).shape == (2, two.num_features)
    with pytest.raises(ValueError, match=r"\[B, 2, T, H, W\], got \[1, 3"):
        two(torch.empty(1, 3, 8, 32, 32, device="meta"))
    stems = [next(p for p in net.parameters()).numel() for net in (two, three)]
    assert stems[0] * 3 == stems[1] * 2


def test_a_smaller_stem_keeps_the_shape_of_the_maps() -> None:
    small, own = (create_backbone("r2plus1d_10", width=4, **kw).eval() for kw in ({"stem": (3, 3, 3)}, {}))
    x = torch.randn(1, 3, 4, 32, 32)
    assert next(small.parameters()).shape == (4, 3, 3, 3, 3)
    assert [m.shape for m in small.forward_stages(x).values()] == [
        m.shape for m in own.forward_stages(x).values()
    ]


@pytest.mark.parametrize("stem", [(3, 4, 3), (3, 3), 3])
def test_a_stem_that_cannot_be_is_refused(stem: object) -> None:
    with pytest.raises(UserError, match="stem must be 3"):
        create_backbone("r2plus1d_10", stem=stem)
