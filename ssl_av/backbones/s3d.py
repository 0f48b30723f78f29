"""S3D, separable Inception video networks (Xie et al. 2018), of torchvision."""

from __future__ import annotations

from functools import partial
from typing import cast

from torch import Tensor, nn

from ssl_av.backbones.base import Backbone, Pool, check_count
from ssl_av.backbones.registry import register_backbone


class Gate(nn.Module):
    """Each channel times a sigmoid of a linear map of all channels' means (S3D-G's feature gating).

    Args:
        channels: of the map [B, C, T, H, W].
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.linear(x.mean((2, 3, 4))).sigmoid()[:, :, None, None, None]


class S3D(Backbone):
    """torchvision's S3D without its classifier; parameter names are torchvision's behind ``net.``.

    Its batch norm has a momentum of 0.1, its convolutions start as those of the other networks here.

    Args:
        pool: ``avg`` or ``max``.
        in_channels: 3 for RGB, 2 for optical flow.
        gating: S3D-G: a `Gate` after each branch of the Inception blocks, ``net.features.{i}.branch{j}.1``.
    """

    modality = "video"
    stages = tuple(f"net.features.{i}" for i in range(16))
    # The last pooling, without padding, needs five frames. Of five to seven torch's gradient of the stem, 7 frames wide
    # with stride 2, is wrong (2.14, on CPUs with AVX-512): it reads and writes outside its arrays.
    smallest = (8, 17, 17)

    def __init__(self, pool: Pool, in_channels: int, gating: bool) -> None:
        super().__init__(pool)
        from torchvision.models.video.s3d import SepInceptionBlock3D, s3d

        self.in_channels = check_count("in_channels", in_channels)
        # torchvision's momentum of 0.001 needs thousands of steps before evaluation sees the data's statistics.
        self.net = s3d(weights=None, norm_layer=partial(nn.BatchNorm3d, eps=1e-3, momentum=0.1))
        self.num_features = cast(nn.Conv3d, self.net.classifier[1]).in_channels
        self.net.classifier = nn.Sequential()
        if in_channels != 3:
            stem = nn.Conv3d(in_channels, 64, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False)
            self.net.features[0][0][0] = stem
        if gating:
            for block in self.net.features:
                if isinstance(block, SepInceptionBlock3D):
                    for name in ("branch0", "branch1", "branch2", "branch3"):
                        branch = block.get_submodule(name)
                        channels = [m for m in branch.modules() if isinstance(m, nn.Conv3d)][-1].out_channels
                        setattr(block, name, nn.Sequential(branch, Gate(channels)))
        for m in self.modules():  # with torch's own start the untrained features are of the order of 1e-10
            if isinstance(m, nn.Conv3d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")


@register_backbone
def s3d(pool: Pool = "avg", in_channels: int = 3, gating: bool = False) -> S3D:
    """torchvision's S3D (7.9M); with gating S3D-G (9.1M, as BraVe table 6 gives for S3D)."""
    return S3D(pool, in_channels, gating)
