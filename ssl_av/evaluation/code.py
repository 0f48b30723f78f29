"""Which code made features: they are not taken from a cache that other code filled."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import torch

import ssl_av

PARTS = (
    "backbones",
    "data/datamodule.py",
    "data/media",
    "data/pack",
    "data/views",
    "evaluation/features.py",
    "evaluation/functions.py",
    "evaluation/modules.py",
    "evaluation/pooling.py",
    "evaluation/towers.py",
    "evaluation/views.py",
    "heads.py",
    "methods",
    "transforms",
)
"""What lies between a file and its features."""


@cache
def code_version() -> str:
    """Version of the package and of torch, and a hash of the source that makes features."""
    root = Path(__file__).resolve().parents[1]
    found = hashlib.sha256()
    for part in PARTS:
        path = root / part
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            found.update(file.read_bytes())
    return f"{ssl_av.__version__} torch {torch.__version__} {found.hexdigest()[:12]}"
