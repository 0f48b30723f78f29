"""`ssl-av bench --tune trials=N`: as many trials of every row, judged on validation; the best setting is used.

A trial is a run of its own on a share of the budget. Its score is the online probe's top-1 on the validation split
after its last step, the mean over picture and sound; no protocol is run, so the test split is not read. The first
trial is the suite's own setting where the space holds it. Half of the trials are drawn at random, the same for every
method with the same space, the others by Optuna's tree-structured Parzen estimator from the trials before them. What
is drawn depends on the suite's first seed and on the trials that are done, so an interrupted tuning goes on as if
nothing had happened: the trials are kept in ``tuning/ROW.journal`` of the suite's folder (Optuna's journal).
"""

from __future__ import annotations

import dataclasses
import importlib.util
import shutil
import statistics
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from ssl_av.bench.running.launch import Task
from ssl_av.bench.running.live import Board
from ssl_av.bench.space import nested, said
from ssl_av.bench.suite import Suite
from ssl_av.config import RunConfig, merge
from ssl_av.data.manifest import Manifest
from ssl_av.errors import UserError
from ssl_av.methods import method_class
from ssl_av.methods.settings import plain, resolve
from ssl_av.options import check
from ssl_av.runs.run import build_method
from ssl_av.training.spending import Plan

if TYPE_CHECKING:
    from ssl_av.bench.running.run_suite import Launch

MEASURE = "online probe, top-1 on validation after the last step, mean over picture and sound"
FOLDER = "tuning"


def check_tuning(suite: Suite, methods: Sequence[str]) -> None:
    """What can be refused before any data are read.

    Raises:
        UserError: without Optuna, or for a space that a method has not, or that is no setting of it.
    """
    if importlib.util.find_spec("optuna") is None:
        raise UserError("--tune needs Optuna: pip install 'ssl-av[tune]'")
    for method in suite.tune.methods:
        method_class(method)  # an unknown name is told with the near ones
    for row in tuned(suite.plan(methods)):
        space, method = suite.space(row), suite.run_config(row, 0).method["name"]
        if not space:
            raise UserError(
                f"--tune: suite {suite.name} declares nothing to tune for {row}; add to its file "
                "tune: {space: {optim.lr: {log: [1.0e-4, 1.0e-2]}}}"
            )
        for place in range(max(len(r.values) for r in space.values())):  # both ends, or every choice
            one = nested({name: r.values[min(place, len(r.values) - 1)] for name, r in space.items()})
            check(f"methods.{method}", method_class(method), one, skip=("num_samples", "num_classes"))


def tuned(plan: Sequence[RunConfig]) -> list[str]:
    """The rows of a plan that are tuned: all that trains, the reference with labels too."""
    return list(dict.fromkeys(c.name for c in plan if method_class(c.method["name"]).trains))


def tune(
    suite: Suite,
    plan: Sequence[RunConfig],
    manifest: Manifest,
    saved: Path,
    out: Path,
    jobs: int,
    console: Console,
    launch: Launch,
) -> Suite:
    """The suite with the best setting of each row, after all trials that were not done before.

    Args:
        suite: as it is declared.
        plan: the runs that are to be done; their rows are tuned.
        manifest: the data; `saved` is its file.
        saved: for the trials' processes.
        out: the suite's folder.
        jobs: trials at a time, of different rows.
        console: where to say what happens.
        launch: what does the trials.

    Raises:
        UserError: if validation has nothing to judge by, or a trial's budget buys no step.
    """
    names = tuned(plan)
    if len(manifest.classes) < 2 or (manifest.split("val").labels < 0).all():
        raise UserError(
            f"--tune judges on validation: {suite.data['name']} has no validation split with one label a sample"
        )
    for name in names:
        config = trial_config(suite, name, {})
        Plan.of(config, partial(build_method, config, manifest), len(manifest.split("train")))
        ((unit, amount),) = config.budget.asked().items()
        console.print(f"tuning {name}: {suite.tune.trials} trials of {unit}={amount:g} each", highlight=False)
    studies = {name: _study(out / FOLDER, name) for name in names}
    for number in range(suite.tune.trials):
        drawn = {
            name: _draw(suite, name, number, study.trials)
            for name, study in studies.items()
            if len(study.trials) == number
        }
        if not drawn:  # all of these are done
            continue
        tasks = [
            Task(
                place,
                f"{name} trial {number + 1} ({said(settings)})",
                trial_config(suite, name, settings),
                out / FOLDER / name / f"trial-{number}",
            )
            for place, (name, settings) in enumerate(drawn.items())
        ]
        with (
            Board(console, [task.label for task in tasks], jobs) as board,
            closing(launch(tasks, saved, jobs, board)) as ended,
        ):
            for task, record in ended:
                name = task.config.name
                _keep(studies[name], suite, name, drawn[name], record)
                shutil.rmtree(task.folder / "checkpoints", ignore_errors=True)  # its networks are not used
                board.over(task.label, record)
    found = {name: _summary(suite, name, study.trials) for name, study in studies.items()}
    for name, about in found.items():
        best = about["best"]
        console.print(
            f"  {name}: {said(best['settings'])}, {100 * best['score']:.1f} % on validation"
            if best
            else f"  {name}: no trial was completed, its own setting is used",
            highlight=False,
        )
    return dataclasses.replace(suite, tuned=found)


