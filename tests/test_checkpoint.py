"""Checkpoints come back whole or not at all, and never run code."""

from __future__ import annotations

import pickle

import pytest
import torch

from ssl_av.checkpoint import load_backbone, load_method
from ssl_av.errors import UserError
from ssl_av.methods import create_method
from ssl_av.runs.run import save_untrained

SMALL = {
    "networks": {
        "video": "r2plus1d_10", "video_args": {"width": 4}, "audio": "conv9_audio", "audio_args": {"width": 4},
    },
    "negatives": 4, "dim": 8, "hidden": 16, "num_samples": 12, "positives": 2,
}  # fmt: skip


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    method = create_method("cma", **SMALL)
    method.find_positives()
    save_untrained(method, tmp_path / "last.ckpt")
    return method, tmp_path / "last.ckpt"


def test_the_whole_method_comes_back(saved):
    method, path = saved
    loaded = load_method(path)
    assert not loaded.training
    state = loaded.state_dict()
    assert set(state) == set(method.state_dict())
    assert all(torch.equal(v, state[k]) for k, v in method.state_dict().items())
    assert torch.equal(loaded.positive_set, method.positive_set)


def test_one_backbone(saved):
    method, path = saved
    net = load_backbone(path, "audio")
    x = torch.randn(2, 1, 40, 64)
    assert torch.equal(net(x), method.eval().net("audio")(x))
    with pytest.raises(UserError, match="did you mean video"):
        load_backbone(path, "vide")


def test_a_partial_match_is_refused(saved, tmp_path):
    _, path = saved
    checkpoint = torch.load(path, weights_only=True)
    del checkpoint["state_dict"]["bank.video"]
    torch.save(checkpoint, tmp_path / "part.ckpt")
    with pytest.raises(UserError, match=r"missing \['bank.video'\]"):
        load_method(tmp_path / "part.ckpt")


def test_other_files_are_refused(tmp_path):
    with pytest.raises(UserError, match="no such checkpoint"):
        load_method(tmp_path / "none.ckpt")
    (tmp_path / "text.ckpt").write_text("hello")
    with pytest.raises(UserError, match="can be read safely"):
        load_method(tmp_path / "text.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(UserError, match="not a checkpoint of ssl-av"):
        load_method(tmp_path / "other.ckpt")


class Evil:
    def __reduce__(self):
        return (pytest.fail, ("code was executed",))


def test_no_code_is_executed(tmp_path):
    (tmp_path / "evil.ckpt").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(UserError, match="can be read safely"):
        load_method(tmp_path / "evil.ckpt")
    torch.save({"ssl_av": Evil()}, tmp_path / "evil2.ckpt")
    with pytest.raises(UserError, match="can be read safely"):
        load_method(tmp_path / "evil2.ckpt")
