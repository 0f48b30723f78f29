"""What a bench writes for W&B, read back from the offline files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import wandb_files

SECRETS = {
    "WANDB_API_KEY": "0123456789abcdef" * 2 + "fedcba98", "HF_TOKEN": "hf_made_up_of_nothing",
    "DB_PASSWORD": "made-up-word",
    "netrc": "feedc0de" * 5,
}  # fmt: skip


@pytest.mark.slow
def test_bench_offline_has_a_run_each_and_one_for_the_suite(ssl_av, small_bench, tmp_path: Path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    (home / ".netrc").write_text(f"machine api.wandb.ai\n  login user\n  password {SECRETS['netrc']}\n")
    monkeypatch.setenv("HOME", str(home))
    for name in ("WANDB_API_KEY", "HF_TOKEN", "DB_PASSWORD"):
        monkeypatch.setenv(name, SECRETS[name])
    out = tmp_path / "bench"
    words = ("bench", "--methods", "crisscross", "--out", out, *small_bench,
             "--wandb", "offline", "--wandb-project", "mine", "--wandb-tags", "a,b", "--wandb-checkpoints")  # fmt: skip
    suite = tmp_path / "suite.yaml"
    done = ssl_av(*words, "--suite", _without_supervised(suite))
    assert done.returncode == 0, done.stderr
    for name, kind in (("crisscross-seed0", "run"), ("random-seed0", "run"), (".", "suite")):
        (file,) = (out / name / "wandb").glob("offline-run-*/*.wandb")
        records = list(wandb_files.read(file))
        run = next(r.run for r in records if r.HasField("run"))
        assert (run.project, run.run_group, run.job_type) == ("mine", "small", kind)
        assert {"a", "b"} <= set(run.tags)
        assert run.run_id == json.loads((out / name / "wandb-id.json").read_text())["id"]
        found = wandb_files.summary(records)
        if kind == "suite":
            assert found["completed"] == 2
            assert found["comparison/nrows"] == 2
            continue
        record = json.loads((out / name / "record.json").read_text())
        top1 = record["results"]["linear-svm"]["video"]["top1"]
        assert found["results/linear-svm/video/top1"] == pytest.approx(top1)
        config = {
            i.key: json.loads(i.value_json) for r in records for i in (*r.config.update, *r.run.config.update)
        }
        assert config["method"]["name"] == record["method"]
        made = {key.rpartition("/")[0] for key in found if key.endswith("/_type")}
        pictures = {"figures/map", "figures/retrieval-video", "figures/retrieval-audio"}
        tables = {"embeddings/video", "embeddings/audio"}
        assert made >= pictures | tables
        assert ("figures/views" in made) == name.startswith("crisscross"), (
            "frames and spectrograms as it trains on them"
        )
        (table,) = file.parent.glob("files/media/table/embeddings/video_*.json")
        held = json.loads(table.read_text())
        assert held["columns"][:3] == ["sample", "class", "D1"]
        assert len(held["data"]) == found["embeddings/video/nrows"] > 0
        kept = [r.artifact for r in records if r.HasField("artifact") and r.artifact.type == "model"]
        assert [c.path for a in kept for c in a.manifest.contents] == ["last.ckpt"]
        if name.startswith("crisscross"):
            assert found["loss"] == pytest.approx(record["curves"]["loss"][-1][1], rel=1e-5)
    files = [p for p in tmp_path.rglob("*") if p.is_file() and home not in p.parents]
    assert len(files) > 30
    for where, data in [(p, p.read_bytes()) for p in files] + [
        ("said", (done.stdout + done.stderr).encode())
    ]:
        assert not [name for name, secret in SECRETS.items() if secret.encode() in data], where


def _without_supervised(path: Path) -> Path:
    import yaml

    from ssl_av.options import config_file

    values = yaml.safe_load(config_file("suites", "tiny").read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump(values | {"name": "small", "references": ["random"], "jobs": 1}))
    return path