def trial_config(suite: Suite, row: str, settings: Mapping[str, Any]) -> RunConfig:
    """One trial: a share of the budget, a probe at its end; no protocol and no figure, here or on other data."""
    config = suite.run_config(row, suite.seeds[0])
    return dataclasses.replace(
        config,
        method=merge(config.method, nested(settings)),
        budget=config.budget.scaled(suite.tune.share),
        evaluation=dataclasses.replace(
            config.evaluation, protocols=(), probes=1, figures=False, elsewhere=(), during=()
        ),
        wandb="off",
        tensorboard=False,
    )


def _study(out: Path, row: str) -> Any:
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    out.mkdir(parents=True, exist_ok=True)
    journal = out / f"{row}.journal"
    try:
        storage = JournalStorage(JournalFileBackend(str(journal)))
        study = optuna.create_study(
            study_name=row, storage=storage, direction="maximize", load_if_exists=True
        )
        _ = study.trials
    except Exception as e:  # a damaged journal raises anything from KeyError to JSONDecodeError
        raise UserError(
            f"{journal}: not a journal of trials ({type(e).__name__}: {e}); remove it to begin anew"
        ) from e
    return study


def _draw(suite: Suite, row: str, number: int, before: Sequence[Any]) -> dict[str, Any]:
    """The settings of a trial, from the seed, its number and the trials before it."""
    import optuna

    own = own_settings(suite, row)
    if number == 0 and own is not None:
        return own
    seed = int(np.random.SeedSequence([suite.seeds[0], number]).generate_state(1)[0])
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(suite.tune.trials // 2, 1))
    # In memory: only trials that are over reach the suite's folder.
    scratch = optuna.create_study(sampler=sampler, direction="maximize")
    scratch.add_trials(before)
    return dict(scratch.ask({n: r.distribution() for n, r in suite.space(row).items()}).params)


def own_settings(suite: Suite, row: str) -> dict[str, Any] | None:
    """What the suite itself sets of what is tuned; None where the space does not hold it."""
    config = suite.run_config(row, suite.seeds[0])
    given = {k: v for k, v in config.method.items() if k != "name"}
    settings = plain(resolve(method_class(config.method["name"]), given))
    found: dict[str, Any] = {}
    for name, values in suite.space(row).items():
        here: Any = settings
        for key in name.split("."):
            here = here.get(key) if isinstance(here, Mapping) else None
        if not values.holds(here):
            return None
        found[name] = here
    return found


def score_of(record: Mapping[str, Any]) -> float | None:
    """The last point of the online probes' curves, mean over the modalities; None where there is none."""
    curves = record.get("curves") or {}
    last = [curves[name][-1][1] for name in ("probe_video", "probe_audio") if curves.get(name)]
    return statistics.fmean(last) if last and record["status"] == "completed" else None


def _keep(study: Any, suite: Suite, row: str, settings: dict[str, Any], record: Mapping[str, Any]) -> None:
    """Puts a trial into the study."""
    from optuna.trial import TrialState, create_trial

    score = score_of(record)
    spent = record["budget"]["spent"] | {"total_seconds": (record.get("cost") or {}).get("total_seconds")}
    error = record["error"] or (None if score is not None else "no probe was measured")
    study.add_trial(
        create_trial(
            state=TrialState.FAIL if score is None else TrialState.COMPLETE,
            value=score,
            params=settings,
            distributions={n: r.distribution() for n, r in suite.space(row).items()},
            user_attrs={"spent": spent, "error": error},
        )
    )


def _summary(suite: Suite, row: str, trials: Sequence[Any]) -> dict[str, Any]:
    """What a record says of its row's tuning."""
    each = [
        {"trial": t.number, "settings": t.params, "score": t.value, **t.user_attrs}
        for t in trials[: suite.tune.trials]
    ]
    scored = [one for one in each if one["score"] is not None]
    best = max(scored, key=lambda one: one["score"], default=None)  # of equals the first
    spent: dict[str, float] = {}
    for one in each:
        for axis, amount in one["spent"].items():
            if amount is not None:
                spent[axis] = spent.get(axis, 0) + amount
    own = own_settings(suite, row)
    return {
        "trials": len(each),
        "failed": len(each) - len(scored),
        "share": suite.tune.share,
        "budget": trial_config(suite, row, {}).budget.asked(),
        "measure": MEASURE,
        "space": {name: {r.kind: list(r.values)} for name, r in suite.space(row).items()},
        "best": best and {k: best[k] for k in ("trial", "settings", "score")},
        "own": each[0]["score"] if own is not None and each else None,
        "spread": statistics.stdev(one["score"] for one in scored) if len(scored) > 1 else None,
        "spent": spent,
        "all": each,
    }
