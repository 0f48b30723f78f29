"""Features on disk: what a killed process loses, and two processes that want the same ones."""

from __future__ import annotations

import ctypes
import errno
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import numpy as np
import pytest

from ssl_av.errors import UserError
from ssl_av.evaluation import code, store
from ssl_av.evaluation.features import Piece
from ssl_av.evaluation.store import Store
from ssl_av.evaluation.views import Column

VIDEO, AUDIO, BLOCKS = Column("video"), Column("audio"), Column("video", pool="max-1x4x4-1x4x4", merge="keep")
COUNT = 10
NAMES = np.array([f"sample {k}" for k in range(COUNT)], dtype="S16")
FORK = multiprocessing.get_context("fork")


def features(column: Column, index: np.ndarray) -> np.ndarray:
    """Of samples by their numbers."""
    shape = (-1, 1, 1) if column.merge == "keep" else (-1, 1)
    return (index + sorted([VIDEO, AUDIO, BLOCKS]).index(column) / 4).reshape(shape).astype(np.float32)


def making(diary: Path, wait: Callable[[int], None] = lambda k: None) -> store.Make:
    """Pieces of one sample; sample 3 cannot be read. The diary has a line for each sample that was decoded."""

    def make(rest: np.ndarray, columns: Collection[Column], start: int) -> Iterator[Piece]:
        for at, k in list(enumerate(rest.tolist()))[start:]:
            wait(k)
            with diary.open("a") as file:
                file.write(f"{k}\n")
            index = np.array([at] if k != 3 else [], dtype=np.int64)
            found = {c: features(c, np.array([k])) for c in columns} if len(index) else {}
            yield Piece(at + 1, index, found, {} if len(index) else {"3.mp4": "damaged"})

    return make


def decoded(diary: Path) -> list[int]:
    return [int(line) for line in diary.read_text().split()] if diary.exists() else []


def check(kept: Store, columns: Collection[Column]) -> None:
    """All of it is there, and nothing that was left of the work."""
    found = kept.find(columns, NAMES)
    assert {c for s in found for c in s.columns} == set(columns)
    for stored in found:
        index = np.array([int(name.split()[1]) for name in stored.names.tolist()])
        assert index.tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 9]
        assert stored.skipped == {"3.mp4": "damaged"}
        for column, array in stored.columns.items():
            np.testing.assert_array_equal(array, features(column, index))
    assert not list(kept.folder.rglob("*.npz*"))
    assert not list(kept.folder.rglob("*.part"))


def killed(at: str, where: Path) -> None:
    """A process that is killed before the sixth sample, or at a later step of the work."""

    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def wait(k: int) -> None:
        if at == "midst" and k == 5:
            die()

    if at == "joining":
        np.lib.format.write_array_header_1_0 = die
    if at == "joined":
        store._scraps = die  # all that is left to do is to clear up
    Store(where / "kept", {}).fill([VIDEO, BLOCKS], NAMES, making(where / "diary", wait), lambda _: None)


@pytest.mark.parametrize("at", ["midst", "joining", "joined"])
def test_what_was_finished_before_a_kill_is_not_decoded_again(at: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(store, "EVERY", 0.0)  # small features are written in time, too
    died = FORK.Process(target=killed, args=(at, tmp_path))
    died.start()
    died.join(30)
    assert died.exitcode == -signal.SIGKILL
    kept = Store(tmp_path / "kept", {})
    assert kept.missing([VIDEO, BLOCKS], NAMES)[1] == [BLOCKS, VIDEO]
    kept.fill([VIDEO, BLOCKS], NAMES, making(tmp_path / "diary"), pytest.fail)
    assert decoded(tmp_path / "diary") == list(range(COUNT))
    check(kept, [VIDEO, BLOCKS])
    kept.fill([BLOCKS], NAMES, making(tmp_path / "diary"), pytest.fail)
    assert len(decoded(tmp_path / "diary")) == COUNT


def test_other_samples_and_other_columns_are_added(tmp_path: Path) -> None:
    kept = Store(tmp_path / "kept", {})
    kept.fill([VIDEO], NAMES[:4], making(tmp_path / "one"), pytest.fail)
    kept.fill([VIDEO], NAMES[2:6], making(tmp_path / "two"), pytest.fail)
    assert decoded(tmp_path / "two") == [2, 3]  # the rest of what was asked for, by its place there
    kept.fill([VIDEO, AUDIO], NAMES[:6], making(tmp_path / "three"), pytest.fail)
    assert decoded(tmp_path / "three") == list(range(6))
    assert kept.missing([VIDEO, AUDIO], NAMES)[0].tolist() == [6, 7, 8, 9]
    assert len(kept.find([AUDIO], NAMES)) == 1
    assert [len(kept.find([VIDEO], some)) for some in (NAMES[:2], NAMES)] == [1, 2]


def test_little_is_lost_where_features_are_small(tmp_path: Path, monkeypatch) -> None:
    now = iter(range(0, 10_000, 20))  # a sample takes twenty seconds
    monkeypatch.setattr(store.time, "monotonic", lambda: float(next(now)))
    kept = Store(tmp_path / "kept", {})

    def wait(k: int) -> None:
        if k == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept.fill([VIDEO], NAMES, making(tmp_path / "diary", wait), pytest.fail)
    kept.fill([VIDEO], NAMES, making(tmp_path / "again"), pytest.fail)
    assert decoded(tmp_path / "again")[0] >= 5
    check(kept, [VIDEO])


def on_a_small_disk(where: Path) -> None:
    """A pass that finds room for its chunk, and none for the arrays that are made of it."""
    assert ctypes.CDLL(None).unshare(0x00020000) == 0  # mounts of its own
    for words in (["--make-rprivate", "/"], ["-t", "tmpfs", "-o", "size=96k", "tmpfs", where]):
        subprocess.run(["mount", *words], check=True)

    def make(rest: np.ndarray, columns: Collection[Column], start: int) -> Iterator[Piece]:
        yield Piece(COUNT, np.arange(COUNT), {VIDEO: np.ones((COUNT, 1200), np.float32)}, {})

    try:
        Store(where / "kept", {}).fill([VIDEO], NAMES, make, lambda _: None)
    except OSError as e:
        os._exit(e.errno or 1)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("mount"), reason="mounts a disk"
)
def test_a_full_disk_is_an_error_and_no_dead_process(tmp_path: Path) -> None:
    full = FORK.Process(target=on_a_small_disk, args=(tmp_path,))
    full.start()
    full.join(30)
    assert full.exitcode == errno.ENOSPC


