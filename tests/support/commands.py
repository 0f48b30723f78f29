"""The command line in processes that need not import torch anew: that takes longer than what most tests ask for."""

from __future__ import annotations

import functools
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

#: the server only imports; each command is a process of its own that is forked from it
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["ssl_av.cli", "ssl_av.runs.run", "sklearn.svm", "av"])


class Command:
    """A command that has been begun, used as `subprocess.Popen` is.

    Args:
        words: of `ssl-av`; with ``script``, of the file that the first of them names.
        cwd: where it runs.
        env: its environment.
        script: whether a file is run.
        first: done before, in the new process.
    """

    def __init__(
        self,
        words: Sequence[object],
        cwd: Path,
        env: Mapping[str, str],
        script: bool = False,
        first: Callable[[], None] | None = None,
    ) -> None:
        self.words = [str(word) for word in words]
        self._folder = tempfile.TemporaryDirectory()
        self._out, self._err = (str(Path(self._folder.name) / name) for name in ("out", "err"))
        forkserver.ensure_running()
        work = functools.partial(_script if script else _ssl_av, self.words)
        begin = (str(cwd), dict(env), self._out, self._err, _address(), first, work)
        self._process = _CONTEXT.Process(target=_command, args=begin)
        self._process.start()
        self.pid = self._process.pid
        self.kill = self._process.kill

    def ended(self, timeout: float) -> subprocess.CompletedProcess[str]:
        """Waits for its end, and gives it back as `subprocess.run` would.

        Raises:
            subprocess.TimeoutExpired: if it takes longer; it is killed.
        """
        self._process.join(timeout)
        late = self._process.is_alive()
        if late:
            self._process.kill()
            self._process.join()
        said, complained = (
            Path(file).read_text(encoding="utf-8", errors="replace") if Path(file).is_file() else ""
            for file in (self._out, self._err)
        )
        self._folder.cleanup()
        if late:
            raise subprocess.TimeoutExpired(self.words, timeout, said, complained)
        return subprocess.CompletedProcess(self.words, self._process.exitcode or 0, said, complained)


def _address() -> dict[str, Any]:
    """Where the server is found; private, for a process is expected to start a server of its own."""
    server = vars(forkserver._forkserver)  # type: ignore[attr-defined]
    return {name: server[name] for name in ("_forkserver_address", "_forkserver_authkey") if name in server}


def _command(
    cwd: str,
    env: dict[str, str],
    out: str,
    err: str,
    address: dict[str, Any],
    first: Callable[[], None] | None,
    work: Callable[[], None],
) -> None:
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    _share_the_server(address)
    for stream, file in ((1, out), (2, err)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), stream)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False, buffering=1)
    if first is not None:
        first()
    try:
        work()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _ssl_av(words: list[str]) -> None:
    sys.argv = ["ssl-av", *words]
    from ssl_av.cli import main

    main(words)


def _script(words: list[str]) -> None:
    sys.argv = words
    sys.path.insert(0, str(Path(words[0]).parent))
    runpy.run_path(words[0], run_name="__main__")


def _share_the_server(address: dict[str, Any]) -> None:
    """The runs of a bench come from the server that this process came from, not from another that imports all anew."""
    server = forkserver._forkserver  # type: ignore[attr-defined]
    vars(server).update(address)
    server.ensure_running = lambda: None
    from ssl_av.bench.running import worker

    worker._work = functools.partial(_work, dict(os.environ))


def _work(env: dict[str, str], *args: Any) -> None:
    """A bench's run: a forked process has the server's environment, not that of the command which asked for it."""
    os.environ.clear()
    os.environ.update(env)
    from ssl_av.bench.running import worker

    worker._work(*args)
