"""CrissCross's official checkpoints (pritamqu/CrissCross).

Released are single backbones: a bare state dict, the video's or the audio's, wrapped in a zip file. A training's own
checkpoint has both and the heads under ``model``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from ssl_av.errors import UserError
from ssl_av.interop.avid import r2plus1d, r2plus1d_naming
from ssl_av.interop.mapping import Layout, Source, count_blocks, shape_of, tensors, turn_kernels

STEM = "conv1.0.weight"
#: ours → official, of the heads' layers
PROJECTOR = {
    "0": "layer1.0",
    "1": "layer1.1",
    "3": "layer2.0",
    "4": "layer2.1",
    "6": "layer3.0",
    "7": "layer3.1",
}
PREDICTOR = {"0": "layer1.0", "1": "layer1.1", "3": "layer2"}


def read(tree: Any) -> dict[str, Tensor]:
    """The tensors; the audio network's kernels turned to [time, frequency]."""
    source = tensors(tree, ("model", "state_dict"))
    if STEM in source:
        return turn_kernels(source, "" if source[STEM].ndim == 4 else "none of them")
    return turn_kernels(source, "audio_backbone.")


def matches(source: Source) -> bool:
    """Whether these are CrissCross's names."""
    return STEM in source or any(n.startswith(("video_backbone.", "audio_backbone.")) for n in source)


def describe(path: Path, source: Source, backbones_only: bool) -> Layout:
    """Finds which backbones there are, their depth and width, and the heads."""
    if STEM in source:
        prefixes = {"audio" if source[STEM].ndim == 4 else "video": ""}
    else:
        prefixes = {m: f"{m}_backbone." for m in ("video", "audio")}
        if backbones_only:
            prefixes = {m: p for m, p in prefixes.items() if any(n.startswith(p) for n in source)}
    find = {"video": _video, "audio": _audio}
    networks = {m: find[m](path, source, prefix) for m, prefix in prefixes.items()}

    def naming(name: str) -> str:
        head, _, rest = name.partition(".")
        modality, _, rest = rest.partition(".")
        if head == "backbones" and modality == "video":
            return prefixes[modality] + r2plus1d_naming(rest, source, prefixes[modality])
        if head == "backbones":
            return prefixes[modality] + _resnet_naming(rest)
        layer, _, kind = rest.partition(".")
        if head == "projectors":
            return f"{modality}_projector.{PROJECTOR[layer]}.{kind}"
        return f"{modality}_predictor.{PREDICTOR[layer]}.{kind}"

    settings = None
    if not backbones_only and any("_projector." in n or "_predictor." in n for n in source):
        settings = {
            "projector": shape_of(path, source, "video_projector.layer1.0.weight")[0],
            "predictor": shape_of(path, source, "video_predictor.layer1.0.weight")[0],
        }

    def unused(name: str) -> bool:  # backbone and projector once more, in a sequence
        return name.startswith(("video_encoder.", "audio_encoder."))

    return Layout("crisscross", "crisscross", networks, prefixes, naming, settings, unused)


def _video(path: Path, source: Source, prefix: str) -> tuple[str, dict[str, Any]]:
    name, args = r2plus1d(path, source, prefix)
    return name, args | {"pool": "avg"}


def _audio(path: Path, source: Source, prefix: str) -> tuple[str, dict[str, Any]]:
    width = shape_of(path, source, f"{prefix}{STEM}")[0]
    blocks = tuple(count_blocks(source, f"{prefix}block{k}.") for k in (1, 2, 3, 4))
    if blocks != (2, 2, 2, 2):
        raise UserError(
            f"{path}: its audio network has {'-'.join(map(str, blocks))} blocks; the official one is a ResNet-18 "
            "of 2-2-2-2"
        )
    return "resnet18_audio", {} if width == 64 else {"width": width}


def _resnet_naming(name: str) -> str:
    stage, _, rest = name.removeprefix("net.").partition(".")
    stem = {"conv1": "conv1.0", "bn1": "conv1.1"}
    return f"{stem.get(stage) or stage.replace('layer', 'block')}.{rest}"
