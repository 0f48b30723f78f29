"""The examples of docs/weights.md run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from ssl_av.cli import run
from ssl_av.methods import create_method
from ssl_av.runs.run import save_untrained

PAGE = Path(__file__).parents[2] / "docs" / "weights.md"


def test_the_examples(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = {"video": "r2plus1d_10", "video_args": {"width": 64}, "audio_args": {"width": 8}}
    save_untrained(create_method("avid", networks=small), Path("avid.ckpt"))
    assert run(["export", "avid.ckpt", "--out", "avid.safetensors"]) == 0
    names: dict[str, object] = {}
    examples = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) == 3
    exec(examples[0], names)
    assert isinstance(names["features"], torch.Tensor)
    assert names["features"].shape == (2, 512)
    exec(examples[1] + examples[2], names)
    assert names["features"].shape == (2, 64)
    assert names["about"]["settings"]["inputs"]["fps"] == 16


def test_an_export_is_loaded_without_lightning(tmp_path):
    import subprocess
    import sys

    method = create_method(
        "avid", networks={"video": "r2plus1d_10", "video_args": {"width": 4}, "audio_args": {"width": 4}}
    )
    save_untrained(method, tmp_path / "a.ckpt")
    run(["export", str(tmp_path / "a.ckpt"), "--out", str(tmp_path / "a.safetensors")])
    code = (
        "import sys, ssl_av; ssl_av.load_backbone('a.safetensors'); print('pytorch_lightning' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
