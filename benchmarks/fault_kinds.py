"""The faults of `faults.py`: each prepares, waits until its command is under way, makes the fault, waits, mends it."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fault_cases import Case

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
    """A reading process that does not come back: ten times the limit of one sample is waited for it."""
    case.workers, case.words = "1", ["--data.timeout", "3"]
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
    if case.kind == "fit":
        shutil.rmtree(case.out)  # with other settings it does not go on in this folder
    case.words = []
    yield


@fault("cut-off")
def cut_off(case: Case) -> Iterator[None]:
    """Killed, and the last checkpoint was cut off."""
    last = (case.home / "fitted" if case.kind == "eval" else case.run) / "checkpoints" / "last.ckpt"
    if case.kind == "eval":
        shutil.copytree(case.fitted, case.home / "fitted")
        last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    yield
    if case.kind != "eval":
        while not last.with_name("last-1.ckpt").exists():
            time.sleep(0.01)
        case.process.kill()
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
    case.alone = "mount -t tmpfs -o size=64k tmpfs /dev/shm"
    yield
    yield
    case.alone = ""
    yield


def _signal(number: int) -> Fault:
    def send(case: Case) -> Iterator[None]:
        yield
        os.kill(case.process.pid, number)
        yield
        yield

    return send


for _name in ("SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP"):
    fault(_name)(_signal(getattr(signal, _name)))
