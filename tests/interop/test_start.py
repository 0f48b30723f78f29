"""`fit --init`: what is loaded, what is left, what is refused."""

from __future__ import annotations

import json

import pytest
import torch
import yaml

from ssl_av import load_method
from ssl_av.checkpoint import Saved, read, write
from ssl_av.errors import UserError
from ssl_av.interop.export import backbones_of, write_export
from ssl_av.interop.start import describe, initialise
from ssl_av.methods import create_method
from ssl_av.runs.run import save_untrained

NETWORKS = {
    "video": "r2plus1d_10", "video_args": {"width": 4}, "audio": "conv9_audio", "audio_args": {"width": 4}
}  # fmt: skip
MEMORY = {"negatives": 4, "dim": 8, "hidden": 16, "num_samples": 12}


def make(name, **kw):
    return create_method(name, networks=NETWORKS, **kw)


@pytest.fixture
def avid(tmp_path):
    torch.manual_seed(1)
    method = make("avid", **MEMORY)
    method.partition.fill_(2.2)
    save_untrained(method, tmp_path / "avid.ckpt")
    return method, str(tmp_path / "avid.ckpt")


def same(a, b, part):
    mine, theirs = (
        {k: v for k, v in m.state_dict().items() if f"{k}.".startswith(f"{part}.")} for m in (a, b)
    )
    assert mine
    return all(torch.equal(v, theirs[k]) for k, v in mine.items())


def test_the_same_method_takes_everything(avid):
    source, path = avid
    method = make("avid", **MEMORY)
    done = initialise(method, path)
    assert all(torch.equal(v, source.state_dict()[k]) for k, v in method.state_dict().items())
    assert done["initial"] == []
    assert "bank.video" in done["loaded"]


def test_cma_goes_on_from_avid(avid):
    source, path = avid
    method = make("cma", **MEMORY, positives=2, avid_share=0.0)
    done = initialise(method, path)
    for part in ("backbones", "projectors", "bank", "partition"):
        assert same(method, source, part)
    assert done["initial"] == ["positive_set", "renewed_at"]
    assert int(method.positive_set.max()) == -1  # taken from the bank at the first step


def test_another_method_takes_the_backbones(avid):
    source, path = avid
    for name, kw in (("crisscross", {"projector": 16, "predictor": 8}), ("brave", {"hidden": 16, "dim": 8})):
        method = make(name, **kw)
        before = {k: v.clone() for k, v in method.state_dict().items()}
        done = initialise(method, path)
        assert done["loaded"] == ["backbones.video", "backbones.audio"]
        assert same(method, source, "backbones")
        rest = [
            k for k in before if not k.startswith(("backbones.", "broad_backbones.")) and k.endswith("weight")
        ]
        assert rest
        assert all(torch.equal(before[k], method.state_dict()[k]) for k in rest)
        assert "left at their initial values: " + ", ".join(done["initial"]) in describe(done)[1]
        assert not any("backbone" in part for part in done["initial"])
        assert "projectors.video" in done["unused"]


def test_parts(avid):
    source, path = avid
    method = make("avid", **MEMORY | {"num_samples": 30})
    with pytest.raises(
        UserError, match=r"bank.video is \[12, 8\] there and \[30, 8\] here.*--init-parts networks"
    ):
        initialise(method, path)
    done = initialise(method, path, "networks")
    assert same(method, source, "projectors")
    assert done["initial"] == ["partition", "bank.video", "bank.audio"]
    method = make("avid", **MEMORY | {"hidden": 24})
    with pytest.raises(UserError, match="--init-parts backbones leaves the heads"):
        initialise(method, path)
    initialise(method, path, "backbones")
    assert same(method, source, "backbones")


def test_another_network_is_refused_and_nothing_is_copied(avid):
    _, path = avid
    other = create_method("avid", networks=NETWORKS | {"video": "r2plus1d_18"}, **MEMORY)
    before = other.state_dict()["backbones.audio.conv1.0.weight"].clone()
    with pytest.raises(
        UserError, match=r"absent there and \[4.*backbone is --method\.networks\.video r2plus1d_10"
    ):
        initialise(other, path)
    assert torch.equal(before, other.state_dict()["backbones.audio.conv1.0.weight"])
    other = create_method("avid", networks=NETWORKS | {"audio": "resnet9_audio"}, **MEMORY)
    with pytest.raises(UserError, match=r"its audio backbone is --method\.networks\.audio conv9_audio"):
        initialise(other, path)  # not one name in common
    wide = create_method("avid", networks=NETWORKS | {"audio_args": {"width": 8}}, **MEMORY)
    with pytest.raises(UserError, match=r"its audio backbone is --method\.networks\.audio conv9_audio"):
        initialise(wide, path)


def test_one_exported_backbone(avid, tmp_path):
    source, path = avid
    write_export(backbones_of(read(path), ["audio"], "avid.ckpt"), tmp_path / "audio.safetensors")
    method = make("avid", **MEMORY)
    done = initialise(method, str(tmp_path / "audio.safetensors"))
    assert done["loaded"] == ["backbones.audio"]
    assert "backbones.video" in done["initial"]
    assert same(method, source, "backbones.audio")
    assert not same(method, source, "backbones.video")


def test_random_numbers_are_the_same_with_and_without(avid):
    _, path = avid
    method = make("avid", **MEMORY)
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    initialise(method, path)
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.slow
def test_a_run_begins_with_the_weights_and_records_it(avid, tmp_path, monkeypatch, capsys):
    """From the command line, with a rate of next to nothing: what comes out is what went in."""
    from ssl_av.cli import run

    monkeypatch.setenv("SSL_AV_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    source, path = avid
    saved = read(path)
    write(Saved(saved.method, saved.settings, saved.state), tmp_path / "copy.ckpt")
    words = [
        "fit", "--method", "avid", "--init", "copy.ckpt", "--init-parts", "networks", "--out", "out",
        "--budget", "steps=1", "--data.train", "8", "--data.val", "4", "--data.test", "4",
        "--data.batch_size", "4", "--data.num_workers", "0", "--evaluation.protocols", "[]", "--evaluation.probes", "0",
        "--method.networks.video", "r2plus1d_10", "--method.networks.video_args",
        "{width: 4, stem: [3, 7, 7]}", "--method.networks.audio", "conv9_audio",
        "--method.networks.audio_args", "{width: 4}",
        "--method.dim", "8", "--method.hidden", "16",
        "--method.head_norm", "false", "--method.negatives", "4", "--method.inputs.size", "32",
        "--method.optim.lr", "1e-12",
    ]  # fmt: skip
    assert run(words) == 0
    assert "init: backbones.video, backbones.audio, projectors.video" in capsys.readouterr().out
    trained = load_method(tmp_path / "out")
    for m in ("video", "audio"):
        for k, v in source.net(m).named_parameters():
            torch.testing.assert_close(v, trained.net(m).get_parameter(k), atol=1e-9, rtol=0)
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert record["init"]["initial"] == ["partition", "bank.video", "bank.audio"]
    config = yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())
    assert config["init"] == {"file": str(tmp_path / "copy.ckpt"), "parts": "networks"}
    with pytest.raises(UserError, match=r"--init none\.ckpt: no such file"):
        run(["fit", "--method", "avid", "--init", "none.ckpt"])
    with pytest.raises(UserError, match="--init-parts says what of --init FILE"):
        run(["fit", "--method", "avid", "--init-parts", "networks"])
