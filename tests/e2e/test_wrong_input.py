"""Each mistake gets one clear line and exit code 2, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssl_av.cli import main

FIT = ["fit", "--method", "avid"]
BENCH = ["bench", "--methods", "avid"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["bech"], "did you mean bench"),
        (["list", "method"], "did you mean methods"),
        (["fit"], "fit needs --method"),
        (["bench"], "bench needs --methods"),
        (["fit", "--method", "brav"], "unknown method 'brav'; did you mean brave"),
        (["fit", "--method", "random"], "nothing to fit"),
        (["bench", "--methods", "avid,cms"], "unknown method 'cms'; did you mean cma"),
        ([*FIT, "--mehtod.dim", "3"], "unknown option group 'mehtod'; did you mean method"),
        ([*FIT, "--budgett", "samples=3"], "unknown option '--budgett'; did you mean --budget"),
        ([*FIT, "--method.dimm", "3"], "unknown option '--method.dimm'; did you mean --method.dim"),
        ([*FIT, "--method.dim"], "option --method.dim needs a value"),
        ([*FIT, "--method.dim", "many"], "--method.dim many: expected int"),
        ([*FIT, "--method.optim", "adam"], "--method.optim is a group of settings"),
        ([*FIT, "--method.inputs.frames", "0"], "inputs.frames must be above 0"),
        ([*FIT, "--method.inputs.fps", "0"], "inputs.fps must be above 0"),
        ([*FIT, "--method.inputs.size", "3"], "inputs.size must be at least 8 pixels, got 3"),
        ([*FIT, "--method.inputs.audio_seconds", "0.001"], "needs at least 0.0"),
        ([*FIT, "--method.inputs.crop_area", "[0.5, 2]"], "crop_area is (low, high) within 0 … 1"),
        ([*FIT, "--seed", "-1"], "--seed -1: give whole numbers from 0 to 4294967295"),
        ([*FIT, "--trainer.max_steps", "null", "--budget", "samples=3"], "less than one batch"),
        ([*FIT, "--trainer.accelerator", "abacus"], "--trainer.*: You selected an invalid accelerator"),
        ([*FIT, "--trainer.precision", "17"], "--trainer.precision 17: expected [one of [64, 32, 16]"),
        ([*FIT, "--out", __file__], "is a file; give a folder"),
        ([*FIT, "--out", f"{__file__}/x"], "cannot be written"),
        ([*FIT, "--data", "folder", "--data.root", ""], "--data.root"),
        ([*FIT, "--method.networks.video", "r2plus1d_17"], "unknown backbone 'r2plus1d_17'; did you mean"),
        ([*FIT, "--method.inputs.front_end", "advi"], "did you mean avid"),
        ([*FIT, "--trainer.max_epoch", "1"], "did you mean --trainer.max_epochs"),
        ([*FIT, "--data", "foldr"], "unknown data set 'foldr'; did you mean folder"),
        ([*FIT, "--data", "folder"], "data set 'folder' needs --data.root"),
        ([*FIT, "--data", "folder", "--data.root", "nowhere"], "nowhere: no such folder"),
        ([*FIT, "--data", "csv", "--data.file", "nowhere.csv"], "nowhere.csv: no such file"),
        ([*FIT, "--data.batch_siz", "4"], "did you mean --data.batch_size"),
        ([*FIT, "--data.reader", "pyaw"], "unknown reader 'pyaw'; did you mean pyav"),
        ([*FIT, "--budget", "samples=0"], "trains nothing"),
        ([*FIT, "--budget", "samples=3"], "less than one batch"),
        ([*FIT, "--budget", "sample=30"], "unknown budget unit 'sample'; did you mean samples"),
        ([*FIT, "--budget", "samples=many"], "not a whole number"),
        ([*FIT, "--config", "nowhere.yaml"], "nowhere.yaml: no such file"),
        ([*FIT, "--resume"], "--resume: there is no"),
        ([*BENCH, "--suite", "tinny"], "unknown suite 'tinny'; did you mean tiny"),
        ([*BENCH, "--suite", "mine.yaml"], "mine.yaml: no such file"),
        (["bench", "--methods", "avid,avid"], "--methods avid,avid: names avid twice"),
        ([*BENCH, "--seeds", "0,x"], "give whole numbers"),
        ([*BENCH, "--seeds", "0,0"], "--seeds 0,0: gives a seed twice"),
        ([*BENCH, "--seeds", "0,-1"], "--seeds -1: give whole numbers from 0"),
        ([*BENCH, "--seeds", ","], "--seeds: give at least one seed"),
        ([*BENCH, "--methods.avid", "adam"], "--methods.avid is a group of settings"),
        ([*BENCH, "--inputs.size", "0"], "inputs.size must be at least 8 pixels"),
        ([*BENCH, "--out", "/proc/nowhere"], "--out /proc/nowhere: cannot be written"),
        ([*BENCH, "--evaluation.protocols", "linear-svm,retrieva"], "did you mean retrieval"),
        ([*BENCH, "--evaluation.probes", "-1"], "evaluation.probes must not be negative"),
        ([*BENCH, "--budget", "steps=0"], "trains nothing"),
        ([*BENCH, "--evaluation.protocols", "[linear-smv]"], "did you mean linear-svm"),
        (["eval", "nowhere.ckpt"], "nowhere.ckpt: no such checkpoint"),
        (["report", "nowhere"], "nowhere: no such folder"),
    ],
)
def test_one_line_and_exit_code_2(words, says, tmp_path: Path, cache: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSL_AV_CACHE", str(cache))
    if words[0] in ("fit", "bench") and "--data" not in words and len(words) > 1:
        words = [*words, "--data.train", "16", "--data.val", "8", "--data.test", "8"]
    with pytest.raises(SystemExit) as ended:
        main(words)
    lines = capsys.readouterr().err.strip().splitlines()
    assert ended.value.code == 2
    assert lines[-1].startswith("ssl-av: ")
    assert says in lines[-1]
    assert not (tmp_path / "runs").exists() or not any((tmp_path / "runs").rglob("*.ckpt"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([*FIT, "--method.optim.lr", "-0.1"], "optim.lr must be above 0, got -0.1"),
        ([*FIT, "--method.optim.name", "adm"], "unknown optimizer 'adm'; did you mean adam"),
        ([*FIT, "--method.optim.schedule", "cosin"], "unknown schedule 'cosin'; did you mean cosine"),
        (
            [*FIT, "--method.optim.warmup", "3 epoks"],
            "unknown unit in optim.warmup 'epoks'; did you mean epochs",
        ),
        ([*FIT, "--method.optim.lr", "-1", "--dry-run"], "optim.lr must be above 0, got -1.0"),
        (
            [*BENCH, "--methods.avid.optim.weight_decay", "-1"],
            "optim.weight_decay must be at least 0, got -1.0",
        ),
        ([*BENCH, "--methods.supervised.optim.name", "adm"], "unknown optimizer 'adm'; did you mean adam"),
        ([*FIT, "--data.num_workers", "-5"], "num_workers must be at least 0, or -1 for half"),
        ([*BENCH, "--data.num_workers", "-2"], "num_workers must be at least 0, or -1 for half"),
        ([*FIT, "--method.name", "brave"], "--method avid and --method.name brave name two; give one"),
        ([*FIT, "--data", "synthav", "--data.name", "csv"], "--data synthav and --data.name csv name two"),
        ([*BENCH, "--data", "synthav", "--data.name", "csv"], "--data synthav and --data.name csv name two"),
        (["fit", "--method.name", "brav"], "unknown method 'brav'; did you mean brave"),
        (["fit", "--method.name", "3"], "unknown method '3'"),
    ],
)
def test_told_before_any_data_are_prepared(words, says, refused):
    refused(words, says)


@pytest.mark.slow
def test_folders_without_anything_to_read(ssl_av, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "a.mp4").write_bytes(b"")
    (broken / "b.mp4").write_bytes(b"not a video" * 100)
    done = ssl_av(*FIT, "--data", "folder", "--data.root", "empty")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    done = ssl_av(*BENCH, "--data", "folder", "--data.root", "broken")
    assert done.returncode == 2
    line = done.stderr.strip().splitlines()[-1]
    assert "none of the 2 files" in line
    assert "a.mp4" in line


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("method: avid", "'method' is a group of settings"),
        ("data: folder", "'data' is a group of settings"),
        ("trainer: 3", "'trainer' is a group of settings"),
        ("evaluation: [linear-svm]", "'evaluation' is a group of settings"),
        ("budget: 20", "budget is UNIT=NUMBER"),
        ("budget: {samples: few}", "--budget.samples few: expected"),
        ("seed: first", "--seed first: give whole numbers"),
        ("- 1", "expected a mapping"),
        ("a: [", "not valid YAML"),
        ("bugdet: 3", "did you mean budget"),
    ],
)
def test_config_files(text: str, says: str, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(text)
    with pytest.raises(SystemExit) as ended:
        main([*FIT, "--config", "mine.yaml", "--data.train", "16"])
    assert (ended.value.code, says in capsys.readouterr().err) == (2, True)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("data: synthav", "'data' is a group of settings"),
        ("seeds: 3", "seeds is a list, got 3"),
        ("seeds: [0, 0]", "seeds 0,0: gives a seed twice"),
        ("references: random", "references is a list, got 'random'"),
        ("methods: [avid]", "'methods' is a group of settings"),
        ("evaluation: {protocols: linear-smv}", "did you mean linear-svm"),
        ("evaluation: {clips: many}", "--evaluation.clips many: expected int"),
    ],
)
def test_suite_files(text: str, says: str, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rest = "" if text.startswith("data") else "\ndata: {name: synthav}"
    Path("mine.yaml").write_text(f"name: mine\nbudget: {{samples: 64}}\n{text}{rest}\n")
    with pytest.raises(SystemExit) as ended:
        main([*BENCH, "--suite", "mine.yaml"])
    said = capsys.readouterr().err
    assert (ended.value.code, says in said) == (2, True), said
    assert not Path("runs").exists()
