"""What a number was measured with: versions, git revision, machine."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import torch

import ssl_av

PACKAGES = ("torch", "torchvision", "torchaudio", "timm", "pytorch-lightning", "torchmetrics", "av", "decord",
            "scikit-learn", "numpy")  # fmt: skip


@cache
def environment() -> dict[str, Any]:
    """``versions``, ``git`` (revision of the source, None for an installed wheel) and ``machine``."""
    versions = {"ssl_av": ssl_av.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    gpu = torch.cuda.is_available()
    if gpu:
        versions["cudnn"] = str(torch.backends.cudnn.version())
    machine = {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "gpu": torch.cuda.get_device_name() if gpu else None,
    }
    return {"versions": versions, "git": _revision(), "machine": machine}


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _revision() -> str | None:
    """The checkout's revision, marked ``-dirty`` where it differs from it."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=10"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
