"""A suite under kill -9: it must end with the numbers of one that was left alone.

    python benchmarks/soak.py            # the tiny suite, killed every few seconds
    python benchmarks/soak.py --quick    # two methods, six steps

Runs a suite once undisturbed. Then again, and kills every process of it after a random time, again and again, until so
many kills have struck; what is left runs to its end. Prints what was lost: losses, results and skipped samples that
differ. Exit code 0 if nothing does.
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
from pathlib import Path

QUICK = [
    "--methods", "avid,crisscross", "--data.train", "24", "--data.val", "8", "--data.test", "8",
    "--data.batch_size", "8", "--evaluation.clips", "1", "--inputs.size", "32", "--networks.video_args.width", "4",
    "--networks.audio_args.width", "4", "--budget", "steps=6", "--methods.avid.negatives", "8",
]  # fmt: skip
WHOLE = ["--methods", "brave,stica,crisscross,avid,cma"]


def main() -> int:
    """The two suites, and what differs between them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--kills", type=int, help="how many (default: 20; quick: 3)")
    parser.add_argument(
        "--between", type=float, nargs=2, help="seconds of a life (default: 10 60; quick: 6 12)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the times")
    parser.add_argument("words", nargs="*", help="further words for `ssl-av bench`, after --")
    args = parser.parse_args()
    kills = args.kills or (3 if args.quick else 20)
    between = args.between or ((6.0, 12.0) if args.quick else (10.0, 60.0))
    times = random.Random(args.seed)
    words = [
        *(QUICK if args.quick else WHOLE),
        "--safety.checkpoint_every",
        "steps=2" if args.quick else "steps=20",
    ]
    words += args.words
    with tempfile.TemporaryDirectory() as folder:
        alone, soaked = Path(folder, "alone"), Path(folder, "soaked")
        if run(words, alone, None):
            return 1
        struck = begun = 0
        while True:
            begun += 1
            life = times.uniform(*between) if struck < kills else None
            code = run(words, soaked, life)
            if code != -signal.SIGKILL:
                break
            struck += 1
        found = lost(numbers(alone), numbers(soaked))
        resumed = sum(len(r["health"]["resumed_at"]) for r in records(soaked))
        print(f"{struck} kills, {begun} starts, trainings resumed {resumed} times, exit code {code}")
        print(
            "\n".join(found) or f"nothing lost: losses and results of {len(records(alone))} runs are the same"
        )
        return 1 if found or code else 0


def run(words: list[str], out: Path, life: float | None) -> int:
    """A suite that is killed with all its processes after ``life`` seconds; its exit code."""
    command = [sys.executable, "-m", "ssl_av", "bench", *words, "--out", str(out)]
    with subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL) as process:
        end = None if life is None else time.monotonic() + life
        while process.poll() is None:
            if end is not None and time.monotonic() > end:
                os.killpg(process.pid, signal.SIGKILL)
                return process.wait()
            time.sleep(0.2)
        return process.returncode


def records(suite: Path) -> list[dict]:
    """The records of a suite's runs."""
    return [json.loads(path.read_text()) for path in sorted(suite.glob("*/record.json"))]


def numbers(suite: Path) -> dict[str, dict]:
    """What must be the same, by run."""
    kept = ("status", "results", "curves", "collapse")
    return {
        f"{r['method']} seed {r['seed']}": {k: r.get(k) for k in kept} | {"skipped": r["data"]["skipped"]}
        for r in records(suite)
    }


def lost(old: dict, new: dict) -> list[str]:
    """A line for each number that differs."""
    from ssl_av.checks import differences

    return list(differences(old, new))


if __name__ == "__main__":
    sys.exit(main())
