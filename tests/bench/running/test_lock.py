"""A folder is written by one process; a dead one holds nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ssl_av import lock
from ssl_av.lock import NAMES, HeldError, holder, is_held, locked

HOLD = """
import sys, time
from pathlib import Path
from ssl_av.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def other(folder: Path) -> subprocess.Popen[str]:
    """Another process that holds the folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    folder = tmp_path / "suite"
    process = other(folder)
    try:
        assert is_held(folder)
        with (
            pytest.raises(HeldError, match=rf"process {process.pid} on \S+, since .*is working in it"),
            locked(folder),
        ):
            pass
    finally:
        process.kill()
        process.wait()


def test_a_killed_process_holds_nothing_although_it_left_its_name(tmp_path: Path) -> None:
    process = other(tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert f"process {process.pid}" in holder(tmp_path)
    assert not is_held(tmp_path)
    with locked(tmp_path):
        assert f"process {os.getpid()}" in holder(tmp_path)
        assert is_held(tmp_path)
    assert not is_held(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} < NAMES


def test_waiting_for_another_that_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who is waited for is said once; a wait of an instant is not worth a line."""
    monkeypatch.setattr(lock, "PATIENCE", 0.2)
    process = other(tmp_path)
    with pytest.raises(HeldError), locked(tmp_path, wait=0.1):
        pass
    assert capsys.readouterr().err == ""
    told: list[str] = []
    with pytest.raises(HeldError), locked(tmp_path, wait=0.3, waiting=told.append):
        pass
    assert [who.partition(" on ")[0] for who in told] == [f"process {process.pid}"]
    killer = subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -9 {process.pid}"])
    with locked(tmp_path, wait=20):
        assert str(os.getpid()) in holder(tmp_path)
    killer.wait()
    process.wait()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"ssl-av: {tmp_path}: process {process.pid} on ")
    assert line.endswith("is working in it; waiting up to 20 s")


def test_an_error_inside_gives_it_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:

        def refuse(path: Path, missing_ok: bool = False) -> None:
            raise PermissionError(path)

        patched.setattr(Path, "unlink", refuse)  # a disk that cannot be written any more
        with pytest.raises(ZeroDivisionError), locked(tmp_path):
            1 / 0
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        1 / 0
    assert not is_held(tmp_path)
    assert holder(tmp_path) == "another process"


def test_a_pipe_in_the_place_of_its_holders_name_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".lock.json")
    assert holder(tmp_path) == "another process"
    with locked(tmp_path):
        assert f"process {os.getpid()}" in holder(tmp_path)
