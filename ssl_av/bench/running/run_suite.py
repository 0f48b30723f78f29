"""Runs a suite: what is not done yet, then the report."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from ssl_av.bench.records import FILE, append_record, load_records, plain, row_name
from ssl_av.bench.report import write_report
from ssl_av.bench.running.launch import Task, locally
from ssl_av.bench.running.live import Board
from ssl_av.bench.running.only import only
from ssl_av.bench.running.perform import failure, now
from ssl_av.bench.running.tune import check_tuning, tune
from ssl_av.bench.runs import damage, finished
from ssl_av.bench.suite import Suite, SuiteFolder, before
from ssl_av.bench.writing.summary import summary_table
from ssl_av.config import RunConfig
from ssl_av.data.loading import cores
from ssl_av.data.manifest import Manifest
from ssl_av.data.once import decode_once
from ssl_av.data.prepare import prepare_manifest, restrict
from ssl_av.data.views import View
from ssl_av.errors import UserError
from ssl_av.evaluation.elsewhere import prepare_elsewhere
from ssl_av.lock import locked
from ssl_av.methods import method_class
from ssl_av.runs.run import asked_views, build_method
from ssl_av.text import one_line
from ssl_av.tracking import Tracking
from ssl_av.tracking.suite import log_suite
from ssl_av.training.spending import Plan

Record = dict[str, Any]

Launch = Callable[[Sequence[Task], Path, int, Board], Generator[tuple[Task, Record], None, None]]
"""Does tasks on a manifest's file, so many at a time, and tells the board; yields each with its record."""


def run_suite(
    suite: Suite,
    methods: Sequence[str],
    out: Path,
    command: str,
    console: Console,
    wanted: Sequence[str] = (),
    launch: Launch = locally,
    jobs: int | None = None,
) -> int:
    """Runs what is not done yet, then writes the report.

    Args:
        suite: what is compared.
        methods: names of rows and methods.
        out: the suite's folder.
        command: the command line, for the report.
        console: where to say what happens.
        wanted: the runs that are done now, as `only` reads them; all of them where it is empty.
        launch: what does the runs.
        jobs: runs at a time; None: as many as the suite says, and no more than there are cores.

    Returns:
        Exit code: 0, or 1 if a method failed.

    Raises:
        UserError: for a wrong setting; if another process works in the folder; if no run was completed.
    """
    plan = suite.plan(methods)
    for config in plan:
        method_class(config.method["name"])  # an unknown name ends the command before anything is done
    if suite.tune.trials:
        check_tuning(suite, methods)
    chosen = only(plan, wanted)
    before(out, suite)  # a folder of something else is left as it is
    manifest = _prepare(suite, plan)
    with locked(out):
        folder = SuiteFolder(out, suite, manifest.hash, methods, command)
        saved = out / "manifest.arrow"
        manifest.save(saved)
        counts = ", ".join(f"{len(manifest.split(s))} {s}" for s in ("train", "val", "test"))
        jobs = min(jobs or min(suite.jobs, cores()), len(chosen))
        at_once = f", {jobs} at a time" if jobs > 1 else ""
        console.print(
            f"[bold]{suite.name}[/]: {len(chosen)} runs on {suite.data['name']} "
            f"({counts}; {len(manifest.skipped)} skipped){at_once}"
        )
        if suite.tune.trials:
            suite = tune(suite, chosen, manifest, saved, out, jobs, console, launch)
            chosen = only(suite.plan(methods), wanted)
        records = _run(chosen, folder, saved, jobs, len(manifest.classes), console, launch)
        code = _finish(out, records, console)
        tracking = Tracking.of(suite.wandb)
        if tracking.on:
            try:
                log_suite(out, tracking)
            # The report is written: W&B's trouble must not make the suite a failed one.
            except Exception as e:
                console.print(f"W&B has not got the comparison: {' '.join(str(e).split())}", markup=False)
        return code


def _prepare(suite: Suite, plan: Sequence[RunConfig]) -> Manifest:
    """The samples that all methods of a plan can use: with picture and sound; refuses what could not be trained."""
    name, first = suite.data["name"], plan[0]
    prepared = prepare_manifest(name, first.dataset_args, first.loading)
    manifest = restrict(prepared, ("video", "audio"), name)
    views: list[View] = []
    for config in plan:
        if config.method["name"] != "supervised" or len(manifest.classes) > 1:
            # A wrong setting is told now, not in an hour.
            views += asked_views(build_method(config, manifest))
            if method_class(config.method["name"]).trains:
                Plan.of(config, partial(build_method, config, manifest), len(manifest.split("train")))
    prepare_elsewhere(first, views)  # what is not there is told before anything is trained
    return restrict(decode_once(prepared, name, first.loading, views), ("video", "audio"), name)


def _run(
    plan: Sequence[RunConfig],
    folder: SuiteFolder,
    manifest: Path,
    jobs: int,
    classes: int,
    console: Console,
    launch: Launch,
) -> list[Record]:
    """The records of all runs, in the order of the plan."""
    labels = [label(config, folder.suite) for config in plan]
    records: dict[int, Record] = {}
    kept = load_records(folder.root) if (folder.root / FILE).is_file() else []
    with Board(console, labels, jobs) as board:

        def keep(place: int, record: Record, before: bool = False) -> None:
            records[place] = record
            if not before or plain(record) not in kept:
                append_record(folder.root, record)
            board.over(labels[place], record, before)

        tasks = []
        for place, config in enumerate(plan):
            home = folder.run_folder(config)
            if done := finished(home, config):
                keep(place, done, before=True)
            elif config.method["name"] == "supervised" and classes < 2:
                why = "the data have no labels to train with"
                keep(place, failure(config, why, now(), status="skipped"))
            else:
                for said in damage(home):
                    print(f"ssl-av: warning: {one_line(said)}", file=sys.stderr)
                tasks.append(Task(place, labels[place], config, home))
        with closing(launch(tasks, manifest, jobs, board)) as ended:
            for task, record in ended:
                keep(task.place, record)
    return [records[place] for place in sorted(records)]


def label(config: RunConfig, suite: Suite) -> str:
    """What the terminal calls a run."""
    return f"{config.name} seed {config.seed}" if len(suite.seeds) > 1 else config.name


def _finish(out: Path, records: Sequence[Record], console: Console) -> int:
    """Says what there is, then writes the report: a disk that has no room for it takes none of the words."""
    failed = [r for r in records if r["status"] == "failed"]
    skipped = {s["path"]: s["reason"] for r in records for s in r.get("data", {}).get("skipped", [])}
    completed = any(r["status"] == "completed" for r in records)
    if completed:
        console.print(summary_table(list(records)))
    if skipped:
        console.print(f"{len(skipped)} samples were skipped:")
        for file, reason in list(skipped.items())[:10]:
            console.print(f"  {file}: {reason}", markup=False)
        if len(skipped) > 10:
            console.print(f"  … all of them are in the report and in {out / 'records.jsonl'}")
    for record in failed:
        console.print(f"failed: {row_name(record)} seed {record['seed']}: {record['error']}", markup=False)
    if completed:
        console.print(f"report: {write_report(out)}")
    if failed and len(failed) == len(records):
        raise UserError(f"no run was completed; the first error: {failed[0]['error']}")
    return 1 if failed else 0
