"""Work that a process does not survive, importable in another process."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def trouble(word: str) -> str:
    """What the word says, or the word in capital letters."""
    if word == "hang":
        time.sleep(600)
    elif word == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif word == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif word == "eat":
        return str(len(bytearray(2 << 30)))
    elif word == "raise":
        raise ValueError("two\nlines")
    return word.upper()


def nobody_reads() -> None:
    """What this process prints has no reader."""
    there, here = os.pipe()
    os.close(there)
    os.dup2(here, 1)


def slow(path: str) -> str:
    """Leaves its process's number in a file, and takes for ever."""
    Path(path).write_text(str(os.getpid()))
    time.sleep(600)
    return path
