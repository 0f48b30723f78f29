"""Commands for `faults.py`: begun in folders of their own, watched until they are under way."""

from __future__ import annotations

import ctypes
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

DATA = [
    "--data.train", "32", "--data.val", "8", "--data.test", "16", "--data.batch_size", "8", "--data.pack", "none",
    "--evaluation.clips", "1", "--evaluation.probes", "1",
]  # fmt: skip
SMALL = ["inputs.size", "32", "networks.video_args.width", "4", "networks.audio_args.width", "4"]
LONG = ["--budget", "steps=40", "--safety.checkpoint_every", "steps=5"]


def group(prefix: str, words: list[str]) -> list[str]:
    """``inputs.size 32`` as options of a group."""
    return [f"--{prefix}{word}" if k % 2 == 0 else word for k, word in enumerate(words)]


FIT = ["fit", "--method", "avid", *DATA, *LONG, *group("method.", [*SMALL, "negatives", "8"])]
BENCH = ["bench", "--methods", "avid", *DATA, *LONG, *group("", [*SMALL, "methods.avid.negatives", "8"])]
TWO_RUNS = "extends: tiny\nname: two\nreferences: [random]\njobs: 1\n"
"""The suite of `bench`: the untrained reference, which is there when the fault comes, and then AVID."""


class Command:
    """A command line in a session of its own.

    `fit` and `eval` are forked from this process, which has imported torch: that takes longer than what they do.
    """

    def __init__(
        self, words: list[str], home: Path, env: dict[str, str], said: Path, alone: str, anew: bool
    ) -> None:
        context = multiprocessing.get_context("fork")
        self.process = context.Process(target=self._run, args=(words, home, env, said, alone, anew))
        self.process.start()
        self.pid = self.process.pid or 0

    @staticmethod
    def _run(words: list[str], home: Path, env: dict[str, str], said: Path, alone: str, anew: bool) -> None:
        os.setsid()
        os.chdir(home)
        os.environ.update({"COLUMNS": "300", **env})
        for number in (signal.SIGHUP, signal.SIGINT):  # also under nohup, and behind an &
            signal.signal(number, signal.SIG_DFL)
        if alone:  # mounts of its own
            assert ctypes.CDLL(None).unshare(0x00020000) == 0
            subprocess.run(["mount", "--make-rprivate", "/"], check=True)
            subprocess.run(alone, shell=True, check=True)
        file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(file, stream)
        if anew or alone:
            os.execv(sys.executable, [sys.executable, "-m", "ssl_av", *words])
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.stdout, sys.stderr = (os.fdopen(n, "w", buffering=1, closefd=False) for n in (1, 2))
        sys.argv = ["ssl-av", *words]
        from ssl_av.cli import main

        try:
            main(words)
        finally:
            sys.stdout.flush()

    def poll(self) -> int | None:
        """The exit code, minus the signal's number if one ended it; None while it goes on."""
        return self.process.exitcode

    def wait(self, seconds: float | None = None) -> int:
        """The same, once it has ended.

        Raises:
            TimeoutError: if it takes longer.
        """
        self.process.join(seconds)
        if self.process.exitcode is None:
            raise TimeoutError
        return self.process.exitcode

    def kill(self) -> None:
        """Ends it, and all that it has begun."""
        for child in psutil.Process(self.pid).children(recursive=True):
            child.kill()
        self.process.kill()


@dataclass
class Case:
    """One command under one fault.

    Attributes:
        kind: ``fit``, ``eval`` or ``bench``.
        home: a folder of its own.
        fitted: a run that was left alone, for `eval`.
        words: further words of the command.
        env: further environment.
        alone: a mount that it alone sees.
        out: its --out.
    """

    kind: str
    home: Path
    fitted: Path
    words: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    alone: str = ""

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True)
        self.out = self.home / "out" / "suite-or-run"
        self.out.parent.mkdir()
        self.root = self.home / "data"
        self.file = self.home / "said.txt"
        self.workers = "0"
        self.suite = self.home / "two.yaml"
        self.suite.write_text(TWO_RUNS)
        self.process: Command

    @property
    def run(self) -> Path:
        """The run's folder; of `eval` the one of its features."""
        return self.out / "avid-seed0" if self.kind == "bench" else self.out

    def command(self, again: bool = False) -> list[str]:
        """What a user types."""
        reading = ["--data.num_workers", self.workers]
        if self.kind == "eval":
            own = [
                "eval",
                str(self.run_to_measure),
                *DATA[6:10],
                "--evaluation.clips",
                "12",
                "--cache",
                str(self.out),
            ]
            return [*own, *reading, "--data.root", str(self.root), "--out", str(self.out), *self.words]
        words = [*(FIT if self.kind == "fit" else BENCH), *reading, "--data.root", str(self.root)]
        if self.kind == "bench":
            words += ["--suite", str(self.suite)]
        resume = ["--resume", "auto"] if again and self.kind == "fit" else []
        return [*words, "--out", str(self.out), *self.words, *resume]

    @property
    def run_to_measure(self) -> Path:
        """What `eval` is given."""
        own = self.home / "fitted"
        return own if own.exists() else self.fitted

    def begin(self, again: bool = False) -> Command:
        """Begins the command."""
        return Command(self.command(again), self.home, self.env, self.file, self.alone, self.kind == "bench")

    def under_way(self, process: Command) -> bool:
        """Waits until there is a checkpoint, or, of `eval`, until features are being made; False if it ended."""
        while process.poll() is None:
            if self.kind == "eval" and list(self.out.rglob("*.part")):
                return True
            if (self.run / "checkpoints" / "last.ckpt").exists():
                return True
            time.sleep(0.01)
        return False

    def worker(self, process: Command) -> psutil.Process:
        """The process that trains or measures."""
        if self.kind != "bench":
            return psutil.Process(process.pid)
        return psutil.Process(json.loads((self.run / ".lock.json").read_text())["pid"])

    def readers(self, process: Command) -> list[psutil.Process]:
        """Its reading processes, which are forked from it."""
        own = self.worker(process)
        while not (found := [c for c in own.children() if c.cmdline() == own.cmdline()]):
            time.sleep(0.02)
        return found

    def said(self) -> str:
        """The last line that tells something; of a run of a bench the one in its record."""
        text = self.file.read_text(errors="replace")
        lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
        named = [line for line in lines if line.startswith(("ssl-av:", "failed:"))]
        return (named or lines or ["nothing"])[-1]

    def recorded(self) -> dict[str, str]:
        """Of a bench: what its records say of each run, ``completed`` or the error; nothing before the first run."""
        file = self.out / "records.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        records = [json.loads(line) for line in lines if line.startswith("{")]
        return {r["method"]: r["error"] or r["status"] for r in records}

    def traceback(self) -> bool:
        """Whether the user saw one."""
        return "Traceback (most recent call last)" in self.file.read_text(errors="replace")
