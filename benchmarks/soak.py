"""A suite that is killed again and again, against the same suite left alone: it must end with the same table.

    python benchmarks/soak.py                          # the tiny suite, all five methods; the better part of an hour
    python benchmarks/soak.py --kills 12 --budget steps=40     # further words are those of `ssl-av bench`
    python benchmarks/soak.py --quick                          # AVID alone, 30 steps, four kills; two minutes

`ssl-av bench` is run once and left alone. Then the same command is given again and again while its processes are ended
by SIGKILL at random times: mostly all of them at once, sometimes the command alone (what it began must end by itself),
sometimes one process below it. After so many kills it is left to end. Compared are, to the last bit: every number of
every record that is no time, what is in each run's last checkpoint (weights, memory bank, positives, optimiser, random
state), and every row of each metrics.csv. Nothing may be left over: no process, no half-written line or file, no
record twice. Exit code 0 if so, 1 if not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from alike import unequal

from ssl_av.bench.records import read_records, row_name
from ssl_av.training.logs import read_rows
from ssl_av.training.resume import newest_whole, peek

METHODS = "brave,stica,crisscross,avid,cma"
MARK = "SSL_AV_SOAK"
"""In the environment of every process that the command begins, so that none is overlooked."""

MOSTLY = 0.8
"""Share of the commands that are let be until a run begins: on a slow machine only imports would be killed."""

ALONE = 40.0
"""Seconds that a process may live on once its command is gone: `GRACE` of a suite's runs, and PyTorch's own 5."""

QUICK = [
    "--methods", "avid",
    "--data.train", "24", "--data.val", "8", "--data.test", "8", "--data.batch_size", "8", "--inputs.size", "32",
    "--networks.video_args.width", "4", "--networks.audio_args.width", "4", "--methods.avid.negatives", "8",
    "--evaluation.clips", "1", "--budget", "steps=30", "--safety.checkpoint_every", "steps=4",
]  # fmt: skip


def main() -> None:
    """Runs the suite twice and compares; the exit code says what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="AVID alone, 30 steps, four kills")
    parser.add_argument("--kills", type=int, default=30, help="at most so many")
    parser.add_argument(
        "--seconds", type=float, nargs=2, default=(15.0, 60.0), help="from one kill to the next"
    )
    parser.add_argument("--limit", type=float, default=120.0, help="minutes, of the suite that is killed")
    parser.add_argument("--seed", type=int, default=0, help="of the kills")
    parser.add_argument("--folder", type=Path, help="where both suites go (default: one that is removed)")
    args, more = parser.parse_known_args()
    words = ["--methods", METHODS, "--safety.checkpoint_every", "steps=10", *more]
    if args.quick:
        words, args.kills, args.seconds = [*QUICK, *more], 4, (5.0, 45.0)
    with tempfile.TemporaryDirectory(prefix="ssl-av-soak-") as scratch:
        folder = args.folder or Path(scratch)
        begun = time.monotonic()
        whole, soaked = folder / "whole", folder / "soaked"
        left_alone(words, whole)
        print(f"left alone: {(time.monotonic() - begun) / 60:.1f} min", flush=True)
        kills = Killer(args.seed, args.seconds, args.kills)
        begun = time.monotonic()
        kills.until_it_ends(words, soaked, 60 * args.limit)
        lost = len(read_records(soaked).unreadable)
        print(f"killed: {(time.monotonic() - begun) / 60:.1f} min; {kills.told()}; {lost} half-written lines")
        wrong = [*kills.wrong, *unequal(whole, soaked), *leftovers(soaked)]
        for line in table(whole, soaked):
            print(line)
        for line in wrong[:20]:
            print(f"WRONG: {line}")
        runs = len(read_records(soaked).records)
        print(f"verdict: {'NOT the same' if wrong else f'the same to the last bit, {runs} runs'}")
    sys.exit(1 if wrong else 0)


def command(words: list[str], out: Path, **environment: str) -> subprocess.Popen[str]:
    """Begins the suite in a folder, in a session of its own; what it says goes beside the folder."""
    out.parent.mkdir(parents=True, exist_ok=True)
    said = out.with_name(f"{out.name}.txt").open("a", encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, "-m", "ssl_av", "bench", *words, "--out", str(out)],
        env={**os.environ, "COLUMNS": "150", **environment},
        stdout=said,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def left_alone(words: list[str], out: Path) -> None:
    """The suite that nothing happens to."""
    if command(words, out).wait():
        sys.exit(f"the suite fails when it is left alone: see {out}.txt")


