"""A run of a suite as a job of a cluster: begun, interrupted, queued again, and watched through files."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from ssl_av.bench.running.perform import Message, perform
from ssl_av.config import RunConfig
from ssl_av.errors import Interrupted

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

PROGRESS = "progress.json"
"""In the run's folder: how far its job has got."""

EVERY = 2.0
"""Seconds between two reports of progress: a file on a disk that many machines share."""


@dataclass(frozen=True)
class RunJob:
    """What a job executes.

    Attributes:
        config: the run, as `RunConfig.to_dict` has it.
        manifest: file of the suite's manifest.
        folder: the run's.
        share: runs that share the machine's cores.
    """

    config: Mapping[str, Any]
    manifest: str
    folder: str
    share: int = 1

    def __call__(self) -> None:
        """Does the run, from its last checkpoint where there is one.

        A training that submitit's signal finds ends its step and saves before it is queued again.
        """
        folder = Path(self.folder)
        last = [-EVERY]

        def tell(message: Message) -> None:
            _, done, total, _ = message
            if time.monotonic() - last[0] > EVERY or (done == total and total):
                last[0] = time.monotonic()
                part = folder / f"{PROGRESS}.part"
                part.write_text(json.dumps(message), encoding="utf-8")
                part.replace(folder / PROGRESS)

        again = signal.getsignal(signal.SIGUSR2)  # submitit's, which does not come back
        asked = []

        def heed(number: int, frame: FrameType | None) -> None:
            asked.append(number)
            if _in_training():
                signal.raise_signal(signal.SIGTERM)
            elif callable(again):
                again(number, frame)

        signal.signal(signal.SIGUSR2, heed)
        try:
            perform(RunConfig.from_dict(dict(self.config)), Path(self.manifest), folder, self.share, tell)
        except Interrupted:
            if not asked or not callable(again):  # the job was cancelled: it is not to come back
                raise
            again(signal.SIGUSR2, None)

    def checkpoint(self) -> DelayedSubmission:
        """Asked by submitit when the cluster wants the machine back: what is to be queued again, the same."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def _in_training() -> bool:
    """Whether a training would heed SIGTERM between two steps."""
    from ssl_av.training.signals import Signals

    return isinstance(getattr(signal.getsignal(signal.SIGTERM), "__self__", None), Signals)


def progress(folder: Path) -> Message | None:
    """The last report of a run's job, if there is one."""
    try:
        what, done, total, numbers = json.loads((folder / PROGRESS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return what, done, total, numbers
