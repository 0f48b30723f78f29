"""AVID's and CMA's official checkpoints (facebookresearch/AVID-CMA).

``{epoch, model, optimizer, train_criterion}``: the networks under ``model`` (``module.video_model.…``), the memory, its
partition function and CMA's positives under ``train_criterion``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ssl_av.errors import UserError
from ssl_av.interop.mapping import Layout, Source, count_blocks, shape_of, tensors

#: official name of a block's part → ours
PARTS = {
    "convs.0": "spt_conv1", "convs.1": "spt_bn1", "convs.3": "tmp_conv1", "convs.4": "tmp_bn1",
    "convs.6": "spt_conv2", "convs.7": "spt_bn2", "convs.9": "tmp_conv2", "norm": "out_bn",
    "residual": "res_conv",
}  # fmt: skip
AUDIO_PARTS = {"0.0": "conv1", "0.1": "bn1", "1.0": "conv2", "1.1": "bn2"}
MEMORY = {
    "bank.video": "nce_average.view1_mem", "bank.audio": "nce_average.view2_mem",
    "partition": "criterion.avg_exp_score", "positive_set": "nce_average.positive_set",
}  # fmt: skip
STAGES = ("conv2x", "conv3x", "conv4x", "conv5x")
NAMES = {(1, 1, 1, 1): "r2plus1d_10", (2, 2, 2, 2): "r2plus1d_18"}


def read(tree: Any) -> dict[str, Tensor]:
    """The tensors of model and criterion together."""
    source = tensors(tree, ("model", "state_dict"))
    if isinstance(tree, dict):
        memory = tensors(tree.get("train_criterion"))
        scores = [memory.pop(k).float().mean() for k in list(memory) if "avg_exp_score" in k]
        if scores:  # (), (1,), or one for each term in old files; -1 stands for not yet, with us 0 does
            memory["criterion.avg_exp_score"] = torch.stack(scores).mean().clamp(min=0)
        source |= memory
    return source


def matches(source: Source) -> bool:
    """Whether these are AVID's names."""
    return any(name.startswith(("video_model.", "audio_model.")) for name in source)


def describe(path: Path, source: Source, backbones_only: bool) -> Layout:
    """Finds depth, width and heads, and whether there are CMA's positives."""
    prefixes = {"video": "video_model.", "audio": "audio_model."}
    networks = {}
    for modality, prefix in prefixes.items():
        if not backbones_only or any(n.startswith(prefix) for n in source):
            find = r2plus1d if modality == "video" else conv9
            networks[modality] = find(path, source, prefix)

    def naming(name: str) -> str | None:
        head, _, rest = name.partition(".")
        if head == "backbones":
            modality, _, rest = rest.partition(".")
            if modality == "video":
                return prefixes["video"] + r2plus1d_naming(rest, source, prefixes["video"])
            return prefixes["audio"] + _conv9_naming(rest)
        if head == "projectors":
            modality, _, rest = rest.partition(".")
            return f"{modality}_proj.projection.{rest}"
        return MEMORY.get(name)

    settings = None
    heads = any(n.startswith(("video_proj.", "nce_average.")) for n in source)
    if heads and not backbones_only:
        settings = _settings(path, source)
    positives = source.get("nce_average.positive_set")
    method = "avid" if positives is None else "cma"
    rows = f", {settings['num_samples']:,} rows of memory" if settings else ""
    of = "" if positives is None else f", {positives.shape[1]} positives each"
    return Layout(
        "avid", method, networks, prefixes, naming, settings, found=(f"method: {method}{rows}{of}",)
    )


def _settings(path: Path, source: Source) -> dict[str, Any]:
    hidden = shape_of(path, source, "video_proj.projection.0.weight")[0]
    rows, dim = _matrix(path, source, "nce_average.view1_mem")
    settings: dict[str, Any] = {"dim": dim, "hidden": hidden, "num_samples": rows}
    if "nce_average.positive_set" in source:
        settings["positives"] = _matrix(path, source, "nce_average.positive_set")[1]
    return settings


def _matrix(path: Path, source: Source, name: str) -> tuple[int, int]:
    shape = shape_of(path, source, name)
    if len(shape) != 2:
        raise UserError(f"{path}: '{name}' is not a matrix but {list(shape)}")
    return shape[0], shape[1]


def r2plus1d(path: Path, source: Source, prefix: str) -> tuple[str, dict[str, Any]]:
    """AVID's video network, by its shapes: (name, arguments)."""
    stem = shape_of(path, source, f"{prefix}conv1.0.weight")
    args: dict[str, Any] = {} if stem[0] == 64 else {"width": stem[0]}
    if stem[1] != 3:
        args["in_channels"] = stem[1]
    # A stage of one block has no number in its names.
    blocks = tuple(count_blocks(source, f"{prefix}{stage}.") or 1 for stage in STAGES)
    if blocks in NAMES:
        return NAMES[blocks], args
    return "r2plus1d_34", args if blocks == (3, 4, 6, 3) else args | {"blocks": list(blocks)}


def r2plus1d_naming(name: str, source: Source, prefix: str) -> str:
    """Official name of a tensor of the video network, without its prefix."""
    stage, _, rest = name.partition(".")
    if stage not in STAGES:
        return name
    block, _, rest = rest.partition(".")
    part, _, kind = rest.rpartition(".")
    numbered = count_blocks(source, f"{prefix}{stage}.") > 0
    return ".".join([stage, *([block] if numbered else []), PARTS.get(part, part), kind])


def conv9(path: Path, source: Source, prefix: str) -> tuple[str, dict[str, Any]]:
    """AVID's audio network: (name, arguments)."""
    width = shape_of(path, source, f"{prefix}conv1.0.weight")[0]
    return "conv9_audio", {} if width == 64 else {"width": width}


def _conv9_naming(name: str) -> str:
    stage, _, rest = name.partition(".")
    part, _, kind = rest.rpartition(".")
    return name if stage == "conv1" else f"{stage}.{AUDIO_PARTS[part]}.{kind}"
