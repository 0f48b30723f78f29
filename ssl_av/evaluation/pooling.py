"""From the maps of a backbone to vectors: the last one pooled as a protocol says, or each block for itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from ssl_av.backbones import Backbone
from ssl_av.errors import UserError, unknown


def pooled(features: Tensor, pool: str) -> Tensor:
    """Features of the last map: ``max`` or ``avg`` over all of it, or a max-pool whose result is flattened.

    Args:
        features: [B, C, T', H', W'] or [B, C, time', frequency'].
        pool: as `ssl_av.evaluation.views.pool_names` writes it. A kernel of a larger extent than the map is cut to it.

    Raises:
        UserError: if there is no map to pool.
    """
    if features.ndim < 4:
        raise UserError(
            f"this protocol pools the last map ({pool}); the network gives {list(features.shape)} features that are "
            "pooled already: give it a forward_features that returns the map, or choose another protocol"
        )
    if pool in ("max", "avg"):
        flat = features.flatten(2)
        return flat.amax(dim=2) if pool == "max" else flat.mean(dim=2)
    kernel, stride = (tuple(map(int, part.split("x"))) for part in pool.removeprefix("max-").split("-"))
    extent = features.shape[2:]
    kernel = tuple(min(k, n) for k, n in zip(kernel, extent, strict=True))
    done = F.max_pool3d if len(kernel) == 3 else F.max_pool2d
    return done(features, kernel, stride).flatten(1)


def is_block(pool: str) -> bool:
    """Whether a pooling is that of one block: ``block1-9216-of4``."""
    return pool.startswith("block")


def block_features(backbone: Backbone, maps: Mapping[str, Tensor], pool: str) -> Tensor:
    """The features of one of the last blocks, [B, at most so many values].

    Args:
        backbone: whose maps they are.
        maps: of `stage_maps`.
        pool: as `ssl_av.evaluation.views.pool_names` writes it: ``block1-9216-of4`` is the first of the last four.
    """
    name, size, count = pool.split("-")
    names = _last_stages(backbone, int(count.removeprefix("of")))
    return pool_to(maps[names[int(name.removeprefix("block")) - 1]], int(size))


def stage_maps(backbone: Backbone, x: Tensor) -> dict[str, Tensor]:
    """The map after each stage of a backbone.

    Raises:
        UserError: if the network does not tell its stages apart.
    """
    if not hasattr(backbone, "forward_stages"):
        raise UserError(f"{type(backbone).__name__} has no forward_stages: its blocks cannot be probed")
    return backbone.forward_stages(x)


def _last_stages(backbone: Backbone, count: int) -> tuple[str, ...]:
    if len(backbone.stages) < count:
        raise UserError(
            f"{count} blocks are to be probed, {type(backbone).__name__} has {len(backbone.stages)} stages"
        )
    return tuple(backbone.stages[-count:])


class BlockFeatures(nn.Module):
    """The maps of a backbone's blocks, max-pooled and flattened to about one size (AVID's probe, tables 1, 2 and 5).

    Each map is pooled to one step in time and to s × s in space (a spectrogram to s × s), where s² · channels is the
    most that stays within the size: 12, 8, 6 and 4 for AVID's 64 to 512 channels.

    Args:
        backbone: with `forward_stages`.
        sizes: values of each block; AVID's code has 9216, 8192, 9216, 8192.
        stages: the blocks' names; the backbone's last ones by default.
    """

    def __init__(self, backbone: Backbone, sizes: Sequence[int], stages: Sequence[str] | None = None) -> None:
        super().__init__()
        if not hasattr(backbone, "forward_stages"):
            raise UserError(f"{type(backbone).__name__} has no forward_stages: its blocks cannot be probed")
        names = _last_stages(backbone, len(sizes)) if stages is None else tuple(stages)
        for name in names:
            if name not in backbone.stages:
                raise unknown("stage", name, backbone.stages)
        if len(names) != len(sizes):
            raise UserError(f"{len(sizes)} sizes for {len(names)} blocks: {', '.join(names)}")
        self.backbone, self.sizes, self.names = backbone, tuple(sizes), names

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """``block1`` … → [B, values], from the first of the blocks to the last."""
        maps = stage_maps(self.backbone, x)
        found = zip(self.names, self.sizes, strict=True)
        return {f"block{k}": pool_to(maps[name], size) for k, (name, size) in enumerate(found, start=1)}


def pool_to(features: Tensor, size: int) -> Tensor:
    """A map [B, C, …] max-pooled and flattened to at most ``size`` values; at least to one a channel."""
    side = max(math.isqrt(size // features.shape[1]), 1)
    sides = [min(side, n) for n in features.shape[-2:]]
    if features.ndim == 5:
        return F.adaptive_max_pool3d(features, (1, sides[0], sides[1])).flatten(1)
    return F.adaptive_max_pool2d(features, (sides[0], sides[1])).flatten(1)
