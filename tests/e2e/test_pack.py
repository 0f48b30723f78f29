"""`ssl-av data pack` and training from what it makes, as a user runs them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from ssl_av.cli import main

SETS = ["--train", "16", "--val", "8", "--test", "8"]


@pytest.fixture
def command(tmp_path: Path, cache: Path, monkeypatch, capsys):
    """``command("data", "pack", …)`` → (exit code, stdout, last line of stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSL_AV_CACHE", str(cache))

    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        said = capsys.readouterr()
        return ended.value.code, said.out, (said.err.strip().splitlines() or [""])[-1]

    return run


def killed(words: list[object], until: Path, cache: Path) -> None:
    """Runs a command and kills it as soon as a file is there; waits until its own processes have ended, too."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ssl_av", *map(str, words)],
        env={**os.environ, "SSL_AV_CACHE": str(cache)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not until.is_file() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.005)
    children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was done before it could be killed"
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive


@pytest.mark.slow
def test_pack_is_killed_goes_on_and_is_trained_from(command, cache, small_fit, tmp_path: Path):
    command("data", "synth", tmp_path / "synth", *SETS)
    out, run = tmp_path / "pack", tmp_path / "run"
    pack = ["data", "pack", "synthav", "--root", tmp_path / "synth", *SETS, "--out", out,
            "--form", "frames", "--size", 64, "--rate", 16_000, "--per_shard", 1]  # fmt: skip
    first = out / "shards" / "00000.arrow"
    killed([*pack, "--workers", 2], first, cache)
    made = {f.name: f.stat().st_mtime_ns for f in first.parent.glob("*.arrow")}
    assert 1 <= len(made) < 32
    code, _, said = command("fit", "--method", "avid", "--data", "pack", "--data.root", out)
    assert (code, "is not finished" in said) == (2, True)

    code, said, _ = command(*pack)
    assert code == 0
    assert "32 of 32 samples" in said
    assert "times the space" in said
    assert sorted(f.name for f in first.parent.iterdir()) == [f"{i:05d}.arrow" for i in range(32)]
    assert all((first.parent / name).stat().st_mtime_ns == date for name, date in made.items())
    code, _, said = command(*pack, "--fps", 8)
    assert code == 2
    assert "holds a pack of other fps: None, now 8.0; give another folder" in said

    fit = ["fit", "--method", "avid", "--data", "pack", "--data.root", out, "--data.batch_size", 8,
           "--method.negatives", 8, *small_fit[small_fit.index("--evaluation.clips") :]]  # fmt: skip
    code, _, said = command(*fit, "--data.decode_size", 80, "--out", tmp_path / "refused")
    assert code == 2
    assert "holds 64 pixels, view 'video' asks for --data.decode_size 80: ask for less, or pack again" in said
    code, _, said = command(*fit, "--method.inputs.front_end", "avid", "--out", tmp_path / "refused too")
    assert code == 2
    assert "holds sound at 16000 Hz" in said
    code, _, said = command(*fit, "--out", run)
    assert code == 0, said
    data = json.loads((run / "record.json").read_text())["data"]
    made_of = json.loads((out / "ssl-av-pack.json").read_text())
    assert data["pack"]["manifest"] == made_of["hash"]
    assert (data["name"], data["train"], data["pack"]["source"], data["pack"]["form"]) == (
        "pack", 16, "synthav", "frames",
    )  # fmt: skip
    code, said, _ = command("eval", run, "--protocols", "retrieval")
    assert code == 0
    assert "retrieval" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["synthav"], "required: --out"),
        (["synthaw", "--out", "p"], "unknown data set 'synthaw'; did you mean synthav"),
        (["folder", "--out", "p"], "data set 'folder' needs --data.root"),
        (["folder", "--root", "nowhere", "--out", "p"], "nowhere: no such folder"),
        (["synthav", "--out", "p", "--form", "frame"], "unknown form 'frame'; did you mean frames"),
        (["synthav", "--out", "p", "--size", "127"], "--size 127: give an even number of pixels"),
        (["synthav", "--out", "p", "--size", "big"], "invalid int value: 'big'"),
        (["synthav", "--out", "p", "--workers", "0"], "--workers 0: give at least 1"),
        (["synthav", "--out", "p", "--reader", "pyaw"], "unknown reader 'pyaw'; did you mean pyav"),
        (["synthav", "--out", "p", "--sizes", "96"], "unknown option"),
        (["pack", "--root", "p", "--out", "q"], "a pack is made from files, not from a pack"),
    ],
)
def test_mistakes(words, says, command, tmp_path: Path):
    code, _, said = command("data", "pack", *words)
    assert code == 2
    assert said.startswith("ssl-av: ")
    assert says in said
    assert not (tmp_path / "p").exists()
