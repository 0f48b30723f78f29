"""Protocols on a memory whose rows are known."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from ssl_av.errors import UserError
from ssl_av.evaluation.features import Features
from ssl_av.evaluation.kinds import KINDS, NotApplicableError, Outcome
from ssl_av.evaluation.kinds.memory import Memory, Related
from ssl_av.evaluation.protocols import load_protocol
from ssl_av.evaluation.towers import Towers, trained_hash
from ssl_av.methods import create_method

SMALL = {
    "inputs": {"frames": 2, "fps": 8, "size": 16, "audio_seconds": 0.3, "front_end": "small"},
    "networks": {
        "video": "r2plus1d_10", "video_args": {"width": 4, "pool": "avg"},
        "audio": "resnet9_audio", "audio_args": {"width": 4, "pool": "avg"},
    },
}  # fmt: skip


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def train(n: int = 120) -> Features:
    """Four classes: the picture tells the parity, the sound the half, only both tell all."""
    rng = np.random.default_rng(0)
    label = np.arange(n) % 4
    rows = {
        m: unit(np.eye(8)[x] + 0.1 * rng.normal(size=(n, 8)))
        for m, x in (("video", label % 2), ("audio", label // 2))
    }
    return Features(label, memory=rows)


def measured(name: str, features: Features, classes: int = 4, **settings: Any) -> Outcome:
    protocol = load_protocol(name)
    protocol = dataclasses.replace(protocol, settings=dataclasses.replace(protocol.settings, **settings))
    return KINDS[protocol.kind].measure({"train": features}, protocol, classes, 0)


def test_both_memories_know_what_neither_alone_does():
    found = measured("memory", train(), costs=(1.0, 10.0)).results
    assert found["audio+video"]["top1"] > 0.95
    for side in ("video", "audio"):
        assert 0.3 < found[side]["top1"] < 0.7
        each = [draw["top1"] for draw in found[side]["folds"]]
        assert len(each) == 5
        assert found[side]["top1"] == pytest.approx(np.mean(each))
        assert found[side]["std"]["top1"] == pytest.approx(np.std(each, ddof=1))


def test_rows_that_are_tested_are_not_learned_from():
    rng = np.random.default_rng(0)
    features = train(60)
    features.memory = {
        m: unit(rng.normal(size=(60, 200))) for m in ("video", "audio")
    }  # noise: learned by heart
    found = measured("memory", features, costs=(10.0,), draws=2).results
    assert found["audio+video"]["top1"] < 0.6


def test_agreement_is_more_precise_than_either_memory():
    found = measured("cma-precision", train(), ranks=(1, 8, 16, 500)).results
    assert set(found) == {"agreement", "video", "audio", "either"}
    assert set(found["agreement"]) == {"p1", "p8", "p16", "chance"}  # 500 is more than there are
    assert found["agreement"]["p16"] > 0.95
    assert found["video"]["p16"] == pytest.approx(0.5, abs=0.15)
    assert found["agreement"]["chance"] == pytest.approx(29 / 119)


@pytest.mark.parametrize("name", ["memory", "cma-precision"])
def test_without_a_memory_or_labels_there_is_a_reason(name: str):
    with pytest.raises(NotApplicableError, match="no memory of these training samples"):
        measured(name, Features(np.arange(8) % 4))
    features = train()
    features.label = np.full(120, -1)
    with pytest.raises(NotApplicableError, match="no labelled sample"):
        measured(name, features)


def test_several_labels_have_no_precision_but_a_classifier():
    features = train()
    features.label = np.eye(4, dtype=bool)[features.label]
    with pytest.raises(NotApplicableError, match="several labels"):
        measured("cma-precision", features)
    assert measured("memory", features, costs=(1.0,), draws=1).results["audio+video"]["map"] > 0.9


def test_too_few_rows_are_said():
    features = train(4)
    with pytest.raises(NotApplicableError, match="too few to divide"):
        measured("memory", Features(np.array([0, 1]), memory={m: x[:2] for m, x in features.memory.items()}))


def test_wrong_settings_are_refused():
    for wrong in ({"share": 1.0}, {"draws": 0}):
        with pytest.raises(UserError, match=r"settings\.share"):
            Memory(**wrong)
    with pytest.raises(UserError, match=r"settings\.kinds"):
        Related(kinds=("smell",))
    with pytest.raises(UserError, match=r"settings\.ranks"):
        Related(ranks=(0,))


def test_a_memory_is_that_of_the_data_that_it_was_trained_on():
    avid = create_method("avid", negatives=4, dim=8, hidden=8, num_samples=12, **SMALL)
    found = Towers(avid, trained_on="abc").memories("abc", 12)
    assert torch.equal(torch.from_numpy(found["audio"]), avid.bank.audio)
    assert Towers(avid, trained_on="abc").memories("other", 12) == {}
    assert Towers(avid, trained_on="abc").memories("abc", 13) == {}
    assert Towers(avid).memories("abc", 12) == {}
    brave = create_method("brave", hidden=8, **SMALL)
    assert Towers(brave, trained_on="abc").memories("abc", 12) == {}


def test_a_run_says_what_it_was_trained_on(tmp_path: Path):
    checkpoint = tmp_path / "checkpoints" / "last.ckpt"
    data = {"name": "synthav", "seed": 0, "train": 16, "batch_size": 8}
    assert trained_hash(checkpoint, data) == set()
    (tmp_path / "record.json").write_text('{"data": {"hash": "abc"}}')
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"data": data}))
    assert trained_hash(checkpoint, data | {"batch_size": 4}) == {"abc"}
    assert trained_hash(checkpoint, data | {"seed": 5}) == set()
    (tmp_path / "record.json").write_text('{"data": {"hash": "abc", "pack": {"manifest": "files"}}}')
    assert trained_hash(checkpoint, data) == {"abc", "files"}
    assert Towers(create_method("brave", hidden=8, **SMALL), trained_on=("abc", "files")).trained_on == {
        "abc",
        "files",
    }
    (tmp_path / "record.json").write_text("{}")
    assert trained_hash(checkpoint, data) == set()
