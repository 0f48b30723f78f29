"""The command line in processes that need not import torch anew: that takes longer than what most tests ask for."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

#: the server only imports; each command is a process of its own that is forked from it
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["ssl_av.cli", "ssl_av.runs.run", "sklearn.svm", "av"])


def run_command(
    words: Sequence[str], cwd: Path, env: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """`ssl-av` with these words, as `subprocess.run` would give it back.

    Raises:
        subprocess.TimeoutExpired: if it takes longer; it is killed.
    """
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        process = _CONTEXT.Process(
            target=_command, args=(list(words), str(cwd), dict(env), str(out), str(err))
        )
        process.start()
        process.join(timeout)
        if process.is_alive():
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(list(words), timeout, out.read_bytes(), err.read_bytes())
        said, complained = (p.read_text(encoding="utf-8", errors="replace") for p in (out, err))
        return subprocess.CompletedProcess(["ssl-av", *words], process.exitcode or 0, said, complained)


def _command(words: list[str], cwd: str, env: dict[str, str], out: str, err: str) -> None:
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for stream, file in ((1, out), (2, err)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), stream)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False, buffering=1)
    sys.argv = ["ssl-av", *words]
    from ssl_av.cli import main

    try:
        main(words)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
