"""Reading processes that hang or die, and data of which too much is unreadable: the run ends, and says why."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data._utils import signal_handling

from ssl_av.data import datamodule, loader
from ssl_av.data.datamodule import AVDataModule
from ssl_av.data.loader import MIN_BAD, reading_explained
from ssl_av.data.loading import Loading
from ssl_av.data.manifest import Manifest, Row, build_manifest
from ssl_av.data.media import MediaError, create_reader
from ssl_av.data.media.pyav import PyavReader
from ssl_av.data.views import AudioView, StartsWith, VideoView
from ssl_av.errors import UserError

VIEWS = {
    "video": VideoView(4, 8.0, 32),
    "audio": AudioView(0.5, 8000, when=StartsWith("video")),
}
LOADING = Loading(batch_size=2, num_workers=1, decode_size=24, timeout=0.5)


class Faulty(PyavReader):
    """A reader that does something else for ``train2.mp4``."""

    def __init__(self, fault: Any) -> None:
        super().__init__()
        self.fault = fault

    def read(self, source: Any, video: Any = (), audio: Any = ()) -> Any:
        if Path(source).name == "train2.mp4":
            self.fault()
        return super().read(source, video, audio)


def spin() -> None:
    """Does not come back, nor hear the alarm, as a decoder in a loop of its own."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    time.sleep(60)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def refuse() -> None:
    raise MediaError("gone")


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a faulty reader in the place of the real one."""
    return lambda what: monkeypatch.setattr(datamodule, "create_reader", lambda *_: Faulty(what))


def batches(manifest: Manifest, loading: Loading) -> list[dict[str, Any]]:
    data = AVDataModule(manifest, loading, seed=5)
    data.train_views = VIEWS
    return list(data.train_dataloader())


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_takes_too_long_is_skipped(workers: int, clips: Manifest, fault: Any) -> None:
    fault(lambda: time.sleep(60))
    begin = time.perf_counter()
    found = batches(clips, replace(LOADING, num_workers=workers))
    assert time.perf_counter() - begin < 20
    assert [s for b in found for s in b["skipped"]] == [("train2.mp4", "reading took longer than 0.5 s")]
    assert sum(len(b["index"]) for b in found) == 7


def test_a_decoder_that_never_comes_back_is_ended(clips: Manifest, fault: Any) -> None:
    fault(spin)
    begin = time.perf_counter()
    with pytest.raises(UserError, match=r"a reading process died while it read train2\.mp4: .*--resume"):
        batches(clips, LOADING)
    assert time.perf_counter() - begin < 30


def test_a_killed_worker_ends_the_run_with_its_file(clips: Manifest, fault: Any) -> None:
    fault(die)
    with pytest.raises(UserError, match=r"a reading process died( \(Killed\))? while it read train2\.mp4: "):
        batches(clips, LOADING)


@pytest.mark.slow
@pytest.mark.parametrize("at", ["its beginning", "a file"])
def test_a_worker_that_is_stopped_does_not_hang_the_run(
    at: str, clips: Manifest, fault: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datamodule, "PATIENCE", 4)
    if at == "a file":
        fault(stop)
    else:
        monkeypatch.setattr(datamodule, "begin_reading", lambda worker: stop())
    with pytest.raises(
        UserError, match=rf"a reading process hangs{r' while it read train2.mp4' if at == 'a file' else ''}: "
    ):
        batches(clips, LOADING)
    # a stopped child would be waited for, without end, when this process exits
    for child in multiprocessing.active_children():
        child.join(10)
        assert not child.is_alive()


@pytest.mark.parametrize("inference", [False, True])
def test_a_batch_for_which_there_is_no_shared_memory(inference: bool, clips: Manifest, monkeypatch) -> None:
    """It could not be handed over, and who waits for it would wait for long."""

    class Large:
        def __reduce__(self) -> Any:
            raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1>: No space left")

    monkeypatch.setattr(datamodule, "collate", lambda items: {"clip": Large()})
    if hasattr(signal, "SIGCHLD"):  # as Lightning leaves it after a training
        monkeypatch.setattr(signal_handling, "_SIGCHLD_handler_set", True)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    begin = time.perf_counter()
    with (
        torch.inference_mode(inference),
        pytest.raises(
            UserError, match=r"cannot hand over its batches: /dev/shm is full .* --data\.num_workers"
        ),
    ):
        batches(clips, replace(LOADING, timeout=60))
    assert time.perf_counter() - begin < 60


def test_other_errors_are_left_alone() -> None:
    with pytest.raises(RuntimeError, match="shape"), reading_explained():
        raise RuntimeError("shape mismatch")


@pytest.fixture
def many(clips: Manifest, tmp_path: Path) -> Manifest:
    """200 training samples; every tenth file vanishes after it was listed."""
    rows = []
    for i in range(200):
        shutil.copy(Path(clips.root) / f"train{i % 8}.mp4", tmp_path / f"{i}.mp4")
        rows.append(Row(f"{i}.mp4", i % 2, "train"))
    manifest = build_manifest(rows, ("a", "b"), tmp_path, create_reader())
    for i in range(0, 200, 10):
        (tmp_path / f"{i}.mp4").unlink()
    return manifest


@pytest.mark.slow
def test_more_bad_files_than_allowed_stop_the_run(many: Manifest) -> None:
    calm = replace(LOADING, num_workers=0, timeout=60)
    with pytest.raises(
        UserError,
        match=r"10 of \d+ samples cannot be read \(\d+\.\d %; --data.max_bad 0.05 allows 5 %\), the last",
    ):
        batches(many, calm)
    found = batches(many, replace(calm, max_bad=0.2))
    train = many.split("train")
    lost = [i for i in range(len(train)) if not Path(train[i].path).exists()]
    assert sum(len(b["skipped"]) for b in found) == len(lost) >= 10


def test_few_bad_files_are_no_reason_to_stop(clips: Manifest, fault: Any) -> None:
    fault(refuse)
    assert MIN_BAD > 1
    assert sum(len(b["skipped"]) for b in batches(clips, LOADING)) == 1
    with pytest.raises(UserError, match=r"1 of \d samples cannot be read .* the last one train2\.mp4: gone"):
        batches(clips, replace(LOADING, max_bad=0))


def test_a_small_data_set_that_is_all_bad_stops_the_run(
    clips: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PyavReader, "read", lambda *a: refuse())
    with pytest.raises(UserError, match=r"8 of 8 samples cannot be read"):
        batches(clips, replace(LOADING, num_workers=0))


def test_a_file_counts_once_however_many_epochs(
    clips: Manifest, fault: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "MIN_BAD", 2)
    fault(refuse)
    data = AVDataModule(clips, replace(LOADING, num_workers=0), seed=5)
    data.train_views = VIEWS
    batches = data.train_dataloader()
    assert [sum(len(b["skipped"]) for b in batches) for _ in range(3)] == [1, 1, 1]
    assert (batches.bad, batches.asked) == ({"train2.mp4": "gone"}, 24)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_batches_are_the_same_for_any_number_of_workers(clips: Manifest, fault: Any) -> None:
    fault(refuse)
    alone, *others = (batches(clips, replace(LOADING, num_workers=n, timeout=60)) for n in (0, 1, 3))
    for other in others:
        for a, b in zip(alone, other, strict=True):
            assert a["skipped"] == b["skipped"]
            assert a.keys() == b.keys()
            for name in ("index", "label", "video", "video.aspect", "audio"):
                assert torch.equal(a[name], b[name])


def test_loading_refuses_what_cannot_be() -> None:
    for wrong in ({"max_bad": 1.5}, {"max_bad": -0.1}, {"timeout": 0}):
        with pytest.raises(UserError, match=next(iter(wrong))):
            Loading(**wrong)
