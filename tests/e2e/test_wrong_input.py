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
        ([*FIT, "--method.dim", "many"], "--method.*"),
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
        ([*BENCH, "--seeds", "0,x"], "give whole numbers"),
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
