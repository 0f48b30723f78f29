"""Settings that make every method small enough to run in a blink, and batches for them."""

from __future__ import annotations

from typing import Any

import torch

from ssl_av.data.views import AudioView, VideoView
from ssl_av.methods.base import Method

SMALL: dict[str, Any] = {
    "inputs": {"frames": 8, "fps": 8, "size": 32, "audio_seconds": 0.5, "front_end": "small"},
    "networks": {
        "video": "r2plus1d_10", "video_args": {"width": 4, "time_strides": [1, 1, 2, 1]},
        "audio": "conv9_audio", "audio_args": {"width": 4},
    },
}  # fmt: skip

EXTRA: dict[str, dict[str, Any]] = {
    "brave": {"hidden": 16, "dim": 8, "broad_seconds": 1.0},
    "stica": {
        "crops": {"medium_space": [2, 1], "medium_time": [1, 3], "small_space": [2, 1], "small_time": [1, 2]},
        "dim": 8, "hidden": 16, "dropout": 0.0,
    },
    "crisscross": {"projector": 16, "predictor": 8},
    "avid": {"negatives": 12, "dim": 8, "hidden": 16, "num_samples": 20},
    "cma": {"negatives": 12, "dim": 8, "hidden": 16, "num_samples": 20, "positives": 3},
    "supervised": {"num_classes": 3},
    "random": {},
    "statistics": {},
}  # fmt: skip


def batch_of(method: Method, size: int = 6) -> dict[str, Any]:
    """A raw batch of a method's views, as the datamodule gives it."""
    generator = torch.Generator().manual_seed(1)
    batch: dict[str, Any] = {"index": torch.arange(size), "label": torch.arange(size) % 3, "skipped": []}
    for name, view in method.views.items():
        if isinstance(view, AudioView):
            batch[name] = torch.randn(size, view.samples, generator=generator) * 0.1
            continue
        shape = (size, 3 if isinstance(view, VideoView) else 2, view.frames, 40, 40)
        batch[name] = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        batch[f"{name}.aspect"] = torch.full((size,), 1.25)
        if not isinstance(view, VideoView):
            batch[f"{name}.step"] = torch.full((size,), 10 / 127 / 128)
    return batch
