"""A training whose reading process is killed: a line that says so, exit code 2, and a checkpoint to go on from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# The command line with a reader that kills its process when it reads a certain file for the second time.
KILLER = """
import os, pathlib, signal, sys
from ssl_av.data import datamodule
from ssl_av.data.media.pyav import PyavReader
mark = pathlib.Path(sys.argv.pop(1))
class Killer(PyavReader):
    def read(self, source, video=(), audio=()):
        if "00003" in source and "train" in source:
            if mark.exists():
                os.kill(os.getpid(), signal.SIGKILL)
            mark.touch()
        return super().read(source, video, audio)
datamodule.create_reader = lambda *_: Killer()
from ssl_av.cli import main
sys.exit(main())
"""


@pytest.mark.slow
def test_a_killed_reader_leaves_a_checkpoint_to_resume_from(ssl_av, small_fit, cache: Path, tmp_path: Path):
    out = tmp_path / "run"
    options = ["fit", "--method", "avid", "--out", out, "--data.pack", "none", "--data.num_workers", "1"]
    options += ["--method.negatives", "8"]
    options += [w if w != "steps=2" else "steps=6" for w in small_fit]
    died = subprocess.run(
        [sys.executable, "-c", KILLER, tmp_path / "mark", *map(str, options)],
        cwd=tmp_path,
        env={**os.environ, "SSL_AV_CACHE": str(cache)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert died.returncode == 2, died.stderr
    assert "a reading process died" in died.stderr
    assert "00003" in died.stderr
    assert "Traceback" not in died.stderr
    assert not (out / "record.json").exists()
    assert [p.name for p in (out / "checkpoints").iterdir()] == ["last.ckpt"]
    resumed = ssl_av(*options, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    record = json.loads((out / "record.json").read_text())
    assert record["budget"]["spent"]["steps"] == 6
    assert 0 <= record["cost"]["data_wait_share"] <= 1
    assert [step for step, _ in record["curves"]["loss"]] == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
def test_wrong_reading_options_are_refused(ssl_av, small_fit):
    refused = ssl_av("fit", "--method", "avid", *small_fit, "--data.max_bad", "2")
    assert refused.returncode == 2
    assert "max_bad is a share of the samples, between 0 and 1" in refused.stderr
    assert "Traceback" not in refused.stderr
