"""The official checkpoints of GDT and STiCA (facebookresearch/GDT).

The networks under ``state_dict`` or ``model``: ``video_network.base.…``, ``audio_network.base.…``, heads ``mlp_v`` and
``mlp_a``, and STiCA's transformer pooling ``video_pooling.2``. GDT's is the network of `STiCA` with average pooling and
no feature crops, and becomes that.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from ssl_av.errors import UserError
from ssl_av.interop.mapping import Layout, Source, count_blocks, shape_of, tensors, turn_kernels

VIDEO, AUDIO, POOLING = "video_network.base.", "audio_network.base.", "video_pooling.2.transformer."
#: ours → official, of a transformer's layer
PARTS = {
    "query": "mha.q_lin", "key": "mha.k_lin", "value": "mha.v_lin", "out": "mha.out_lin",
    "feed_forward.0": "ffn.lin1", "feed_forward.2": "ffn.lin2", "norm1": "norm1", "norm2": "norm2",
}  # fmt: skip
#: ours → official, of the layers of a head
HEAD = {"1": "2", "2": "4", "5": "8"}
AUDIO_NAMES = {(1, 1, 1, 1): "resnet9_audio", (2, 2, 2, 2): "resnet18_audio"}


def read(tree: Any) -> dict[str, Tensor]:
    """The tensors; the audio network's kernels turned to [time, frequency]."""
    source = turn_kernels(tensors(tree, ("state_dict", "model")), AUDIO)
    for head in ("mlp_v", "mlp_a"):  # its first layer has no bias, where ours may have one
        weight = source.get(f"{head}.block_forward.2.weight")
        if weight is not None:
            source.setdefault(f"{head}.block_forward.2.bias", weight.new_zeros(len(weight)))
    return source


def matches(source: Source) -> bool:
    """Whether these are GDT's names."""
    return any(name.startswith((VIDEO, AUDIO)) for name in source)


def describe(path: Path, source: Source, backbones_only: bool) -> Layout:
    """Finds depth, heads, and how time is pooled."""
    networks: dict[str, tuple[str, dict[str, Any]]] = {}
    if not backbones_only or any(n.startswith(VIDEO) for n in source):
        networks["video"] = _video(path, source)
    if not backbones_only or any(n.startswith(AUDIO) for n in source):
        networks["audio"] = _audio(path, source)

    def naming(name: str) -> str:
        head, _, rest = name.partition(".")
        if head == "attend":
            _, layer, rest = rest.split(".", 2)
            part, _, kind = rest.rpartition(".")
            return f"{POOLING}{layer}.{PARTS[part]}.{kind}"
        modality, _, rest = rest.partition(".")
        if head == "backbones":
            return (VIDEO if modality == "video" else AUDIO) + rest.removeprefix("net.")
        layer, _, kind = rest.partition(".")
        return f"mlp_{modality[0]}.block_forward.{HEAD[layer]}.{kind}"

    settings, pooling = None, "average"
    if not backbones_only and any(n.startswith(("mlp_v.", "mlp_a.", "video_pooling.")) for n in source):
        settings = _settings(path, source)
        pooling = settings["pooling"]

    def unused(name: str) -> bool:  # the audio network keeps a classifier that it never calls
        return name.startswith((f"{VIDEO}fc.", f"{AUDIO}fc.")) or name.endswith("block_forward.2.bias")

    found = (f"method: {'GDT' if pooling == 'average' else 'STiCA'}, pooling: {pooling}",)
    prefixes = {"video": VIDEO, "audio": AUDIO}
    return Layout("gdt", "stica", networks, prefixes, naming, settings, unused, found)


def _settings(path: Path, source: Source) -> dict[str, Any]:
    hidden = shape_of(path, source, "mlp_v.block_forward.2.weight")[0]
    dim = shape_of(path, source, "mlp_v.block_forward.8.weight")[0]
    settings: dict[str, Any] = {"hidden": hidden, "dim": dim, "pooling": "average"}
    layers = count_blocks(source, POOLING)
    if not layers:
        return settings | {"crops": None, "rgb_crops": 1, "weight_within": 0.0, "weight_cross": 1.0}  # GDT
    return settings | {"pooling": "official", "layers": layers}


def _video(path: Path, source: Source) -> tuple[str, dict[str, Any]]:
    width = shape_of(path, source, f"{VIDEO}stem.3.weight")[0]
    blocks = tuple(count_blocks(source, f"{VIDEO}layer{k}.") for k in (1, 2, 3, 4))
    if blocks != (2, 2, 2, 2):
        raise UserError(
            f"{path}: its video network has {'-'.join(map(str, blocks))} blocks"
            f"{' (R(2+1)D-34)' if blocks == (3, 4, 6, 3) else ''}; there is no such backbone here, only R(2+1)D-18"
        )
    return "r2plus1d_18_torchvision", {} if width == 64 else {"width": width}


def _audio(path: Path, source: Source) -> tuple[str, dict[str, Any]]:
    width = shape_of(path, source, f"{AUDIO}conv1.weight")[0]
    blocks = tuple(count_blocks(source, f"{AUDIO}layer{k}.") for k in (1, 2, 3, 4))
    if blocks not in AUDIO_NAMES:
        raise UserError(
            f"{path}: its audio network has {'-'.join(map(str, blocks))} blocks; known: 1-1-1-1, 2-2-2-2"
        )
    return AUDIO_NAMES[blocks], {} if width == 64 else {"width": width}
