"""`ssl-av bench` from the command line to the report: resume, failure isolation, skipped files, other suites."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from ssl_av.bench.records import load_records


@pytest.mark.slow
def test_bench_fails_goes_on_resumes_and_guards_its_folder(ssl_av, small_bench, tmp_path: Path):
    out = tmp_path / "suite"
    # STiCA's feature crops cannot fit this map: that run fails, the others go on
    wrong = ["--methods.stica.crops.medium_space", "[1, 9]"]
    first = ssl_av("bench", "--methods", "avid,stica", "--out", out, *small_bench, *wrong)
    assert first.returncode == 1, first.stderr
    records = {r["method"]: r for r in load_records(out)}
    assert {m: r["status"] for m, r in records.items()} == {
        "random": "completed", "avid": "completed", "stica": "failed", "supervised": "completed",
    }  # fmt: skip
    assert "a feature crop of 9 cells does not fit" in records["stica"]["error"]
    assert "stica" in first.stdout

    # one budget, one set of data for all
    spent = [r["budget"]["spent"] for r in records.values() if r["method"] in ("avid", "supervised")]
    assert [s["samples"] for s in spent] == [16, 16]
    assert len({r["data"]["hash"] for r in records.values() if r["status"] == "completed"}) == 1
    avid = records["avid"]
    assert set(avid["results"]) == {"linear-svm", "retrieval", "av-retrieval"}
    assert 0 <= avid["results"]["linear-svm"]["video"]["top1"] <= 1
    assert avid["results"]["av-retrieval"]["audio_to_video"]["chance_r1"] == pytest.approx(1 / 8)
    assert records["random"]["results"]["av-retrieval"] == {
        "skipped": "the method has no space that picture and sound share"
    }
    assert avid["cost"]["peak_memory_mb"] > 0
    assert len(avid["curves"]["loss"]) == 2
    assert avid["collapse"]["video"]["effective_rank"] >= 1
    run = out / "avid-seed0"
    assert {p.name for p in run.iterdir()} >= {"config.yaml", "checkpoints", "metrics.csv", "record.json"}
    assert yaml.safe_load((run / "config.yaml").read_text())["method"]["name"] == "avid"
    for name in ("report.html", "report.md", "suite.json"):
        assert (out / name).stat().st_size > 0
    assert list((out / "plots").glob("*.png"))

    # the same command repeats nothing that is done; with the mistake mended only STiCA runs
    before = (run / "record.json").read_bytes()
    mended = ["--methods.stica.crops.medium_space", "[1, 1]", "--methods.stica.crops.medium_time", "[1, 1]"]
    again = ssl_av("bench", "--methods", "avid,stica", "--out", out, *small_bench, *mended)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("done before") == 3
    assert (run / "record.json").read_bytes() == before
    assert {r["method"]: r["status"] for r in load_records(out)}["stica"] == "completed"

    # another budget is another suite
    other = ssl_av("bench", "--methods", "avid", "--out", out, *small_bench, "--budget", "steps=1")
    assert other.returncode == 2
    assert "belongs to another suite, which differs in budget" in other.stderr

    # a report can be written again, and a folder of something else is left alone
    (out / "report.html").unlink()
    assert ssl_av("report", out).returncode == 0
    assert (out / "report.html").is_file()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    taken = ssl_av("bench", "--methods", "avid", "--out", tmp_path / "other", *small_bench)
    assert taken.returncode == 2
    assert "holds other files" in taken.stderr


@pytest.mark.slow
def test_real_clips_with_broken_ones_among_them(ssl_av, small_bench, shared: Path, tmp_path: Path):
    """Wild videos as a folder: odd ones are counted and named, nothing crashes."""
    folder = tmp_path / "videos"
    folder.mkdir()
    names = sorted((shared / "clips" / "wild").glob("*.mp4"))[:10]
    for file in names:
        (folder / file.name).symlink_to(file)
    (folder / "broken.mp4").write_bytes(names[0].read_bytes()[:2000])
    silent = next((shared / "ucf101_mini").rglob("v_Punch_*.avi"))
    (folder / "silent.avi").symlink_to(silent)
    out = tmp_path / "suite"
    size = [w for i, w in enumerate(small_bench) if small_bench[max(i - 1, 0)] not in DATA and w not in DATA]
    done = ssl_av(
        "bench", "--methods", "cma", "--data", "folder", "--data.root", folder, "--out", out, *size,
        "--data.batch_size", "2", "--methods.cma.positives", "2", "--methods.cma.negatives", "4",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    records = {r["method"]: r for r in load_records(out)}
    assert records["supervised"]["status"] == "skipped"
    assert "no labels" in records["supervised"]["error"]
    skipped = {s["path"]: s["reason"] for s in records["cma"]["data"]["skipped"]}
    assert set(skipped) == {"broken.mp4", "silent.avi"}
    assert "audio" in skipped["silent.avi"]
    assert "broken.mp4" in done.stdout
    assert [s["name"] for s in records["cma"]["stages"]] == ["avid", "cma"]
    assert "skipped" in records["cma"]["results"]["linear-svm"]
    assert records["cma"]["results"]["av-retrieval"]["video_to_audio"]["r1"] >= 0
    assert "silent.avi" in (out / "report.md").read_text()
    assert json.loads((out / "suite.json").read_text())["methods"] == ["cma"]


#: options that only the data set synthav has
DATA = ("--data.train", "--data.val", "--data.test", "--data.batch_size")
