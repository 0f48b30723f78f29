"""From a data set to a method that sees its optical flow, as a user does it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

BRAVE = [
    "--method", "brave", "--method.broad", "[audio, flow]", "--method.broad_frames", "8", "--method.broad_fps", "4",
    "--method.broad_size", "32",
]  # fmt: skip


@pytest.mark.slow
def test_brave_trains_on_flow_that_was_made_before(ssl_av, small_fit, tmp_path: Path):
    pytest.importorskip("cv2.optflow", reason="OpenCV's contrib modules are not installed")
    # torch 2.14 damages its memory in the backward pass of a 1×1 convolution with stride 2, channels last and fewer
    # than 8 of them, on the CPU.
    small_fit = [*small_fit, "--method.networks.audio_args.width", "8"]
    early = ssl_av("fit", *BRAVE, "--out", tmp_path / "early", *small_fit)
    assert early.returncode == 2
    assert "there is no optical flow" in early.stderr
    assert "ssl-av data flow NAME --root DIR" in early.stderr
    assert "Traceback" not in early.stderr
    assert not (tmp_path / "early").exists()  # a run that is refused leaves nothing behind

    sizes = [w.replace("data.", "") for w in small_fit[:6]]
    made = ssl_av("data", "flow", "synthav", *sizes, "--fps", "4", "--size", "16", "--jobs", "2")
    assert made.returncode == 0, made.stderr
    assert "optical flow of 32 videos" in made.stdout
    assert "32 made, 0 there already, 0 failed" in made.stdout

    done = ssl_av("fit", *BRAVE, "--method.sync", "start", "--out", tmp_path / "run", *small_fit)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert record["budget"]["spent"]["steps"] == 2
    assert record["budget"]["spent"]["samples"] == 16
    assert record["data"]["flow"] | {"folder": ""} == {
        "folder": "",
        "fps": 4,
        "size": 16,
        "clip": 10,
        "version": 1,
    }

    shown = ssl_av("data", "show", *BRAVE, "--samples", "1", "--dpi", "40", "--out", "flow.png", *sizes)
    assert shown.returncode == 0, shown.stderr
    assert (tmp_path / "flow.png").stat().st_size > 10_000

    wrong = ssl_av("fit", *BRAVE, "--method.sync", "centre", "--out", tmp_path / "wrong", *small_fit)
    assert wrong.returncode == 2
    assert "unknown --method.sync 'centre'; did you mean center?" in wrong.stderr
