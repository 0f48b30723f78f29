"""Crops of a network's output (STiCA §3.2, eq. 5): more views of a clip at no cost, for the network runs once."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal

import torch
from torch import Tensor

from ssl_av.errors import UserError, unknown

Crop = tuple[int, int] | None
WHOLE = slice(None)


@dataclass(frozen=True)
class FeatureCrops:
    """Crops of the trunk's output, in its cells (table 1b). ``(2, 6)`` is two crops of side 6, null is no cropping.

    The rows of table 1b, in its columns' order (space M, S; time M, S)::

        1×7²  –     1×4  –     medium_space: null,   small_space: null,   medium_time: null,   small_time: null
        1×6²  2×4²  1×4  –     medium_space: [1, 6], small_space: [2, 4], medium_time: null,   small_time: null
        1×6²  2×4²  2×3  1×2   medium_space: [1, 6], small_space: [2, 4], medium_time: [2, 3], small_time: [1, 2]
        2×6²  4×4²  2×3  1×2   the default; also §6.1.1
        in time only           medium_space: null,   small_space: null,   medium_time: [2, 3], small_time: [1, 2]

    Attributes:
        medium_space: count and side of the medium crops.
        medium_time: count and length of the medium crops.
        small_space: count and side of the small crops.
        small_time: count and length of the small crops.
        combine: ``product``: a crop of one class is every spatial crop of the class with every temporal one (2 × 2
            medium and 4 × 1 small ones by default; the paper does not say). ``separate``: spatial crops keep all
            of the time, temporal ones all of the space, and each is a view of its own (official code: 2 + 2 and
            4 + 1).
        places: ``all``, every place is as likely (§3.2); ``official``: never the last one (its upper bound is
            exclusive, so that a 6 of 7 or a 3 of 4 always begins at 0).

    Raises:
        UserError: for counts or sizes below 1.
    """

    medium_space: Crop = (2, 6)
    medium_time: Crop = (2, 3)
    small_space: Crop = (4, 4)
    small_time: Crop = (1, 2)
    combine: Literal["product", "separate"] = "product"
    places: Literal["all", "official"] = "all"

    def __post_init__(self) -> None:
        for name in ("medium_space", "medium_time", "small_space", "small_time"):
            crop = getattr(self, name)
            if crop is not None and (len(crop) != 2 or min(crop) < 1):
                raise UserError(
                    f"crops.{name} is a count and a size, both above 0, or null; got {list(crop)}"
                )
        for name, known in (("combine", ("product", "separate")), ("places", ("all", "official"))):
            if getattr(self, name) not in known:
                raise unknown(f"crops.{name}", getattr(self, name), known)

    def cut(self, features: Tensor) -> dict[str, Tensor]:
        """The crops of [B, D, T, H, W], one place for the whole batch.

        Returns:
            Medium ones ``M0``, ``M1`` … and small ones ``S0`` …; with ``separate`` these are the spatial ones, and
            ``Mt0`` …, ``St0`` … the temporal ones.

        Raises:
            UserError: if a crop is larger than the map.
        """
        classes = {"M": (self.medium_space, self.medium_time), "S": (self.small_space, self.small_time)}
        out: dict[str, list[Tensor]] = {}
        for name, (space, time) in classes.items():
            boxes = [
                (self._place(features, 3, side), self._place(features, 4, side)) for side in _sizes(space)
            ]
            spans = [self._place(features, 2, length) for length in _sizes(time)]
            if self.combine == "separate":
                out[name] = [features[:, :, :, y, x] for y, x in boxes]
                out[f"{name}t"] = [features[:, :, t] for t in spans]
            elif boxes or spans:
                every = product(spans or [WHOLE], boxes or [(WHOLE, WHOLE)])
                out[name] = [features[:, :, t, y, x] for t, (y, x) in every]
        if not (out.get("M") or out.get("Mt")):
            out["M"] = [features]
        return {f"{name}{k}": crop for name, crops in out.items() for k, crop in enumerate(crops)}

    def _place(self, features: Tensor, dim: int, length: int) -> slice:
        """A uniformly random stretch of ``length`` cells of one dimension."""
        room = features.shape[dim] - length
        if room < 0:
            raise UserError(
                f"a feature crop of {length} cells does not fit the video backbone's map of "
                f"{list(features.shape[2:])} (time, height, width); lower the sizes in `crops` or give larger clips"
            )
        places = room + 1 if self.places == "all" else max(room, 1)
        start = int(torch.randint(places, ()))
        return slice(start, start + length)


def _sizes(crop: Crop) -> list[int]:
    """The size of each crop."""
    return [crop[1]] * crop[0] if crop else []
