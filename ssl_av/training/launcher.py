"""Lightning's launcher of further processes on this machine, which does not leave a lost one to chance."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher

from ssl_av.errors import Interrupted

PARENT = "SSL_AV_PARENT"
"""Environment variable in which the first process tells those that it begins its number."""

GRACE = 20.0
"""Seconds that a process has to find out by itself that another one is gone, and to say so."""


class Launcher(_SubprocessScriptLauncher):
    """Begins the other processes with this one's command line, and watches them.

    Lightning's own kills this process when one of them is gone, without a word. Here it may say what happened: the
    connection to a lost process mostly breaks at once. Where it does not (NCCL waits), the watcher ends it.
    """

    def launch(
        self, function: Callable[..., Any], *args: Any, trainer: pl.Trainer | None = None, **kwargs: Any
    ) -> Any:
        """Begins the processes, if no launcher from outside has, then trains."""
        self.over = threading.Event()
        self.cluster_environment.validate_settings(self.num_processes, self.num_nodes)
        if not self.cluster_environment.creates_processes_externally:
            os.environ[PARENT] = str(os.getpid())
            self._call_children_scripts()
            del os.environ[PARENT]
            threading.Thread(target=self._watch, daemon=True, name="watch processes").start()
        elif has_parent():
            threading.Thread(target=_end_with_parent, daemon=True, name="end with parent").start()
        try:
            return function(*args, **kwargs)
        except Interrupted:  # at once: the others would go on until they miss this one
            for process in self.procs:
                process.kill()
            raise
        finally:
            self.over.set()

    def lost(self, wait: float = 2.0) -> str:
        """The process that is gone: "process 1 (ended by SIGKILL)"; empty if none of those that were begun here."""
        end = time.monotonic() + wait
        while self.procs:
            for number, process in enumerate(self.procs, start=1):
                if code := process.poll():
                    how = f"ended by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
                    return f"process {number} ({how})"
            if time.monotonic() > end:
                break
            time.sleep(0.1)
        return ""

    def _watch(self) -> None:
        """Ends everything if one process has failed and this one does not notice."""
        while not self.over.wait(0.5):
            if who := self.lost(wait=0):
                for process in self.procs:
                    process.kill()
                if not self.over.wait(GRACE):
                    print(
                        f"ssl-av: {who} is gone; --resume goes on from the last checkpoint", file=sys.stderr
                    )
                    os._exit(2)
                return


def adopt(trainer: pl.Trainer) -> None:
    """Puts `Launcher` in the place of Lightning's."""
    strategy: Any = trainer.strategy
    old = strategy.launcher
    if type(old) is _SubprocessScriptLauncher:
        strategy._launcher = Launcher(old.cluster_environment, old.num_processes, old.num_nodes)


def has_parent() -> bool:
    """Whether the process that began this one is the first of its training, and alive."""
    return os.environ.get(PARENT) == str(os.getppid())


def _end_with_parent() -> None:
    """A process whose first one was killed ends too, if it does not notice."""
    while has_parent():
        time.sleep(1)
    time.sleep(GRACE)
    os._exit(2)
