"""Video and audio networks, without heads, by name."""

from ssl_av.backbones import conv2d, preact, r2plus1d, resnet2d, resnet3d, s3d, vit
from ssl_av.backbones.base import Backbone
from ssl_av.backbones.registry import create_backbone, describe_backbones, list_backbones, register_backbone

__all__ = [
    "Backbone",
    "conv2d",
    "create_backbone",
    "describe_backbones",
    "list_backbones",
    "preact",
    "r2plus1d",
    "register_backbone",
    "resnet2d",
    "resnet3d",
    "s3d",
    "vit",
]
