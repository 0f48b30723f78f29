"""BraVe's official checkpoints (deepmind/brave, JAX): ``.npy`` files that wrap a pickled ``{params, state, config}``.

Names are Haiku's, ``narrow_video_embedding/TSMResNetV2/tsm_resnet_unit_0/block_1/conv_2``; a ``~`` in them stands for
what was made in a constructor, and is left out here. Kernels are [height, width, in, out], those of linear layers
[in, out]; scales [1, 1, 1, C]. The moving averages of batch norm start at zero: ``average`` is corrected for that,
``hidden`` is not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ssl_av.errors import UserError
from ssl_av.interop.mapping import Layout, Source, shape_of

#: our modality → module of its embedding
EMBEDDINGS = {
    "video": "narrow_video_embedding", "audio": "broad_audio_embedding", "rgb": "broad_video_embedding",
    "flow": "broad_flow_embedding",
}  # fmt: skip
STEMS = ("tsm_resnet_stem", "initial_conv")
NORM = {
    "weight": "scale", "bias": "offset", "running_mean": "mean_ema/average", "running_var": "var_ema/average",
    "num_batches_tracked": "num_batches_tracked",
}  # fmt: skip
LINEAR = {"weight": "w", "bias": "b"}
#: the layers of a head
HEAD = {"0": "linear", "1": "batch_norm", "3": "linear_1", "4": "batch_norm_1"}
NAMES = {64: "tsm_resnet50", 128: "tsm_resnet50x2"}
DECAY = 0.9


def read(tree: Any) -> dict[str, Tensor]:
    """The tensors in our order of axes, as ``module/name``."""
    if not isinstance(tree, Mapping) or not isinstance(tree.get("params"), Mapping):
        return {}
    source = {name: _turn(name, value) for name, value in _flat(tree["params"]).items()}
    state = _flat(tree.get("state"))
    for name, value in state.items():
        module, _, kind = name.rpartition("/")
        if kind == "average":
            source[name] = _turn(name, value)
        elif kind == "hidden" and f"{module}/average" not in state and f"{module}/counter" in state:
            correction = 1 - DECAY ** float(state[f"{module}/counter"])
            source[f"{module}/average"] = _turn(name, value) / correction
    return source


def _flat(tree: Any) -> dict[str, np.ndarray]:
    """``{module: {name: array}}`` → ``{module/name: array}``, without ``~``."""
    flat = {}
    for module, entries in tree.items() if isinstance(tree, Mapping) else ():
        path = [p for p in str(module).split("/") if p != "~"]
        for name, value in entries.items() if isinstance(entries, Mapping) else ():
            if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "fiu":
                flat["/".join([*path, str(name)])] = np.asarray(value)
    return flat


def _turn(name: str, value: np.ndarray) -> Tensor:
    tensor = torch.from_numpy(np.array(value, dtype=np.float32))
    if not name.endswith("/w"):
        return tensor.flatten()
    return tensor.permute(3, 2, 0, 1) if tensor.ndim == 4 else tensor.T


def matches(source: Source) -> bool:
    """Whether these are BraVe's names."""
    return any(name.startswith(tuple(EMBEDDINGS.values())) for name in source)


def describe(path: Path, source: Source, backbones_only: bool) -> Layout:
    """Finds the broad views, the width and the heads."""
    prefixes = {m: p for m, e in EMBEDDINGS.items() if (p := _prefix(source, e))}
    if "video" not in prefixes and not backbones_only:
        raise UserError(f"{path}: its networks cannot be told: {EMBEDDINGS['video']} has no stem")
    networks: dict[str, tuple[str, dict[str, Any]]] = {}
    if "video" in prefixes:
        width = _width(source, prefixes["video"])
        networks["video"] = (
            NAMES.get(width, "tsm_resnet50"), {} if width in NAMES else {"width": width},
        )  # fmt: skip
    if "audio" in prefixes:
        width = _width(source, prefixes["audio"])
        networks["audio"] = ("resnet50v2_audio", {} if width == 64 else {"width": width})

    def naming(name: str) -> str:
        head, _, rest = name.partition(".")
        if head in ("backbones", "broad_backbones"):
            modality, _, rest = rest.partition(".")
            return prefixes[modality] + _resnet_naming(rest, modality)
        layer, _, kind = rest.partition(".")
        if head in ("projector", "predictor"):
            module = HEAD[layer]
            return f"shared_project/{head}/{module}/{(LINEAR if 'linear' in module else NORM)[kind]}"
        return f"{head}/{rest}"  # an adapter between widths, which the official networks have not

    def unused(name: str) -> bool:  # made while Haiku counted the calls, never called
        return re.match(r"shared_project_\d+/", name) is not None

    settings = None
    if not backbones_only and any(n.startswith("shared_project/") for n in source):
        broad = [v for v in ("rgb+rc", "flow", "audio") if v.removesuffix("+rc") in prefixes]
        settings = {
            "broad": broad,
            "hidden": shape_of(path, source, "shared_project/projector/linear/w")[0],
            "dim": shape_of(path, source, "shared_project/projector/linear_1/w")[0],
        }
    shown = {m: p for m, p in prefixes.items() if m in networks}
    found = (f"views: narrow video, broad {', '.join(m for m in prefixes if m != 'video') or 'none'}",)
    return Layout("brave", "brave", networks, shown, naming, settings, unused, found)


def _prefix(source: Source, embedding: str) -> str | None:
    """``narrow_video_embedding/TSMResNetV2/``: where an embedding's network lies."""
    for name in source:
        if name.startswith(f"{embedding}/") and name.endswith(tuple(f"/{stem}/w" for stem in STEMS)):
            return name.rsplit("/", 2)[0] + "/"
    return None


def _width(source: Source, prefix: str) -> int:
    return next(source[n].shape[0] for s in STEMS if (n := f"{prefix}{s}/w") in source)


def _resnet_naming(name: str, modality: str) -> str:
    """``layer2.0.norm1.running_mean`` → ``tsm_resnet_unit_1/block_0/batch_norm/mean_ema/average``."""
    audio = modality == "audio"
    if name == "stem.conv.weight":
        return f"{STEMS[audio]}/w"
    if name.startswith("norm.norm."):
        return f"batch_norm/{NORM[name.removeprefix('norm.norm.')]}"
    layer, block, part, kind = name.split(".")
    group = f"{'block_group' if audio else 'tsm_resnet_unit'}_{int(layer.removeprefix('layer')) - 1}"
    if part.startswith("norm"):
        k = int(part.removeprefix("norm")) - 1
        return f"{group}/block_{block}/batch_norm{f'_{k}' if k else ''}/{NORM[kind]}"
    conv = "shortcut_conv" if part == "shortcut" else f"conv_{int(part.removeprefix('conv')) - 1}"
    return f"{group}/block_{block}/{conv}/w"