def test_two_processes_make_them_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them wants more than the other."""
    monkeypatch.setattr("ssl_av.lock.PATIENCE", 0.1)  # seconds before it is said that this waits

    def other() -> None:
        slow = making(tmp_path / "diary", lambda k: time.sleep(0.05))
        Store(tmp_path / "kept", {}).fill([VIDEO], NAMES, slow, lambda _: None)

    process = FORK.Process(target=other)
    process.start()
    while not decoded(tmp_path / "diary"):
        time.sleep(0.01)
    said: list[str] = []
    kept = Store(tmp_path / "kept", {})
    kept.fill([VIDEO, AUDIO], NAMES, making(tmp_path / "mine"), said.append)
    process.join(30)
    assert process.exitcode == 0
    assert [s.split(" on ")[0] for s in said] == [f"process {process.pid}"]
    assert decoded(tmp_path / "diary") == decoded(tmp_path / "mine") == list(range(COUNT))
    assert [list(s.columns) for s in kept.find([VIDEO, AUDIO], NAMES)] in (
        [[VIDEO], [AUDIO]],
        [[AUDIO], [VIDEO]],
    )
    check(kept, [VIDEO, AUDIO])


def test_the_code_that_is_hashed_is_there() -> None:
    root = Path(code.__file__).parents[1]
    assert [part for part in code.PARTS if not (root / part).exists()] == []
    assert all(any((root / part).rglob("*.py")) or part.endswith(".py") for part in code.PARTS)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


def zeroed(file: Path) -> None:
    data = file.read_bytes()
    half = len(data) * 2 // 3
    file.write_bytes(data[:half] + bytes(len(data) - half))


@pytest.mark.parametrize("damage", [cut, zeroed, lambda file: file.write_bytes(b""), Path.unlink])
@pytest.mark.parametrize("name", [store.ABOUT, store.ASKED, store.READ, f"{VIDEO}.npy"])
def test_damaged_features_are_told_and_never_taken(
    name: str, damage: Callable[[Path], object], tmp_path: Path
) -> None:
    """Zeros in the place of numbers would be features like others, and a wrong result."""
    kept = Store(tmp_path / "kept", {})
    kept.fill([VIDEO], NAMES, making(tmp_path / "diary"), pytest.fail)
    (found,) = (tmp_path / "kept").glob(f"*/{name}")
    check(kept, [VIDEO])
    damage(found)
    if not found.exists() and name == store.ABOUT:  # no pass at all: it is made once more
        kept.fill([VIDEO], NAMES, making(tmp_path / "diary"), pytest.fail)
        assert decoded(tmp_path / "diary") == [*range(COUNT)] * 2
        check(kept, [VIDEO])
        return

    def take() -> None:
        kept.fill([VIDEO], NAMES, making(tmp_path / "diary"), pytest.fail)
        kept.find([VIDEO], NAMES)

    with pytest.raises(UserError, match=r"features that cannot be read .*; remove the folder, and they are"):
        take()
    assert len(decoded(tmp_path / "diary")) == COUNT


def test_features_of_before_there_were_checksums(tmp_path: Path) -> None:
    kept = Store(tmp_path / "kept", {})
    kept.fill([VIDEO], NAMES, making(tmp_path / "diary"), pytest.fail)
    (about,) = (tmp_path / "kept").glob(f"*/{store.ABOUT}")
    about.write_text(json.dumps({k: v for k, v in json.loads(about.read_text()).items() if k != "checksums"}))
    check(kept, [VIDEO])
