"""Protocols while a method trains: by the same code, never on test, and without a trace in the training."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from trainings import PhotographSaved, Signal, logged

from ssl_av.data.manifest import Manifest
from ssl_av.errors import Interrupted, UserError
from ssl_av.evaluation.during import During, rehearsal
from ssl_av.runs.run import execute
from ssl_av.training.resume import last_checkpoint, peek


@pytest.mark.slow
def test_it_measures_every_epoch_and_leaves_the_training_as_it_is(
    clips: Manifest, config_of, undisturbed, state_of, alike, tmp_path: Path
) -> None:
    config = config_of("avid")
    config = replace(config, evaluation=replace(config.evaluation, during=("knn", "av-retrieval"), limit=8))
    record = execute(config, clips, tmp_path, callbacks=[PhotographSaved(tmp_path, tmp_path / "saved")])
    found = record["during"]
    assert [(e["step"], e["epoch"]) for e in found] == [(3, 1), (6, 2)]
    assert set(found[0]["results"]["knn"]) == {"video", "audio"}
    assert set(found[0]["results"]["av-retrieval"]["audio_to_video"]) == {"r1", "r5", "r20"}
    assert json.loads((tmp_path / "record.json").read_text())["during"] == found
    rows = [row for row in logged(tmp_path) if row["val/knn_video_top1"]]
    assert [(row["step"], row["epoch"]) for row in rows] == [("2", "0"), ("5", "1")]
    assert [float(row["val/knn_video_top1"]) for row in rows] == [
        e["results"]["knn"]["video"]["top1"] for e in found
    ]
    theirs, mine = state_of(undisturbed("avid") / "whole"), state_of(tmp_path)
    assert mine["callbacks"].pop("During")["found"] == found
    theirs["callbacks"].pop("During")
    assert alike(theirs, mine) == []
    # Killed as soon as an epoch's end was saved, it does not measure there again: the row must be there.
    (row,) = (row for row in logged(tmp_path / "saved") if row["val/knn_video_top1"])
    assert row == {k: rows[0][k] for k in row}
    # A signal at an epoch's end saves before it is measured.
    ended = tmp_path / "ended"
    with pytest.raises(Interrupted):
        execute(config, clips, ended, callbacks=[Signal(signal.SIGTERM, 2)])
    assert peek(last_checkpoint(ended)).steps == 3
    assert execute(config, clips, ended, resume=last_checkpoint(ended))["during"] == found
    assert logged(ended) == logged(tmp_path)


def test_a_rehearsal_has_no_test_sample(clips: Manifest) -> None:
    small = rehearsal(clips, 8)
    parts = {s: set(small.split(s).columns("path")["path"]) for s in ("train", "val", "test")}
    given = {s: set(clips.split(s).columns("path")["path"]) for s in ("train", "val", "test")}
    assert parts["test"] == given["val"]
    assert parts["train"] | parts["val"] < given["train"]
    assert {s: len(p) for s, p in parts.items()} == {"train": 7, "val": 1, "test": 4}
    assert np.array_equal(small.split("test").labels, clips.split("val").labels)


@pytest.mark.parametrize(
    ("name", "said"),
    [("finetune", "trains the network"), ("memory", "reads a memory"), ("kn", "did you mean knn")],
)
def test_what_cannot_measure_then_is_refused(name: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        During([name])
