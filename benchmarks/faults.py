"""Faults of the machine, made for real, under `ssl-av fit`, `eval` and `bench`: what is said, what is left.

    python benchmarks/faults.py                                  # all of them; Linux, as root for mounts; half an hour
    python benchmarks/faults.py --faults disk-full,signals --commands fit
    python benchmarks/faults.py --list

Each command runs on rendered files until its training (or its evaluation) is under way; then the fault is made: the
disk is filled (a tmpfs of some MiB), folders become immutable (chattr +i), address space ends (RLIMIT_AS), processes
are killed or stopped, files vanish. Printed is a table: exit code and seconds from the fault to the end, the last line
that was said, the step of the newest whole checkpoint, and what the same command does once the fault is gone. Exit
code 1 if a command hangs, ends with exit code 0 or a traceback where it should not, or cannot go on afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

HANGS = 150.0
"""Seconds after which a command that has met its fault is taken to hang."""

DATA = [
    "--data.train", "32", "--data.val", "8", "--data.test", "16", "--data.batch_size", "8", "--data.pack", "none",
    "--evaluation.clips", "1", "--evaluation.probes", "1", "--data.timeout", "1",
]  # fmt: skip
SMALL = ["inputs.size", "32", "networks.video_args.width", "4", "networks.audio_args.width", "4"]
LONG = ["--budget", "steps=150", "--safety.checkpoint_every", "steps=5"]


def group(prefix: str, words: list[str]) -> list[str]:
    """``inputs.size 32`` as options of a group."""
    return [f"--{prefix}{word}" if k % 2 == 0 else word for k, word in enumerate(words)]


FIT = ["fit", "--method", "avid", *DATA, *LONG, *group("method.", [*SMALL, "negatives", "8"])]
BENCH = ["bench", "--methods", "avid", *DATA, *LONG, *group("", [*SMALL, "methods.avid.negatives", "8"])]


@dataclass
class Case:
    """One command under one fault.

    Attributes:
        kind: ``fit``, ``eval`` or ``bench``.
        home: a folder of its own.
        fitted: a run that was left alone, for `eval`.
        words: further words of the command.
        env: further environment.
        before: words before it (unshare).
        out: its --out.
    """

    kind: str
    home: Path
    fitted: Path
    words: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    before: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True)
        self.out = self.home / "out" / "suite-or-run"
        self.out.parent.mkdir()
        self.root = self.home / "data"
        self.file = self.home / "said.txt"
        self.workers = "0"
        self.process: subprocess.Popen[bytes]

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
        resume = ["--resume", "auto"] if again and self.kind == "fit" else []
        return [*words, "--out", str(self.out), *self.words, *resume]

    @property
    def run_to_measure(self) -> Path:
        """What `eval` is given."""
        own = self.home / "fitted"
        return own if own.exists() else self.fitted

    def begin(self, again: bool = False) -> subprocess.Popen[bytes]:
        """Begins the command."""
        with self.file.open("wb") as said:
            return subprocess.Popen(
                [*self.before, sys.executable, "-m", "ssl_av", *self.command(again)],
                cwd=self.home, env={**os.environ, "COLUMNS": "300", **self.env},
                stdout=said, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def under_way(self, process: subprocess.Popen[bytes]) -> bool:
        """Waits until there is a checkpoint, or, of `eval`, until features are being made; False if it ended."""
        while process.poll() is None:
            if self.kind == "eval" and list(self.out.rglob("*.part")):
                return True
            if (self.run / "checkpoints" / "last.ckpt").exists():
                return True
            time.sleep(0.01)
        return False

    def worker(self, process: subprocess.Popen[bytes]) -> psutil.Process:
        """The process that trains or measures."""
        if self.kind != "bench":
            found = psutil.Process(process.pid)
            while self.before and found.children() and "ssl_av" not in found.cmdline():
                found = found.children()[0]
            return found
        return psutil.Process(json.loads((self.run / ".lock.json").read_text())["pid"])

    def readers(self, process: subprocess.Popen[bytes]) -> list[psutil.Process]:
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

    def traceback(self) -> bool:
        """Whether the user saw one."""
        return "Traceback (most recent call last)" in self.file.read_text(errors="replace")


Fault = Callable[[Case], Iterator[None]]
FAULTS: dict[str, tuple[Fault, tuple[str, ...]]] = {}


def fault(name: str, *kinds: str) -> Callable[[Fault], Fault]:
    """Registers a fault: a generator that prepares, waits for the command, makes the fault, waits, and mends it."""

    def register(function: Fault) -> Fault:
        FAULTS[name] = function, kinds or ("fit", "eval", "bench")
        return function

    return register


def sh(*words: object) -> None:
    """Runs a tool of the system."""
    subprocess.run([str(w) for w in words], check=True, capture_output=True)


@contextmanager
def mounted(where: Path, *words: object) -> Iterator[None]:
    """A mount that goes away again."""
    where.mkdir(exist_ok=True)
    sh("mount", *words, where)
    try:
        yield
    finally:
        sh("umount", "-l", where)


@fault("disk-full")
def disk_full(case: Case) -> Iterator[None]:
    """Somebody else fills the disk."""
    with mounted(case.home / "small", "-t", "tmpfs", "-o", "size=24m", "tmpfs"):
        case.out = case.home / "small" / "out"
        yield
        filler = case.home / "small" / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        yield
        filler.unlink()
        yield


@fault("read-only")
def read_only(case: Case) -> Iterator[None]:
    """Folders that can no longer be written."""
    yield
    folders = [case.run, *(p for p in case.out.rglob("*") if p.is_dir())]
    for folder in folders:
        sh("chattr", "+i", folder)
    try:
        yield
    finally:
        for folder in folders:
            sh("chattr", "-i", folder)
    yield


@fault("memory")
def memory(case: Case) -> Iterator[None]:
    """No more address space than is used now."""
    yield
    worker = case.worker(case.process)
    most = worker.memory_info().vms
    worker.rlimit(resource.RLIMIT_AS, (most, most))
    yield
    yield


@fault("reader-killed")
def reader_killed(case: Case) -> Iterator[None]:
    """A reading process is killed, as the system does when memory ends."""
    case.workers = "1"
    yield
    case.readers(case.process)[0].kill()
    yield
    yield


@fault("reader-stopped")
def reader_stopped(case: Case) -> Iterator[None]:
    """A reading process that does not come back."""
    case.workers = "1"
    yield
    case.readers(case.process)[0].suspend()
    yield
    yield


@fault("run-killed", "bench")
def run_killed(case: Case) -> Iterator[None]:
    """One run of a suite is killed."""
    yield
    case.worker(case.process).kill()
    yield
    yield


@fault("nan")
def nan(case: Case) -> Iterator[None]:
    """A rate that no training survives; weights that are no numbers."""
    if case.kind == "eval":
        import torch

        shutil.copytree(case.fitted, case.home / "fitted")
        last = case.home / "fitted" / "checkpoints" / "last.ckpt"
        tree = torch.load(last, weights_only=True)
        for name, weight in tree["state_dict"].items():
            if name.startswith("backbones") and weight.is_floating_point():
                weight.fill_(torch.nan)
        torch.save(tree, last)
    else:
        case.words = ["--method.optim.lr" if case.kind == "fit" else "--methods.avid.optim.lr", "1e25"]
    yield
    yield
    shutil.rmtree(case.home / "fitted", ignore_errors=True)
    case.words = []
    yield


@fault("cut-off")
def cut_off(case: Case) -> Iterator[None]:
    """Killed, and the last checkpoint was cut off."""
    if case.kind == "eval":
        shutil.copytree(case.fitted, case.home / "fitted")
    yield
    if case.kind != "eval":
        time.sleep(2)
        for child in psutil.Process(case.process.pid).children(recursive=True):
            child.kill()
        case.process.kill()
    last = (case.home / "fitted" if case.kind == "eval" else case.run) / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    yield
    shutil.rmtree(case.home / "fitted", ignore_errors=True)
    yield


@fault("files-gone")
def files_gone(case: Case) -> Iterator[None]:
    """The data vanish."""
    yield
    moved = case.root.with_name("moved")
    case.root.rename(moved)
    yield
    moved.rename(case.root)
    yield


@fault("cache-unwritable")
def cache_unwritable(case: Case) -> Iterator[None]:
    """The cache's folder cannot be written."""
    folder = case.home / "cache"
    folder.mkdir()
    case.env["SSL_AV_CACHE"] = str(folder)
    sh("chattr", "+i", folder)
    try:
        yield
        yield
    finally:
        sh("chattr", "-i", folder)
    yield


