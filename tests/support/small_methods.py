"""Settings that make every method small enough to run in a blink."""

from __future__ import annotations

from typing import Any

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
