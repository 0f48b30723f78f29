"""`ssl-av fit`, `eval` and `list` as a user runs them."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from troubles import nobody_reads

from ssl_av import load_backbone, load_method


@pytest.mark.slow
def test_fit_writes_its_folder_and_can_be_resumed_and_evaluated(ssl_av, small_fit, tmp_path: Path):
    out = tmp_path / "run"
    done = ssl_av("fit", "--method", "crisscross", "--out", out, *small_fit, "--wandb", "offline")
    assert done.returncode == 0, done.stderr
    assert "linear-svm" in done.stdout
    config = yaml.safe_load((out / "config.yaml").read_text())
    assert config["method"]["inputs"]["size"] == 32
    assert config["budget"] == {"steps": 2}
    record = json.loads((out / "record.json").read_text())
    assert record["budget"]["spent"]["steps"] == 2
    assert list((out / "wandb").rglob("*.wandb"))
    with (out / "metrics.csv").open() as lines:
        assert "epoch" in next(csv.reader(lines))

    method = load_method(out / "checkpoints" / "last.ckpt")
    net = load_backbone(out / "checkpoints" / "last.ckpt", "audio")
    assert not net.training
    assert net(torch.randn(2, 1, 60, 64)).shape == (2, method.net("audio").num_features)

    again = ssl_av("fit", "--method", "crisscross", "--out", out, *small_fit)
    assert again.returncode == 2
    assert "add --resume to continue it" in again.stderr
    longer = [w if w != "steps=2" else "steps=4" for w in small_fit]
    resumed = ssl_av("fit", "--method", "crisscross", "--out", out, *longer, "--resume", first=nobody_reads)
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stderr.count("nobody reads what is printed any more; the command goes on") == 1
    assert "Traceback" not in resumed.stderr
    record = json.loads((out / "record.json").read_text())
    assert record["budget"]["spent"]["steps"] == 4
    assert record["budget"]["spent"]["samples"] == 32
    assert [step for step, _ in record["curves"]["loss"]] == [1, 2, 3, 4]

    for name in ("best", "last-1"):  # none that could stand for it
        (out / "checkpoints" / f"{name}.ckpt").unlink(missing_ok=True)
    whole = (out / "checkpoints" / "last.ckpt").read_bytes()
    (out / "checkpoints" / "last.ckpt").write_bytes(whole[: len(whole) // 2])
    cut = ssl_av("fit", "--method", "crisscross", "--out", out, *longer, "--resume")
    assert (cut.returncode, cut.stderr.count("\n")) == (2, 1), cut.stderr
    assert "last.ckpt is damaged, cut off" in cut.stderr
    (out / "checkpoints" / "last.ckpt").write_bytes(whole)

    measured = ssl_av("eval", out, "--protocols", "retrieval", "--out", tmp_path / "measured")
    assert measured.returncode == 0, measured.stderr
    result = json.loads((tmp_path / "measured" / "evaluation.json").read_text())
    assert result["results"]["retrieval"]["video"]["r1"] == record["results"]["retrieval"]["video"]["r1"]
    wrong = ssl_av("eval", out, "--protocols", "retreival")
    assert wrong.returncode == 2
    assert "did you mean retrieval" in wrong.stderr


@pytest.mark.slow
def test_fit_reads_a_config_and_options_win(ssl_av, small_fit, tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text("method: {name: avid, dim: 24, negatives: 5}\nseed: 3\ntrainer: {max_epochs: 1}\n")
    words = [w for w in small_fit if w not in ("--budget", "steps=2")]
    never = ["--evaluation.probes", "0"]
    done = ssl_av("fit", "--config", file, "--method.dim", "12", "--out", tmp_path / "run", *words, *never)
    assert done.returncode == 0, done.stderr
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert (config["method"]["dim"], config["method"]["negatives"], config["seed"]) == (12, 5, 3)
    assert config["budget"] == {"epochs": 1}
    assert json.loads((tmp_path / "run" / "record.json").read_text())["budget"]["spent"]["steps"] == 2
    file.write_text("methode: {name: avid}\n")
    wrong = ssl_av("fit", "--config", file, "--method", "avid")
    assert wrong.returncode == 2
    assert "did you mean method" in wrong.stderr


@pytest.mark.slow
def test_lists_name_everything(ssl_av):
    for what, names in {
        "methods": ["avid", "brave", "cma", "crisscross", "stica", "supervised", "random"],
        "backbones": ["r2plus1d_18", "conv9_audio", "15,379,136"],
        "protocols": ["linear-svm", "retrieval", "av-retrieval"],
        "datasets": ["synthav", "folder", "csv"],
        "suites": ["tiny"],
    }.items():
        done = ssl_av("list", what)
        assert done.returncode == 0, done.stderr
        for name in names:
            assert name in done.stdout


def test_help_and_lists_import_no_torch():
    for words in (
        ["--help"],
        ["fit", "--help"],
        ["bench", "--help"],
        ["list", "methods"],
        ["list", "datasets"],
    ):
        code = (
            "import sys\nfrom ssl_av.cli import run\n"
            f"try:\n    run({words!r})\nexcept SystemExit:\n    pass\n"
            "assert 'torch' not in sys.modules and 'pytorch_lightning' not in sys.modules"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
