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
import os
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from fault_cases import FIT, Case, Command
from fault_kinds import FAULTS

HANGS = 150.0
"""Seconds after which a command that has met its fault is taken to hang."""


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
    except TimeoutError:
        code = "hangs"
        process.kill()
        process.wait()
    seconds, said, traceback = time.monotonic() - begun, case.said(), case.traceback()
    printed = "".join(case.file.read_text(errors="replace").split())  # a terminal breaks long lines
    kept = step(case.run) if kind != "eval" else None
    records = case.recorded() if kind == "bench" else {}
    next(steps)
    again = case.begin(again=True).wait(600)
    in_the_end = case.recorded() if kind == "bench" else {}
    with suppress(StopIteration):
        next(steps)
    fine = isinstance(code, int) and code != 0 and not traceback and again == 0
    if name in ("cut-off",) and kind != "eval":
        fine = again == 0
    if kind == "bench":  # the other run is kept; why this one failed stands in its record and at the end
        why = records.get("avid", "").removeprefix("completed")
        fine &= records.get("random", "completed") == "completed" and "".join(why.split()) in printed
        said = said if not why or said.startswith("ssl-av:") else f"failed: avid seed 0: {why}"
        fine &= in_the_end == {"random": "completed", "avid": "completed"}
    when = f"after {seconds:.0f} s" if there else "at its beginning"
    what = " **with a traceback**" if traceback else ""
    left = "" if kind == "eval" else f"checkpoint of step {kept}" if kept else "no checkpoint"
    if kind == "bench":
        told = [
            f"{name} {'completed' if said == 'completed' else 'failed'}" for name, said in records.items()
        ]
        left += f"; {', '.join(told) or 'no run had begun'}"
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
    if other := set(args.faults.split(",")) - set(FAULTS):
        parser.error(f"--faults {', '.join(sorted(other))}: none of {', '.join(FAULTS)}")
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="ssl-av-faults-") as scratch:
        os.environ["SSL_AV_CACHE"] = f"{scratch}/cache"
        fitted = Path(scratch) / "fitted"
        # What the commands need, once.
        import sklearn.svm  # noqa: F401

        import ssl_av.runs.run  # noqa: F401

        words = [w if w != "steps=40" else "steps=4" for w in FIT]
        words += ["--out", str(fitted), "--data.root", f"{scratch}/data"]
        if Command(words, Path(scratch), {}, Path(scratch) / "said.txt", "", False).wait():
            sys.exit((Path(scratch) / "said.txt").read_text())
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
