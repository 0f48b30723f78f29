"""`ssl-av eval` with protocols that train: a shipped one, and one that was made smaller in a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from ssl_av.evaluation.protocols import list_protocols, load_protocol


@pytest.mark.slow
def test_eval_trains_a_copy(ssl_av, small_fit, tmp_path: Path):
    out = tmp_path / "run"
    assert ssl_av("fit", "--method", "supervised", "--out", out, *small_fit).returncode == 0
    checkpoint = (out / "checkpoints" / "last.ckpt").read_bytes()
    values = yaml.safe_load(list_protocols()["avid-finetune-ucf101-8"].read_text(encoding="utf-8"))
    values["name"] = "mine"
    values["inputs"] |= {"frames": 4, "fps": 8, "size": 32}
    values["test"]["clips"] = 2
    values["settings"] |= {"epochs": 1, "head_epochs": 1, "epoch_samples": 8, "batch_size": 4}
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(values))
    done = ssl_av("eval", out, "--protocols", f"linear-probe,finetune,{file}")
    assert done.returncode == 0, done.stderr
    record = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    assert list(record["results"]) == ["linear-probe", "finetune", "mine"]
    assert record["results"]["mine"]["video"]["steps"] == 4
    assert {"top1", "clip_top1", "top1_val"} <= set(record["results"]["finetune"]["video"])
    assert set(record["results"]["linear-probe"]) == {"video", "audio"}
    assert record["protocols"]["mine"]["hash"] == load_protocol(file).hash
    assert record["protocols"]["mine"]["hash"] != load_protocol("avid-finetune-ucf101-8").hash
    assert "clip_top1" in done.stdout
    assert (out / "checkpoints" / "last.ckpt").read_bytes() == checkpoint
    values["settings"]["epohcs"] = 2
    file.write_text(yaml.safe_dump(values))
    wrong = ssl_av("eval", out, "--protocols", file)
    assert wrong.returncode == 2
    assert "mine.yaml" in wrong.stderr
    assert "epochs" in wrong.stderr
