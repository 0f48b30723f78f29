"""ESC-50's layout with a few short sounds whose class can be heard."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

RATE = 8000


def plant_esc(root: Path, classes: int = 4, each: int = 3) -> Path:
    """Five folds of ``classes · each`` sounds of 0.5 s in noise; the first two classes are ESC-10's."""
    (root / "audio").mkdir(parents=True)
    (root / "meta").mkdir()
    rng = np.random.default_rng(0)
    lines = ["filename,fold,target,category,esc10,src_file,take"]
    for fold in range(1, 6):
        for n in range(classes * each):
            target = n % classes
            t = np.arange(RATE // 2) / RATE
            x = np.sin(2 * np.pi * (200 + 60 * target) * t) * 0.05 + rng.normal(size=len(t)) * 0.15
            name = f"{fold}-{n}-A-{target}.wav"
            with wave.open(str(root / "audio" / name), "wb") as out:
                out.setparams((1, 2, RATE, 0, "NONE", ""))
                out.writeframes((np.clip(x, -1, 1) * 32000).astype("<i2").tobytes())
            lines.append(f"{name},{fold},{target},class{target},{target < 2},x,A")
    (root / "meta" / "esc50.csv").write_text("\n".join(lines) + "\n")
    return root
