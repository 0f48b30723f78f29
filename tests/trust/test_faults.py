"""What a machine or a loss that fails leaves behind: a clear line and a checkpoint to go on from."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from ssl_av.data.manifest import Manifest
from ssl_av.errors import UserError
from ssl_av.evaluation.callbacks import Collapse
from ssl_av.methods.base import Method
from ssl_av.runs.run import execute
from ssl_av.training.faults import machine_explained
from ssl_av.training.resume import is_whole, last_checkpoint, peek
from ssl_av.training.saving import write_checkpoint


@pytest.fixture
def spoil(monkeypatch: pytest.MonkeyPatch):
    """``spoil({3, 4})``: NaN in the sound of the batches with these numbers."""

    def make(batches: set[int]) -> None:
        transform, count = Method.transform_batch, iter(range(10**6))

        def spoiled(self: Method, batch: dict[str, Any]) -> dict[str, Any]:
            out = transform(self, batch)
            if self.training and next(count) in batches:
                out["audio"][1, 0, 0, 0] = torch.nan
            return out

        monkeypatch.setattr(Method, "transform_batch", spoiled)

    return make


def test_nan_stops_and_names_the_samples_and_the_checkpoint(
    clips: Manifest, config_of, spoil, tmp_path: Path
) -> None:
    spoil({4})
    with pytest.raises(
        UserError,
        match=r"avid is nan at step 4: view 'audio' holds NaN .* rows \[\d+\] of the manifest\. "
        r"--safety.on_nonfinite skip .*; the last good checkpoint is .*last\.ckpt",
    ):
        execute(config_of("avid", probes=0), clips, tmp_path)
    assert peek(last_checkpoint(tmp_path))[0] == 4


def test_nan_is_passed_over_and_counted(clips: Manifest, config_of, spoil, tmp_path: Path) -> None:
    spoil({1, 4})
    record = execute(config_of("avid", on_nonfinite="skip", probes=0), clips, tmp_path)
    assert record["health"]["skipped_batches"] == 2
    assert [step for step, _ in record["curves"]["loss"]] == [1, 3, 4, 6]
    state = torch.load(last_checkpoint(tmp_path), weights_only=True)["state_dict"]
    assert all(bool(torch.isfinite(x).all()) for x in state.values())


def test_nothing_but_nan_ends_the_training_after_all(
    clips: Manifest, config_of, spoil, monkeypatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("ssl_av.training.nonfinite.IN_A_ROW", 2)
    spoil({1, 2, 3, 4, 5})
    with pytest.raises(
        UserError, match="2 batches before this one were passed over; the last good checkpoint"
    ):
        execute(config_of("avid", on_nonfinite="skip", probes=0), clips, tmp_path)


@pytest.mark.parametrize(
    ("safety", "says"),
    [
        ({}, "^weight"),
        # not before the next batch has NaN as its loss, which it is not to blame for
        (
            {"on_nonfinite": "skip", "checkpoint_every": "steps=50"},
            "^the loss of supervised is nan at step 4: weight",
        ),
    ],
)
def test_weights_that_are_not_finite_are_not_saved(
    safety: dict[str, str], says: str, clips: Manifest, config_of, monkeypatch, tmp_path: Path
) -> None:
    def ruin(self: Method) -> None:
        if self.trainer.global_step == 3:
            next(self.parameters()).data[0] = torch.inf

    monkeypatch.setattr(Method, "on_before_zero_grad", lambda self, optimizer: ruin(self))
    with pytest.raises(
        UserError, match=rf"{says} .* is not finite after step 4.*the last good checkpoint is"
    ) as ended:
        execute(config_of("supervised", probes=0, **safety), clips, tmp_path)
    assert "a lower --method.optim.lr" in str(ended.value)
    assert "on_nonfinite" not in str(ended.value), "no batch is to blame"
    assert "passed over" not in str(ended.value)
    assert peek(last_checkpoint(tmp_path))[0] == 3


def measured(collapse: Collapse, alike: tuple[int, ...]) -> None:
    """Four measurements; at these steps all embeddings are alike."""
    for step in (20, 40, 60, 80):
        collapse.recent = {"video": torch.ones(64, 8) if step in alike else torch.randn(64, 8)}
        for name, found in collapse.measure().items():
            collapse.judge(step, name, found)


def test_collapse_is_told_once_and_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    collapse = Collapse()
    measured(collapse, (20, 40, 60, 80))
    assert [f["step"] for f in collapse.found] == [60]
    assert capsys.readouterr().err.count("'video' have collapsed at step 60 (std 0, effective rank 1,") == 1
    passing = Collapse()
    measured(passing, (20, 40, 80))
    assert passing.found == []
    assert capsys.readouterr().err == ""


def test_collapse_stops_where_it_is_to() -> None:
    with pytest.raises(UserError, match="the embeddings 'video' have collapsed at step 60"):
        measured(Collapse(stop=True), (20, 40, 60, 80))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk(clips: Manifest, config_of, monkeypatch, tmp_path: Path, code: int) -> None:
    save = torch.save

    def full(tree: dict[str, Any], file: Any) -> None:
        save(tree, file)
        if tree["global_step"] == 4:
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(
        UserError, match=r"cannot be written: .* MiB are free.*the last good checkpoint is .*last"
    ):
        execute(config_of("supervised", probes=0), clips, tmp_path)
    assert peek(last_checkpoint(tmp_path))[0] == 3
    assert is_whole(last_checkpoint(tmp_path))
    assert not list(tmp_path.rglob("*.part"))
    monkeypatch.undo()
    record = execute(config_of("supervised", probes=0), clips, tmp_path, resume=last_checkpoint(tmp_path))
    assert record["budget"]["spent"]["steps"] == 6


@pytest.mark.parametrize(
    "name", ["checkpoints/last.ckpt", "checkpoints/last.ckpt.part", "metrics.csv", ".lock"]
)
def test_a_folder_where_a_file_is_to_be(name: str, clips: Manifest, config_of, tmp_path: Path) -> None:
    (tmp_path / name).mkdir(parents=True)
    with pytest.raises(UserError, match=rf"{name} cannot be written: .*(Is a directory|File exists)"):
        execute(config_of("supervised", probes=0), clips, tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no such rights here")
def test_a_folder_that_cannot_be_written(clips: Manifest, config_of, monkeypatch, tmp_path: Path) -> None:
    def refuse(checkpoint: dict[str, Any], path: Path, keep: int) -> None:
        if checkpoint["global_step"] < 4:
            return write_checkpoint(checkpoint, path, keep)
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path.with_name("last.ckpt.part")))

    monkeypatch.setattr("ssl_av.training.saving.write_checkpoint", refuse)
    with pytest.raises(
        UserError, match=r"last\.ckpt\.part cannot be written: Read-only file system.*is .*last"
    ):
        execute(config_of("supervised", probes=0), clips, tmp_path)
    assert peek(last_checkpoint(tmp_path))[0] == 3


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:119] . DefaultCPUAllocator: can't allocate memory: you tried"
        ),
        MemoryError(),
    ],
)
def test_out_of_memory(error: Exception, clips: Manifest, config_of, monkeypatch, tmp_path: Path) -> None:
    step = Method.training_step

    def grown(self: Method, batch: dict[str, Any], batch_idx: int) -> Any:
        if self.global_step == 4:
            raise error
        return step(self, batch, batch_idx)

    monkeypatch.setattr(Method, "training_step", grown)
    with pytest.raises(
        UserError,
        match=r"out of memory .* --data.batch_size 4: lower it .*last good checkpoint is .*last\.ckpt",
    ):
        execute(config_of("supervised", probes=0), clips, tmp_path)
    assert peek(last_checkpoint(tmp_path))[0] == 4


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device"),
            r"^No space left on device; make room.*--out, --cache",
        ),
        (
            PermissionError(errno.EPERM, "Operation not permitted", "a/b.part"),
            r"^a/b\.part: Operation not permitted;",
        ),
        (MemoryError(), "out of memory: lower --data"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "out of memory: lower --data"),
        (ImportError("stream.so: failed to map segment from shared object"), "out of memory: lower --data"),
    ],
)
def test_a_machine_that_fails_an_evaluation(error: Exception, says: str) -> None:
    with pytest.raises(UserError, match=says), machine_explained():
        raise RuntimeError("[enforce fail]") from error
    with pytest.raises(RuntimeError, match="ours"), machine_explained():
        raise RuntimeError("a mistake of ours")


def test_what_is_no_fault_of_the_machine_keeps_its_traceback(
    clips: Manifest, config_of, monkeypatch, tmp_path: Path
) -> None:
    def broken(self: Method, batch: dict[str, Any], batch_idx: int) -> Any:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(Method, "training_step", broken)
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        execute(config_of("supervised", probes=0), clips, tmp_path)
