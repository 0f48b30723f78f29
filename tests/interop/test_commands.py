"""`ssl-av import` and `ssl-av export` as a user types them."""

from __future__ import annotations

import errno
import os

import pytest
import torch
from safetensors import safe_open
from tiny_esc import plant_esc

from ssl_av import load_backbone, load_method
from ssl_av.cli import run
from ssl_av.errors import UserError
from ssl_av.evaluation import load_embeddings
from ssl_av.evaluation.export import FORMATS
from ssl_av.interop.commands import LAYOUTS, TABLES
from ssl_av.interop.official import LAYOUTS as READ
from ssl_av.methods import create_method
from ssl_av.runs.run import save_untrained

SMALL = {
    "networks": {
        "video": "r2plus1d_10", "video_args": {"width": 4}, "audio": "conv9_audio", "audio_args": {"width": 4},
    },
    "inputs": {"frames": 8, "size": 32},
}  # fmt: skip
MEMORY = {"negatives": 4, "dim": 8, "hidden": 16, "num_samples": 12}
X = {"video": torch.randn(2, 3, 8, 32, 32), "audio": torch.randn(2, 1, 50, 65)}


@pytest.fixture
def ours(tmp_path):
    """A checkpoint of ours, with norms that have seen something."""
    method = create_method("avid", **SMALL, **MEMORY)
    for m, x in X.items():
        method.backbones[m].train()(x)
    save_untrained(method, tmp_path / "last.ckpt")
    return method.eval(), tmp_path / "last.ckpt"


@pytest.fixture
def theirs(ours, tmp_path):
    """A bare backbone, which only CrissCross released: the same network under official names."""
    method, _ = ours
    from ssl_av.interop.avid import r2plus1d_naming

    state = method.backbones["video"].state_dict()
    state = {r2plus1d_naming(k, {}, ""): v for k, v in state.items()}
    torch.save(state, tmp_path / "vid.pth.tar")
    return tmp_path / "vid.pth.tar"


def go(*words):
    return run([str(w) for w in words])


def test_the_names_of_the_layouts_are_those_that_are_read():
    assert tuple(READ) == LAYOUTS
    assert FORMATS == TABLES


def test_import_then_export_then_load(theirs, tmp_path, capsys):
    ckpt, exported = tmp_path / "in.ckpt", tmp_path / "out.safetensors"
    assert go("import", theirs, "--from", "crisscross", "--out", ckpt) == 0
    assert "video: r2plus1d_10(width=4, pool=avg)" in capsys.readouterr().out
    assert go("export", ckpt, "--out", exported) == 0
    nets = [load_backbone(f, "video") for f in (theirs, ckpt, exported)]
    out = [net(X["video"]) for net in nets]
    assert torch.equal(out[0], out[1])
    assert torch.equal(out[0], out[2])
    method = load_method(exported)
    assert method.name == "backbones"
    assert method.origin["layout"] == "crisscross"


def test_export_of_ours(ours, tmp_path):
    method, path = ours
    both, audio = tmp_path / "both.safetensors", tmp_path / "audio.safetensors"
    assert go("export", path, "--out", both) == 0
    assert go("export", path, "--out", audio, "--modality", "audio") == 0
    for m, x in X.items():
        assert torch.equal(load_backbone(both, m)(x), method.net(m)(x))
        assert load_backbone(both, m).training is False
    assert torch.equal(load_backbone(audio, "audio")(X["audio"]), method.net("audio")(X["audio"]))
    with pytest.raises(UserError, match="has no video backbone, only audio"):
        load_backbone(audio, "video")
    with pytest.raises(UserError, match="has no video backbone, only audio"):
        go("export", audio, "--out", tmp_path / "x.safetensors", "--modality", "both")
    with safe_open(both, framework="pt") as file:
        assert "video.conv1.0.weight" in file.keys()  # noqa: SIM118
    assert load_method(both).inputs.augment == "avid"  # what its frames are normalised by


def test_export_of_embeddings(ours, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SSL_AV_CACHE", str(tmp_path / "cache"))
    esc, out = plant_esc(tmp_path / "esc", classes=2, each=1), tmp_path / "esc.npz"
    data = ("--data", "esc50", "--data.root", esc, "--data.num_workers", 0)
    assert go("export", ours[1], "--out", out, *data, "--evaluation.clips", 1) == 0
    assert "audio: 10 samples, 32 numbers" in " ".join(capsys.readouterr().out.split())
    table = load_embeddings(out)
    assert (len(table), list(table.vectors), table.about["clips"]) == (10, ["audio"], 1)
    with pytest.raises(UserError, match="weights are of no data"):
        go("export", ours[1], "--out", tmp_path / "x.safetensors", *data)
    with pytest.raises(UserError, match=r"did you mean --evaluation\.clips"):
        go("export", ours[1], "--out", tmp_path / "x.npz", "--evaluation.clip", 1)
    with pytest.raises(UserError, match=r"--data: name the data set; .*last\.ckpt lies in no run's folder"):
        go("export", ours[1], "--out", tmp_path / "x.npz")
    with pytest.raises(UserError, match=r"--out .*last\.ckpt: is a file"):  # before features are made
        go("export", ours[1], "--out", ours[1] / "x.npz", *data)


def test_nothing_is_overwritten_unasked(theirs, tmp_path):
    out = tmp_path / "there.ckpt"
    out.write_text("precious")
    words = ("import", theirs, "--from", "crisscross", "--out", out)
    with pytest.raises(UserError, match="exists already; add --overwrite"):
        go(*words)
    assert out.read_text() == "precious"
    assert go(*words, "--overwrite") == 0
    assert load_method(out).name == "backbones"


def test_mistakes_are_one_line(ours, theirs, tmp_path):
    out = tmp_path / "out.ckpt"
    cases = {
        ("import", theirs, "--from", "avid", "--out", out): "looks like 'crisscross': use --from crisscross",
        ("import", theirs, "--from", "avit", "--out", out): "did you mean avid",
        ("import", theirs, "--out", out): "--from",
        ("import", tmp_path / "none", "--from", "avid", "--out", out): "no such file",
        ("import", ours[1], "--from", "avid", "--out", out): "is a checkpoint of ours already",
        ("import", theirs, "--from", "crisscross", "--out", tmp_path): "is a folder",
        ("import", theirs, "--from", "crisscross", "--out", tmp_path / "a.safetensors"): "ssl-av export",
        ("export", ours[1], "--out", out): "ends in .safetensors",
        ("export", ours[1], "--out", out, "--modality", "vidio"): "did you mean video",
        ("export", tmp_path / "none", "--out", tmp_path / "a.safetensors"): "no such checkpoint",
    }
    for words, message in cases.items():
        with pytest.raises(UserError, match=message) as e:
            go(*words)
        assert "\n" not in str(e.value)
    assert not out.exists()


def test_a_safetensors_file_of_another_program(tmp_path):
    from safetensors.torch import save_file

    save_file({"a": torch.ones(2)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match="not one that `ssl-av export` wrote"):
        load_backbone(tmp_path / "other.safetensors")


def test_a_disk_without_room_is_one_line(theirs, tmp_path, monkeypatch):
    ckpt = tmp_path / "in.ckpt"
    assert go("import", theirs, "--from", "crisscross", "--out", ckpt) == 0

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    imported = ("import", theirs, "--from", "crisscross", "--out", tmp_path / "new.ckpt")
    for words in (imported, ("export", ckpt, "--out", tmp_path / "new.safetensors")):
        with pytest.raises(UserError, match=r"cannot be written \(No space left on device\)"):
            go(*words)
        assert not list(tmp_path.glob("new*"))
