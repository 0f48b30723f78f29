"""Made-up records: no run is behind them, and their numbers mean nothing."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Record = dict[str, Any]

PAPERS = {"brave": "BraVe", "stica": "STiCA", "crisscross": "CrissCross", "avid": "AVID", "cma": "AVID"}
LEVEL = {
    "brave": (0.312, 0.544),
    "stica": (0.281, 0.575),
    "crisscross": (0.244, 0.519),
    "avid": (0.338, 0.612),
    "cma": (0.325, 0.606),
    "random": (0.206, 0.294),
    "supervised": (0.419, 0.556),
}


def retrieval(level: float) -> dict[str, float]:
    return {"r1": 0.8 * level, "r5": min(1.0, 1.5 * level), "r20": min(1.0, 2.1 * level)}


def make(method: str, seed: int = 0, **changes: Any) -> Record:
    """A completed record; `changes` replace whole keys of it."""
    video, audio = (
        level + 0.011 * math.sin(3 * seed + index) * bool(seed) for index, level in enumerate(LEVEL[method])
    )
    steps = list(range(4, 189, 4))
    loss = [[s, 6.2 - 2.0 * (1 - math.exp(-s / 40)) + 0.15 * math.sin(1.7 * s + seed)] for s in steps]
    seen = [0, 1000, 2000, 3000, 4000, 5000, 6000]
    probes = {
        f"probe_{side}": [[n, 0.125 + (top - 0.125) * (1 - math.exp(-n / 2500))] for n in seen]
        for side, top in (("video", video), ("audio", audio))
    }
    record: Record = {
        "method": method,
        "seed": seed,
        "status": "completed",
        "error": None,
        "paper": PAPERS.get(method),
        "suite": "tiny",
        "budget": {
            "asked": {"samples": 6000},
            "spent": {"samples": 6000, "steps": 188, "clips": 12000, "seconds": 61.2 + 7 * len(method)},
        },
        "stages": None,
        "cost": {
            "train_seconds": 61.2 + 7 * len(method),
            "eval_seconds": 14.3,
            "clips_per_second": 196.1 - 9 * len(method),
            "samples_per_second": 98.0 - 4.5 * len(method),
            "data_wait_share": 0.02 * len(method),
            "peak_memory_mb": 900 + 70 * len(method),
        },
        "parameters": {"video": 1_180_000, "audio": 690_000, "total": 1_870_000},
        "data": {
            "name": "synthav",
            "hash": "9f86d081884c7d65",
            "train": 480,
            "val": 80,
            "test": 160,
            "classes": 8,
            "chance": 0.125,
            "skipped": [{"path": "train/clap_007.mp4", "reason": "no audio stream"}],
        },
        "results": {
            "linear-svm": {"video": {"top1": video}, "audio": {"top1": audio}},
            "retrieval": {"video": retrieval(video), "audio": retrieval(audio)},
            "av-retrieval": {
                side: {
                    **retrieval(video / 4),
                    "chance_r1": 1 / 160,
                    "chance_r5": 5 / 160,
                    "chance_r20": 20 / 160,
                }
                for side in ("audio_to_video", "video_to_audio")
            },
        },
        "collapse": {
            "video": {"std": 0.031 + 0.01 * video, "effective_rank": 18 + 60 * video},
            "audio": {"std": 0.029 + 0.02 * audio, "effective_rank": 11 + 70 * audio},
        },
        "settings": {
            "frames": 8,
            "size": 64,
            "optimiser": {"name": "adamw", "lr": 1e-3},
            "temperature": 0.07,
        },
        "versions": {"ssl_av": "0.1.0", "torch": "2.9.1", "lightning": "2.6.0"},
        "git": "abc1234",
        "machine": {"cpu": "made-up CPU", "cores": 2, "gpu": None, "memory_gb": 24},
        "curves": {"loss": loss, **probes},
        "started": f"2025-01-01T10:0{seed}:00",
        "finished": f"2025-01-01T10:0{seed}:59",
    }
    if method == "brave":
        record["settings"] = {**record["settings"], "temperature": None, "broad_seconds": 6.4}
    if method == "cma":
        record["stages"] = [{"name": "avid", "samples": 3000}, {"name": "cma", "samples": 3000}]
    if method == "random":
        record["cost"] = {"train_seconds": None, "eval_seconds": 13.9, "peak_memory_mb": 610}
        record["budget"] = {"asked": {"samples": 0}, "spent": {"samples": 0}}
        record["curves"] = {}
        record["settings"] = {}
    if method in ("random", "supervised"):
        record["results"]["av-retrieval"] = {"skipped": "video and audio share no space"}
    return copy.deepcopy(record) | changes


@pytest.fixture(scope="session")
def record() -> Callable[..., Record]:
    """`record(method, seed=0, **changes)` makes one record."""
    return make


@pytest.fixture
def suite_records() -> list[Record]:
    """Five methods and two references, one seed."""
    return [make(method) for method in LEVEL]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """`write(records, suite=None)` makes the folder of a suite."""

    def folder(records: list[Record], suite: Record | None = None) -> Path:
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (tmp_path / "records.jsonl").write_text(lines, encoding="utf-8")
        if suite is not None:
            (tmp_path / "suite.json").write_text(json.dumps(suite), encoding="utf-8")
        return tmp_path

    return folder