class Killer:
    """Gives a command again and again, and kills it.

    Args:
        seed: of when and what.
        seconds: the least and the most from one kill to the next.
        most: kills.

    Attributes:
        wrong: what must not be.
    """

    def __init__(self, seed: int, seconds: tuple[float, float], most: int) -> None:
        self.random, self.seconds, self.most = random.Random(seed), seconds, most
        self.kinds: Counter[str] = Counter()
        self.commands = self.again = self.processes = 0
        self.wrong: list[str] = []

    def until_it_ends(self, words: list[str], out: Path, limit: float) -> None:
        """Until the command ends with exit code 0, or the time is over."""
        end = time.monotonic() + limit
        while True:
            mark = uuid.uuid4().hex
            process = command(words, out, **{MARK: mark})
            self.commands += 1
            if self.random.random() < MOSTLY:
                runs_begin(process, out)
            while self.most > sum(self.kinds.values()) and process.poll() is None:
                try:
                    process.wait(self.random.uniform(*self.seconds))
                except subprocess.TimeoutExpired:
                    self.kill(process, mark, out)
            try:
                code = process.wait(max(end - time.monotonic(), 1))
            except subprocess.TimeoutExpired:
                self.wrong.append(f"the command did not end in {limit / 60:g} minutes")
                process.kill()
                return
            self.see_that_they_end(mark)
            if code == 0:
                return
            if code not in (-signal.SIGKILL, 1, 2):  # killed; a run was killed, or all runs were
                self.wrong.append(f"exit code {code}")
                return

    def kill(self, process: subprocess.Popen[str], mark: str, out: Path) -> None:
        """Kills all processes, the command alone, or one below it."""
        kind = self.random.choices(("all processes", "the command alone", "one process below it"), (6, 2, 2))[
            0
        ]
        below = sorted(p for p in marked(mark) if p != process.pid)
        chosen = [process.pid, *below]
        if kind == "the command alone":
            chosen = [process.pid]
        elif kind == "one process below it" and below:
            chosen = [self.random.choice(below)]
        before = steps_done(out)
        for pid in chosen:
            try:
                os.kill(pid, signal.SIGKILL)
                self.processes += 1
            except ProcessLookupError:
                continue
        self.kinds[kind] += 1
        if kind == "all processes":
            self.again += sum(max(done - kept, 0) for done, kept in before)

    def see_that_they_end(self, mark: str) -> None:
        """What a command has begun ends soon after it, whatever ended the command."""
        end = time.monotonic() + ALONE
        while (there := list(marked(mark))) and time.monotonic() < end:
            time.sleep(0.5)
        for pid in there:
            self.wrong.append(f"process {pid} lives on: {' '.join(psutil.Process(pid).cmdline())[:100]}")
            os.kill(pid, signal.SIGKILL)

    def told(self) -> str:
        """What was done."""
        kinds = ", ".join(f"{n} x {kind}" for kind, n in self.kinds.items()) or "none"
        return (
            f"{sum(self.kinds.values())} kills ({kinds}; {self.processes} processes), the command given "
            f"{self.commands} times, at least {self.again} steps done again"
        )


def runs_begin(process: subprocess.Popen[str], out: Path) -> None:
    """Waits until a run of the command works, or it has ended."""
    begun = time.time()
    while process.poll() is None:
        for held in out.glob("*/.lock.json"):
            with suppress(OSError):
                if held.stat().st_mtime > begun:
                    return
        time.sleep(0.2)


def marked(mark: str) -> Iterator[int]:
    """The living processes with a mark in their environment."""
    for process in psutil.process_iter(["environ", "status"]):
        if (process.info["environ"] or {}).get(MARK) == mark and process.info[
            "status"
        ] != psutil.STATUS_ZOMBIE:
            yield process.pid


def steps_done(out: Path) -> list[tuple[int, int]]:
    """Of each run that is not done: steps that metrics.csv shows (every tenth) and step of its newest checkpoint."""
    found = []
    for log in out.glob("*/metrics.csv"):
        if not (log.parent / "record.json").exists():
            rows = read_rows(log)[1]
            kept = newest_whole(log.parent)
            found.append((int(rows[-1]["step"]) + 1 if rows else 0, peek(kept)[0]))
    return found


def leftovers(out: Path) -> Iterator[str]:
    """What a kill has left in a suite's folder that is done."""
    yield from (f"{path} was left half written" for path in out.rglob("*.part"))
    reading = read_records(out)
    if reading.replaced - failures(out):
        yield f"{reading.replaced - failures(out)} records stand twice in records.jsonl"


def failures(out: Path) -> int:
    """Lines of runs that were killed below a command that lived on: they are replaced, and stay in the file."""
    lines = (out / "records.jsonl").read_text(encoding="utf-8").splitlines()
    return sum('"status": "failed"' in line for line in lines)


def table(whole: Path, soaked: Path) -> Iterator[str]:
    """The linear SVM's accuracy of every run, of both suites."""
    yield f"{'run':16} {'steps':>6}  {'linear SVM, video / audio: left alone':38} killed"
    old, new = ({row_name(r): r for r in read_records(f).records} for f in (whole, soaked))
    for name, record in old.items():
        steps = record["budget"]["spent"].get("steps", 0)
        yield f"{name:16} {steps:6}  {accuracies(record):38} {accuracies(new.get(name, {}))}"


def accuracies(record: Mapping[str, Any]) -> str:
    """Of both modalities."""
    found = record.get("results", {}).get("linear-svm", {})
    return " / ".join(
        f"{100 * found[m]['top1']:.3f} %" for m in ("video", "audio") if m in found
    ) or json.dumps(record.get("error"))


if __name__ == "__main__":
    main()
