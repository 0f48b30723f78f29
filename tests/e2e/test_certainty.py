"""What `ssl-av fit` and `eval` keep of their predictions, features and memories."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest


@pytest.mark.slow
def test_fit_and_eval_keep_intervals_predictions_figures_and_memories(ssl_av, small_fit, tmp_path: Path):
    out = tmp_path / "run"
    words = [*small_fit, "--method.negatives", "4", "--evaluation.figures", "true"]
    asked = "linear-svm,retrieval,av-retrieval,memory,cma-precision"
    done = ssl_av("fit", "--method", "avid", "--out", out, *words, "--evaluation.protocols", f"[{asked}]")
    assert done.returncode == 0, done.stderr
    record = json.loads((out / "record.json").read_text())
    svm = record["results"]["linear-svm"]["video"]
    assert svm["interval"]["metric"] == "top1"
    assert 0 <= svm["interval"]["low"] <= svm["top1"] <= svm["interval"]["high"] <= 1
    assert len(svm["by_class"]) == 8
    assert "95 % interval, percentile bootstrap over 8 samples, 2000 draws, seed 0" in done.stdout
    with np.load(out / "predictions" / "linear-svm.npz") as kept:
        right = kept["video.0.predicted"] == kept["video.0.truth"]
        assert right.mean() == pytest.approx(svm["top1"])
        assert kept["video.0.index"].tolist() == list(range(8))
    assert set(record["results"]["memory"]) == {"video", "audio", "audio+video"}
    assert set(record["results"]["cma-precision"]["agreement"]) == {"p1", "p2", "p4", "p8", "chance"}
    assert set(record["diagnostics"]) == {
        "video", "audio", "video_to_audio", "audio_to_video", "memory_video", "memory_audio",
    }  # fmt: skip
    assert sorted(record["figures"]) == [
        "agreement.png", "map.png", "retrieval-audio.png", "retrieval-video.png", "saliency.png", "views.png",
    ]  # fmt: skip
    assert all((out / "figures" / name).is_file() for name in record["figures"])

    again = ssl_av("eval", out, "--protocols", "linear-svm,knn,memory", "--out", tmp_path / "measured")
    assert again.returncode == 0, again.stderr
    found = json.loads((tmp_path / "measured" / "evaluation.json").read_text())
    assert found["results"]["linear-svm"] == record["results"]["linear-svm"]
    assert found["results"]["memory"] == record["results"]["memory"]
    assert found["diagnostics"]["video"] == pytest.approx(record["diagnostics"]["video"])
    assert (tmp_path / "measured" / "figures" / "confusion-knn-audio.png").is_file()
    assert (tmp_path / "measured" / "predictions" / "knn.npz").is_file()

    before = (out / "predictions" / "linear-svm.npz").read_bytes()
    there = ssl_av("eval", out, "--protocols", "linear-svm", "--evaluation.clips", "1")
    assert there.returncode == 0, there.stderr
    assert (out / "predictions" / "linear-svm.npz").read_bytes() == before
    assert (out / "evaluation" / "predictions" / "linear-svm.npz").is_file()
