"""A video transformer of timm's blocks on space-time tubelets."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ssl_av.backbones.base import Backbone, Pool, check_count, check_counts
from ssl_av.backbones.registry import register_backbone
from ssl_av.errors import UserError


class TubeletEmbedding(nn.Module):
    """A linear map of each tubelet plus its place in time, height and width as fixed sines and cosines.

    Args:
        in_channels: of the video.
        width: size of a token; a sixth of it for each axis' sines and cosines.
        tubelet: frames, height and width of a tubelet.
    """

    def __init__(self, in_channels: int, width: int, tubelet: tuple[int, int, int]) -> None:
        super().__init__()
        self.projection = nn.Conv3d(in_channels, width, tubelet, tubelet)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.projection(x)
        part = tokens.shape[1] // 6
        rates = 10_000 ** (-torch.arange(part, device=x.device) / part)
        for axis, size in enumerate(tokens.shape[2:]):
            angles = torch.outer(rates, torch.arange(size, device=x.device, dtype=rates.dtype))
            place = torch.cat([angles.sin(), angles.cos()]).to(tokens.dtype)
            shape = [2 * part, 1, 1, 1]
            shape[axis + 1] = size
            pad = (0, 0, 0, 0, 0, 0, 2 * part * axis, 2 * part * (2 - axis))
            tokens = tokens + nn.functional.pad(place.reshape(shape), pad)
        return tokens


class TokenBlock(nn.Module):
    """A module on tokens [B, N, C], applied to a map [B, C, T, H, W]."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        tokens: Tensor = self.block(x.flatten(2).transpose(1, 2))
        return tokens.transpose(1, 2).unflatten(2, x.shape[2:])


class VideoViT(Backbone):
    """Joint space-time attention over all tubelets (ViViT's first model), without a class token.

    No paper of this suite uses it: an example of a modern backbone. Any number of frames and any size that the
    tubelets divide; the cost of attention grows with the square of their number.

    Args:
        width: size of a token; a multiple of 6 and of ``heads``.
        depth: blocks.
        heads: of attention.
        tubelet: frames, height and width of a tubelet.
        pool: ``avg`` or ``max`` over the tokens.
        in_channels: 3 for RGB, 2 for optical flow.
    """

    modality = "video"

    def __init__(
        self, width: int, depth: int, heads: int, tubelet: Sequence[int], pool: Pool, in_channels: int
    ) -> None:
        super().__init__(pool)
        from timm.models.vision_transformer import Block

        if check_count("width", width) % 6 or width % check_count("heads", heads):
            raise UserError(f"width must be a multiple of 6 and of heads ({heads}), got {width}")
        self.in_channels = check_count("in_channels", in_channels)
        t, h, w = check_counts("tubelet", tubelet, 3)
        self.smallest = (t, h, w)
        self.embed = TubeletEmbedding(in_channels, width, (t, h, w))
        for i in range(check_count("depth", depth)):
            self.add_module(f"block{i + 1}", TokenBlock(Block(width, heads, qkv_bias=True)))
        self.norm = TokenBlock(nn.LayerNorm(width, eps=1e-6))
        self.stages = ("embed", *(f"block{i + 1}" for i in range(depth)), "norm")
        self.num_features = width
        for m in self.modules():  # timm's start of a ViT, whose own class does it for its blocks
            if isinstance(m, nn.Linear):
                nn.init.trunc_normal_(m.weight, std=0.02)
                nn.init.zeros_(m.bias)

    def check(self, x: Tensor) -> None:
        super().check(x)
        if any(n % part for n, part in zip(x.shape[2:], self.smallest or (), strict=True)):
            raise ValueError(f"T, H, W must be multiples of {list(self.smallest or ())}, got {list(x.shape)}")


@register_backbone
def vit_small_tubelet(
    width: int = 384,
    depth: int = 12,
    heads: int = 6,
    tubelet: Sequence[int] = (2, 16, 16),
    pool: Pool = "avg",
    in_channels: int = 3,
) -> VideoViT:
    """ViT-S on tubelets of 2×16×16, of timm's blocks (in no paper here: a modern example)."""
    return VideoViT(width, depth, heads, tubelet, pool, in_channels)
