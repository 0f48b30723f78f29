"""Grad-CAM: where in the frames a video backbone's features come from (CrissCross figure 3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib import colormaps
from numpy.typing import NDArray
from torch import Tensor

from ssl_av.backbones import Backbone
from ssl_av.methods.base import Method

#: from the backbone's last map [B, C, T', H', W'] to one number a clip, [B]
Target = Callable[[Tensor], Tensor]


def grad_cam(backbone: Backbone, clip: Tensor, target: Target | None = None) -> Tensor:
    """Where the last map supports a number that is made of it (Selvaraju et al. 2017, eq. 1-2).

    Each channel of the map weighs the mean of its gradient; the weighted sum is cut at zero. The weights of the
    network are not touched and get no gradient.

    Args:
        backbone: any registered video backbone; used in eval mode, then as it was.
        clip: what it takes, [B, 3, T, H, W].
        target: what is explained. By default the size of the pooled features, which needs no label: half their
            squared length. `agreement` explains what picture and sound have in common; a class is
            ``lambda m: classifier(backbone.pool(m))[:, k]``.

    Returns:
        float32 [B, T, H, W] in [0, 1], the largest value of each clip is 1; all 0 where nothing supports the number.
    """
    training = backbone.training
    backbone.eval()
    try:
        with torch.no_grad():
            features = backbone.forward_features(clip)
        if features.ndim != 5:
            raise ValueError(f"Grad-CAM needs a map [B, C, T, H, W], got {list(features.shape)}")
        with torch.enable_grad():
            leaf = features.detach().float().requires_grad_()
            score = (target or _size(backbone))(leaf)
            (gradient,) = torch.autograd.grad(score.sum(), leaf)
    finally:
        backbone.train(training)
    weight = gradient.mean(dim=(2, 3, 4), keepdim=True)
    heat = (weight * leaf.detach()).sum(dim=1, keepdim=True).relu()
    heat = F.interpolate(heat, size=clip.shape[2:], mode="trilinear", align_corners=False)[:, 0]
    top = heat.amax(dim=(1, 2, 3), keepdim=True)
    return heat / top.clamp(min=torch.finfo(heat.dtype).tiny)


def agreement(method: Method, sound: Tensor) -> Target:
    """Cosine of the picture's and the sound's embeddings in the space that they share: finds what is heard.

    Args:
        method: one with such a space (`Method.embed`).
        sound: spectrograms of the same clips, [B, 1, time, frequency].

    Raises:
        ValueError: if the method has no such space.
    """
    with torch.no_grad():
        heard = method.embed("audio", method.net("audio").forward_features(sound))
    if heard is None:
        raise ValueError(f"{method.name} has no space that picture and sound share")
    key = heard[1].detach()

    def cosine(features: Tensor) -> Tensor:
        seen = method.embed("video", features)
        assert seen is not None
        return F.cosine_similarity(seen[0].float(), key.float(), dim=1)

    return cosine


def overlay(frames: NDArray[np.uint8], heat: NDArray[Any], strength: float = 0.5) -> NDArray[np.uint8]:
    """Frames with the heat over them: dark blue nowhere, yellow where it is largest.

    Where there is no heat the frame is dimmed and grey, so that the map is read without its colours too.

    Args:
        frames: uint8 [..., H, W, 3].
        heat: [..., H, W] in [0, 1].
        strength: share of the colour where the heat is 1.
    """
    if frames.shape[:-1] != heat.shape:
        raise ValueError(f"frames {list(frames.shape)} and heat {list(heat.shape)} do not fit")
    picture = frames.astype(np.float32) / 255
    grey = picture.mean(axis=-1, keepdims=True)
    h = np.clip(heat, 0, 1)[..., None].astype(np.float32)
    base = (0.35 + 0.65 * h) * (h * picture + (1 - h) * grey)
    colour = colormaps["inferno"](h[..., 0])[..., :3]
    out = (1 - strength * h) * base + strength * h * colour
    return np.rint(np.clip(out, 0, 1) * 255).astype(np.uint8)


def _size(backbone: Backbone) -> Target:
    return lambda features: backbone.pool(features).square().sum(dim=1) / 2
