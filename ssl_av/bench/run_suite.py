"""Runs a suite: one run after another, with progress, records and the report."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ssl_av.bench.records import append_record, row_name
from ssl_av.bench.report import write_report
from ssl_av.bench.suite import Suite, SuiteFolder
from ssl_av.bench.summary import summary_table
from ssl_av.bench.worker import failure, run_in_process
from ssl_av.config import RunConfig
from ssl_av.data.once import decode_once
from ssl_av.data.prepare import prepare_manifest, restrict
from ssl_av.data.views import View
from ssl_av.errors import UserError
from ssl_av.methods import method_class
from ssl_av.run import asked_views, build_method

#: A run's share of its bar that is training; the rest is evaluation.
TRAINING = 0.8


def run_suite(suite: Suite, methods: Sequence[str], out: Path, command: str, console: Console) -> int:
    """Runs what is not done yet, then writes the report.

    Args:
        suite: what is compared.
        methods: names of rows and methods.
        out: the suite's folder.
        command: the command line, for the report.
        console: where to say what happens.

    Returns:
        Exit code: 0, or 1 if a method failed.
    """
    plan = suite.plan(methods)
    for config in plan:
        method_class(config.method["name"])  # an unknown name ends the command before anything is done
    name = suite.data["name"]
    first = suite.run_config(methods[0], suite.seeds[0])
    prepared = prepare_manifest(name, first.dataset_args, first.loading)
    # Every method gets the samples that all of them can use: with picture and sound.
    manifest = restrict(prepared, ("video", "audio"), name)
    views: list[View] = []
    for config in plan:
        if config.method["name"] != "supervised" or len(manifest.classes) > 1:
            config.budget.to_steps(
                len(manifest.split("train")), min(config.loading.batch_size, len(manifest))
            )
            # A wrong setting is told now, not in an hour.
            views += asked_views(build_method(config, manifest))
    manifest = restrict(decode_once(prepared, name, first.loading, views), ("video", "audio"), name)
    folder = SuiteFolder(out, suite, manifest.hash, methods, command)
    saved = out / "manifest.arrow"
    manifest.save(saved)
    counts = ", ".join(f"{len(manifest.split(s))} {s}" for s in ("train", "val", "test"))
    jobs = min(suite.jobs, os.cpu_count() or 1, len(plan))
    at_once = f", {jobs} at a time" if jobs > 1 else ""
    console.print(
        f"[bold]{suite.name}[/]: {len(plan)} runs on {name} ({counts}; {len(manifest.skipped)} skipped){at_once}"
    )
    records = _run(plan, suite, folder, saved, jobs, len(manifest.classes), console)
    return _finish(out, records, console)


def _run(
    plan: Sequence[RunConfig],
    suite: Suite,
    folder: SuiteFolder,
    manifest: Path,
    jobs: int,
    classes: int,
    console: Console,
) -> list[dict[str, Any]]:
    """The records of all runs, in the order of the plan; so many at a time."""
    records: dict[int, dict[str, Any]] = {}
    stop = threading.Event()
    with _progress(console) as progress, ThreadPoolExecutor(jobs) as pool:
        bars = _Bars(progress, len(plan))
        running: dict[Future[dict[str, Any]], tuple[int, str]] = {}
        try:
            for place, config in enumerate(plan):
                label = f"{config.name} seed {config.seed}" if len(suite.seeds) > 1 else config.name
                done = folder.finished(config)
                if done is None:
                    future = pool.submit(_one, config, folder, manifest, bars, label, classes, jobs, stop)
                    running[future] = place, label
                    continue
                records[place] = done
                append_record(folder.root, done)
                bars.done(label)
                console.print(f"  {label}: done before")
            for future in as_completed(running):
                place, label = running[future]
                records[place] = future.result()
                append_record(folder.root, records[place])
                bars.done(label)
                console.print(_line(label, records[place]))
        except BaseException:  # Ctrl-C, mostly: what runs is ended, what waits is not begun
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    return [records[place] for place in sorted(records)]


class _Bars:
    """A bar for each run, and one for the suite."""

    def __init__(self, progress: Progress, total: int) -> None:
        self.progress = progress
        self.suite = progress.add_task("suite", total=total, note="")
        self.tasks: dict[str, TaskID] = {}
        self.shares: dict[str, float] = {}

    def begin(self, label: str) -> None:
        """A run begins."""
        self.tasks[label] = self.progress.add_task(label, total=1.0, note="starting")

    def show(self, label: str, share: float, note: str) -> None:
        """A run has got so far."""
        self.shares[label] = share
        self.progress.update(self.tasks[label], completed=share, note=note)
        self.progress.update(self.suite, completed=sum(list(self.shares.values())))

    def done(self, label: str) -> None:
        """A run is over."""
        self.shares[label] = 1.0
        if label in self.tasks:
            self.progress.remove_task(self.tasks.pop(label))
        self.progress.update(self.suite, completed=sum(list(self.shares.values())))


def _one(
    config: RunConfig,
    folder: SuiteFolder,
    manifest: Path,
    bars: _Bars,
    label: str,
    classes: int,
    jobs: int,
    stop: threading.Event,
) -> dict[str, Any]:
    """One run with its bar."""
    if config.method["name"] == "supervised" and classes < 2:
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        return failure(config, "the data have no labels to train with", now, status="skipped")
    bars.begin(label)

    def listen(message: tuple[str, int, int, dict[str, float]]) -> None:
        what, done, total, numbers = message
        share = done / total if total else 1.0
        at = TRAINING * share if what == "training" else TRAINING + (1 - TRAINING) * share * 0.9
        bars.show(
            label, at, " ".join([what, *(f"{k.removeprefix('val/')} {v:.3g}" for k, v in numbers.items())])
        )
        if not bars.progress.console.is_terminal and done == total and what == "training":
            bars.progress.console.print(f"  {label}: trained {done} steps")

    out, resume = folder.run_folder(config), folder.resumable(config)
    return run_in_process(config, manifest, out, resume, listen, jobs, stop)


def _line(label: str, record: dict[str, Any]) -> str:
    """What a finished run says in the terminal."""
    if record["status"] != "completed":
        return f"  [red]{label}: {record['status']}[/]: {record['error']}"
    svm = record["results"].get("linear-svm", {})
    scores = ", ".join(f"{m} {100 * r['top1']:.1f} %" for m, r in svm.items() if isinstance(r, dict))
    return f"  {label}: {scores or 'done'} ({record['cost']['total_seconds']:.0f} s)"


def _finish(out: Path, records: Sequence[dict[str, Any]], console: Console) -> int:
    failed = [r for r in records if r["status"] == "failed"]
    skipped = {s["path"]: s["reason"] for r in records for s in r.get("data", {}).get("skipped", [])}
    if any(r["status"] == "completed" for r in records):
        path = write_report(out)
        console.print(summary_table(list(records)))
        console.print(f"report: {path}")
    if skipped:
        console.print(f"{len(skipped)} samples were skipped:")
        for file, reason in list(skipped.items())[:10]:
            console.print(f"  {file}: {reason}", markup=False)
        if len(skipped) > 10:
            console.print(f"  … all of them are in the report and in {out / 'records.jsonl'}")
    for record in failed:
        console.print(f"failed: {row_name(record)} seed {record['seed']}: {record['error']}", markup=False)
    if failed and len(failed) == len(records):
        raise UserError(f"no run was completed; the first error: {failed[0]['error']}")
    return 1 if failed else 0


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        disable=not console.is_terminal,
    )
