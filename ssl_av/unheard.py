"""What is printed when its reader goes away (``ssl-av fit … | head -1``): nothing is lost but the words."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

GOES_ON = (
    "ssl-av: nobody reads what is printed any more; the command goes on, and its folder says how it ends"
)


class Unheard:
    """A stream that goes on without its reader: from then on what is written to it goes nowhere.

    Python raises where others end by SIGPIPE; a training would be lost, because nobody wanted to see its progress.

    Args:
        stream: standard output or standard error.
        told: whether standard error is told when the reader has gone.
    """

    def __init__(self, stream: Any, told: bool = False) -> None:
        self._stream, self._told = stream, told

    def write(self, text: str) -> int:
        """Writes, or drops what nobody reads."""
        try:
            self._stream.write(text)
        except BrokenPipeError:
            self._drop()
        return len(text)

    def flush(self) -> None:
        """As `write`."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._drop()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _drop(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(
            nowhere, self._stream.fileno()
        )  # what the stream still holds goes there too, at the latest at exit
        os.close(nowhere)
        if self._told:
            print(GOES_ON, file=sys.stderr, flush=True)


@contextmanager
def unheard(told: bool) -> Iterator[None]:
    """Inside, standard output and standard error may lose their readers.

    Args:
        told: whether standard error is told when the reader of standard output has gone.
    """
    before = sys.stdout, sys.stderr
    if sys.stderr is not None:
        sys.stderr = Unheard(sys.stderr)
    if sys.stdout is not None:
        sys.stdout = Unheard(sys.stdout, told)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        sys.stdout, sys.stderr = before
