"""A disk that is full or cannot be written, memory that ends: one line of any command."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

import pytest

from ssl_av import cli


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "ssl-av: No space left on device; make room"),
        (
            PermissionError(errno.EPERM, "Operation not permitted", "a/report.html"),
            "ssl-av: a/report.html: Op",
        ),
        (
            IsADirectoryError(errno.EISDIR, "Is a directory", "a/report.html.part", None, "a/report.html"),
            "ssl-av: a/report.html: Is",
        ),
        (MemoryError(), "ssl-av: out of memory: "),
        (RuntimeError("Storage size calculation overflowed with sizes=[1, 2]"), "ssl-av: out of memory: "),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "ssl-av: out of memory: "),
        (ImportError("stream.so: failed to map segment from shared object"), "ssl-av: out of memory: "),
    ],
)
def test_a_machine_that_fails_is_one_line(
    error: Exception, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(words: Sequence[str]) -> int:
        raise error

    monkeypatch.setattr(cli, "run", run)
    with pytest.raises(SystemExit) as ended:
        cli.main(["report", "a"])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(says)


@pytest.mark.parametrize(
    "error", [OSError(errno.ECHILD, "No child"), ImportError("no module x"), RuntimeError()]
)
def test_what_is_ours_keeps_its_traceback(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(words: Sequence[str]) -> int:
        raise error

    monkeypatch.setattr(cli, "run", run)
    with pytest.raises(type(error)):
        cli.main(["report", "a"])