@fault("shm-small")
def shm_small(case: Case) -> Iterator[None]:
    """/dev/shm, through which reading processes give their batches, holds next to nothing (a container's default)."""
    case.workers = "1"
    case.before = [
        "unshare",
        "-m",
        "sh",
        "-c",
        'mount -t tmpfs -o size=64k tmpfs /dev/shm && exec "$@"',
        "sh",
    ]
    yield
    yield
    case.before = []
    yield


def _signal(number: int) -> Fault:
    def send(case: Case) -> Iterator[None]:
        yield
        case.process.send_signal(number)
        yield
        yield

    return send


for _name in ("SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP"):
    fault(_name)(_signal(getattr(signal, _name)))


def observe(name: str, kind: str, home: Path, fitted: Path) -> tuple[str, bool]:
    """A row of the table, and whether it is as it should be."""
    case = Case(kind, home, fitted)
    shutil.copytree(fitted.parent / "data", case.root, copy_function=os.link)
    steps = FAULTS[name][0](case)
    next(steps)
    case.process = process = case.begin()
    there = case.under_way(process)
    begun = time.monotonic()
    next(steps)
    code: int | str
    try:
        code = process.wait(HANGS)
    except subprocess.TimeoutExpired:
        code = "hangs"
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
        process.wait()
    seconds, said, traceback = time.monotonic() - begun, case.said(), case.traceback()
    kept = step(case.run) if kind != "eval" else None
    next(steps)
    again = case.begin(again=True).wait(600)
    with suppress(StopIteration):
        next(steps)
    fine = isinstance(code, int) and code != 0 and not traceback and again == 0
    if name in ("cut-off",) and kind != "eval":
        fine = again == 0
    when = f"after {seconds:.0f} s" if there else "at its beginning"
    what = " **with a traceback**" if traceback else ""
    left = "" if kind == "eval" else f"checkpoint of step {kept}" if kept else "no checkpoint"
    line = said.replace(str(home), "…").replace("|", "/")
    return f"| {name} | {kind} | {code} {when}{what} | {line} | {left} | {again} |", fine


