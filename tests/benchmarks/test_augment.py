"""The benchmark of augmentation runs, and compares like with like."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "augment.py"


def test_it_prints_a_ratio_for_each_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    threads = torch.get_num_threads()
    monkeypatch.setattr(sys, "argv", ["augment.py", "--quick"])
    try:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    finally:
        torch.set_num_threads(threads)
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if "cpu, quick" in line]
    assert [line[2] for line in lines] == ["avid", "crisscross", "none"]
    assert all(float(line[-4]) > 0 for line in lines)  # ratio (low to high)


def test_both_ways_see_the_same_picture() -> None:
    """Without augmentation the two differ only in how they weigh pixels when they shrink."""
    from ssl_av.transforms import VideoTransform, video_augment

    usual_way = runpy.run_path(str(SCRIPT))["usual_way"]
    smooth = torch.linspace(0, 255, 32).to(torch.uint8).expand(1, 3, 2, 32, 32)
    ours = VideoTransform(24, "none").eval()(smooth)[0]
    theirs = usual_way(video_augment("none"), 24)(smooth[0].transpose(0, 1)).transpose(0, 1)
    torch.testing.assert_close(ours, theirs, atol=0.05, rtol=0)
