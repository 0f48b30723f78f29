"""Runs a suite: one run after another, with progress, records and the report."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ssl_av.bench.records import append_record
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
        methods: names of the methods.
        out: the suite's folder.
        command: the command line, for the report.
        console: where to say what happens.

    Returns:
        Exit code: 0, or 1 if a method failed.
    """
    for name in (*methods, *suite.references):
        method_class(name)  # an unknown name ends the command before anything is done
    name = suite.data["name"]
    first = suite.run_config(methods[0], suite.seeds[0])
    prepared = prepare_manifest(name, first.dataset_args, first.loading)
    # Every method gets the samples that all of them can use: with picture and sound.
    manifest = restrict(prepared, ("video", "audio"), name)
    plan = suite.plan(methods)
    views: list[View] = []
    for config in plan:
        if config.method["name"] != "supervised" or len(manifest.classes) > 1:
            config.budget.to_steps(
                len(manifest.split("train")), min(config.loading.batch_size, len(manifest))
            )
            views += asked_views(
                build_method(config, manifest)
            )  # a wrong setting is told now, not in an hour
    manifest = restrict(decode_once(prepared, name, first.loading, views), ("video", "audio"), name)
    folder = SuiteFolder(out, suite, manifest.hash, methods, command)
    saved = out / "manifest.arrow"
    manifest.save(saved)
    counts = ", ".join(f"{len(manifest.split(s))} {s}" for s in ("train", "val", "test"))
    console.print(
        f"[bold]{suite.name}[/]: {len(plan)} runs on {name} ({counts}; {len(manifest.skipped)} skipped)"
    )

    records = []
    with _progress(console) as progress:
        overall = progress.add_task("suite", total=len(plan), note="")
        for config in plan:
            label = (
                f"{config.method['name']} seed {config.seed}"
                if len(suite.seeds) > 1
                else config.method["name"]
            )
            record = folder.finished(config)
            if record is None:
                record = _one(
                    config, folder, saved, progress, overall, label, manifest_classes=len(manifest.classes)
                )
                append_record(out, record)
                console.print(_line(label, record))
            else:
                append_record(out, record)
                console.print(f"  {label}: done before")
            records.append(record)
            progress.update(overall, completed=len(records))
    return _finish(out, records, console)


def _one(
    config: RunConfig,
    folder: SuiteFolder,
    manifest: Path,
    progress: Progress,
    overall: Any,
    label: str,
    manifest_classes: int,
) -> dict[str, Any]:
    """One run with its bar."""
    if config.method["name"] == "supervised" and manifest_classes < 2:
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        return failure(config, "the data have no labels to train with", now, status="skipped")
    task = progress.add_task(label, total=1.0, note="starting")
    base = progress.tasks[0].completed

    def listen(message: tuple[str, int, int, dict[str, float]]) -> None:
        what, done, total, numbers = message
        share = done / total if total else 1.0
        at = TRAINING * share if what == "training" else TRAINING + (1 - TRAINING) * share * 0.9
        note = " ".join([what, *(f"{k.removeprefix('val/')} {v:.3g}" for k, v in numbers.items())])
        progress.update(task, completed=at, note=note)
        progress.update(overall, completed=base + at)
        if not progress.console.is_terminal and done == total and what == "training":
            progress.console.print(f"  {label}: trained {done} steps")

    record = run_in_process(config, manifest, folder.run_folder(config), folder.resumable(config), listen)
    progress.remove_task(task)
    return record


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
        console.print(f"failed: {record['method']} seed {record['seed']}: {record['error']}", markup=False)
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
