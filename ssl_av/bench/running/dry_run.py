"""`ssl-av bench --dry-run`: what would run and how long it would take. Nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ssl_av.bench.analysis.wording import duration
from ssl_av.bench.records import FILE, load_records
from ssl_av.bench.running.estimate import Estimate, Known, together
from ssl_av.bench.running.live import clock
from ssl_av.bench.running.only import only
from ssl_av.bench.running.run_suite import label
from ssl_av.bench.runs import checkpoint_of, finished, run_name
from ssl_av.bench.suite import Suite, before
from ssl_av.config import RunConfig
from ssl_av.data.loading import cores
from ssl_av.errors import UserError
from ssl_av.lock import holder, is_held
from ssl_av.runs.cost import Cost, measure
from ssl_av.runs.dry_run import training_samples
from ssl_av.training.resume import peek


@dataclass(frozen=True)
class Planned:
    """A run as it stands: its cost, the steps that were done (None: it is over), and what the rest takes."""

    label: str
    cost: Cost | None
    steps: int
    done: int | None
    estimate: Estimate


def dry_run(
    suite: Suite, methods: Sequence[str], out: Path, console: Console, wanted: Sequence[str] = ()
) -> int:
    """Prints each run's state, steps, parameters and time; needs no data.

    Raises:
        UserError: as the suite itself would, before it reads data; if the training split's size is not known.
    """
    plan = only(suite.plan(methods), wanted)
    before(out, suite)
    samples = training_samples(plan[0], None)
    jobs = min(suite.jobs, cores(), len(plan))
    runs = _planned(suite, plan, out, samples, jobs, console)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("run", "state", "steps", "videos", "parameters", "time", "known from"):
        table.add_column(name, justify="left" if name in ("run", "state", "known from") else "right")
    for run in runs:
        state, style = "to run", ""
        if run.done is None:
            state, style = "done before", "dim"
        elif run.done:
            state = f"goes on at step {run.done:,}"
        trains = run.cost is not None
        about = "≈ " if run.cost and run.cost.minutes is not None else ""
        table.add_row(
            run.label, state, f"{about}{run.steps:,}" if trains else "–",
            f"{about}{run.steps * run.cost.batch_size:,}" if run.cost else "–",
            f"{run.cost.parameters['total']:,}" if run.cost else "–",
            clock(run.estimate.seconds) if run.done is not None and run.estimate.source else "",
            run.estimate.source if run.done is not None else "", style=style,
        )  # fmt: skip
    console.print(f"[bold]{suite.name}[/] on {suite.data['name']}: {samples:,} videos to train from → {out}")
    console.print(table)
    console.print(Text("\n".join(_summary(runs, jobs, out))))
    if suite.tune.trials:
        console.print(f"before them {suite.tune.trials} trials of each method that trains (--tune)")
    return 0


def _planned(
    suite: Suite, plan: Sequence[RunConfig], out: Path, samples: int, jobs: int, console: Console
) -> list[Planned]:
    records = load_records(out) if (out / FILE).is_file() else []
    costs: dict[str, Cost | None] = {}
    known = Known(records, samples, jobs)
    runs = []
    with console.status("measuring a step of each method …") as status:
        for config in plan:
            name, folder = config.name, out / run_name(config)
            status.update(f"{name} …")
            if name not in costs:
                costs[name] = _cost(config, samples)
            cost = costs[name]
            done = None if finished(folder, config) else _steps_done(folder, config)
            if done is None and cost is not None and cost.steps is not None:
                estimate = Estimate(0.0, 0.0, "")
            elif cost is not None and (minutes := cost.minutes) is not None:
                one = known.of(config, cost, 1)
                cost = cost.by_the_clock(one.training)
                left = max(60 * minutes - (done or 0) * one.training, 0.0)
                estimate = Estimate(left, one.evaluation, f"the budget; steps: {one.source}")
            else:
                estimate = known.of(config, cost, ((cost.steps or 0) if cost else 0) - (done or 0))
            runs.append(Planned(label(config, suite), cost, cost.steps or 0 if cost else 0, done, estimate))
    return runs


def _cost(config: RunConfig, samples: int) -> Cost | None:
    """What a run costs; None for a network that is only measured."""
    from ssl_av.methods import method_class

    if not method_class(config.method["name"]).trains:
        return None
    try:
        return measure(config, samples)
    except UserError as e:  # of several methods, which one is it
        raise UserError(f"{config.name}: {e}") from None


def _steps_done(folder: Path, config: RunConfig) -> int:
    """Steps that are in the checkpoint that a run goes on from."""
    return peek(checkpoint_of(folder, config)).steps


def _summary(runs: Sequence[Planned], jobs: int, out: Path) -> list[str]:
    todo = [run for run in runs if run.done is not None]
    lines = []
    if is_held(out):
        lines.append(f"{holder(out)} is working in {out}")
    if not todo:
        return [*lines, "nothing is left to do: the same command writes the report again"]
    seconds = together([run.estimate.seconds for run in todo], jobs)
    at_once = f", {jobs} at a time" if jobs > 1 else ""
    lines.append(f"{len(todo)} of {len(runs)} runs to do{at_once}: about {duration(seconds) or '0 s'}")
    if any(run.cost and run.cost.minutes is not None for run in todo):
        lines.append(
            "of a budget of minutes the time of training is known and the steps only at the end: ≈ is what the "
            "networks alone would make of it, reading and augmentation take their part; evaluation comes on top"
        )
    elif any(run.estimate.evaluation is None for run in todo):
        lines.append(
            "of runs without an earlier one: forward and backward of the networks alone; reading, augmentation and "
            "evaluation come on top"
        )
    return lines