def step(run: Path) -> int | None:
    """Of the newest whole checkpoint."""
    from ssl_av.training.resume import newest_whole, peek

    found = newest_whole(run)
    return found and peek(found)[0]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--faults", default=",".join(FAULTS))
    parser.add_argument("--commands", default="fit,eval,bench")
    parser.add_argument("--list", action="store_true")
    args = parser.parse_args()
    if args.list:
        print("\n".join(f"{name:18} {', '.join(kinds)}" for name, (_, kinds) in FAULTS.items()))
        return
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="ssl-av-faults-") as scratch:
        os.environ["SSL_AV_CACHE"] = f"{scratch}/cache"
        fitted = Path(scratch) / "fitted"
        words = [w if w != "steps=150" else "steps=4" for w in FIT]
        subprocess.run(
            [sys.executable, "-m", "ssl_av", *words, "--out", str(fitted), "--data.root", f"{scratch}/data"],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        print("| fault | command | exit code | said | left | again |\n|---|---|---|---|---|---|")
        for name in args.faults.split(","):
            for kind in args.commands.split(","):
                if kind in FAULTS[name][1]:
                    row, fine = observe(name, kind, Path(scratch) / f"{name}-{kind}", fitted)
                    wrong += not fine
                    print(row if fine else f"{row} **WRONG**", flush=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
