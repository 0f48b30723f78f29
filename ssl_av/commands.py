"""What each command does, once its words are read. Heavy imports stay inside the commands that need them."""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl_av.checks import check_folder, check_map, check_out, check_seeds, check_settings
from ssl_av.errors import UserError
from ssl_av.resolve import Dotted, fit_config, fit_recipe, known_methods, resolve_data, resolve_suite
from ssl_av.runs.begin import begin_from
from ssl_av.tracking.commands import options as tracking_options
from ssl_av.training.group import Group, check_alone, is_first

if TYPE_CHECKING:
    from ssl_av.config import RunConfig


def list_names(what: str, method: str | None = None) -> int:
    """`ssl-av list`: names with a line about each; recipes of one method where it is given."""
    if what == "recipes":
        from ssl_av.recipes.table import show_recipes

        return show_recipes(method)
    if method:
        raise UserError(f"--method filters recipes; `ssl-av list {what}` has no methods to choose from")
    if what == "protocols":
        from ssl_av.evaluation.table import show_protocols

        return show_protocols()
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, show_header=what == "backbones", padding=(0, 2, 0, 0))
    if what == "backbones":
        from ssl_av.discovery import catalogued_backbones

        for column in ("name", "modality", "parameters", ""):
            table.add_column(column, justify="right" if column == "parameters" else "left")
        for name, modality, parameters, line in catalogued_backbones():
            table.add_row(name, modality, f"{parameters:,}", line)
    else:
        for name, line in _names(what).items():
            table.add_row(f"[bold]{name}[/]", line)
    Console().print(table)
    return 0


def _names(what: str) -> dict[str, str]:
    if what == "methods":
        from ssl_av.methods import list_methods

        return list_methods()
    if what == "datasets":
        from ssl_av.data.datasets import list_datasets

        return list_datasets()
    from ssl_av.options import list_configs

    return {
        name: path.read_text(encoding="utf-8").split("\n")[0].lstrip("# ")
        for name, path in list_configs(what).items()
    }


def write_report(folders: Sequence[str], out: str | None = None) -> int:
    """`ssl-av report`: writes a suite's report from its records, or one of several suites."""
    from ssl_av.bench.merge import report

    return report([Path(folder) for folder in folders], Path(out) if out else None)


def bench(args: argparse.Namespace, dotted: Dotted, command: str) -> int:
    """`ssl-av bench`: compares methods."""
    known_methods(list(dotted.get("methods", {})))
    launching = dotted.pop("launcher", {})
    overrides: Dotted = {k: v for k, v in dotted.items() if k != "data"}
    overrides |= {name: given for name in ("budget", "tune") if (given := getattr(args, name))}
    if args.seeds:
        overrides["seeds"] = check_seeds("--seeds", _whole_numbers("--seeds", args.seeds))
    overrides |= tracking_options(args)
    if args.jobs:
        overrides["jobs"] = _jobs(args.jobs)
    suite = resolve_suite(args.suite, args.data, dotted.get("data", {}), overrides, shrink=args.shrink)
    names = suite.asked(_split(args.methods))
    out = Path(args.out or f"runs/bench-{suite.name}-{suite.data['name']}")
    check_folder("--out", out)
    check_alone(suite.trainer)
    known_methods(list(suite.references))
    for config in dataclasses.replace(suite, seeds=suite.seeds[:1]).plan(names):  # the seed is no setting
        check_settings(config)
    from ssl_av.bench.running.start import start
    from ssl_av.evaluation.elsewhere import check_elsewhere

    check_elsewhere(suite.run_config(names[0], 0))
    return start(suite, names, out, command, args, launching)


def fit(args: argparse.Namespace, dotted: Dotted) -> int:
    """`ssl-av fit`: trains one method, measures it and writes the run's folder."""
    recipe = fit_recipe(args)
    config = fit_config(args, dotted, recipe)
    check_settings(config)
    if args.dry_run:
        from ssl_av.runs.dry_run import dry_run

        return dry_run(config, recipe, args.devices, args.tflops)
    name = (args.recipe or config.method["name"]).replace("/", "-").removesuffix(".yaml")
    shrink = "-shrunk" if args.shrink else ""
    out = Path(args.out or f"runs/{name}-{config.data['name']}-seed{config.seed}{shrink}")
    from ssl_av.evaluation.elsewhere import check_elsewhere

    check_elsewhere(config)
    from ssl_av.training.signals import heeded

    with heeded(out):
        return _train(config, out, args.resume)


def _train(config: RunConfig, out: Path, resume: str | None) -> int:
    """The training of `fit`, with its progress bar."""
    start = begin_from(out, config, resume)
    check_out(out)
    import pytorch_lightning as pl
    from pytorch_lightning.callbacks import RichProgressBar
    from rich.console import Console

    from ssl_av.data.once import decode_once
    from ssl_av.data.prepare import prepare_manifest
    from ssl_av.quiet import quiet
    from ssl_av.runs.run import asked_views, build_method, execute

    quiet()
    console = Console(quiet=not is_first())
    with Group.of(config.trainer).in_turn():
        manifest = prepare_manifest(
            config.data["name"], config.dataset_args, config.loading, not console.quiet
        )
        views = asked_views(build_method(config, manifest))
        manifest = decode_once(manifest, config.data["name"], config.loading, views)
    bar: list[pl.Callback] = [RichProgressBar(leave=True)] if console.is_terminal else []

    def say(what: str, done: int, total: int, numbers: dict[str, float]) -> None:
        if what.startswith("init:"):
            console.print(what, highlight=False, markup=False, soft_wrap=True)
            return
        if what == "training" and not bar and total and (done == total or done % max(total // 10, 1) == 0):
            values = " ".join(f"{k} {v:.4g}" for k, v in numbers.items())
            console.print(f"step {done}/{total} {values}", highlight=False)
        elif what != "training" and done in (0, total):
            console.print(f"{what} …" if total == 0 else f"{what}: done", highlight=False)

    record = execute(config, manifest, out, say, bar, start)
    _say_results(record, console)
    console.print(f"run: {out}")
    return 0


def evaluate(args: argparse.Namespace, dotted: Dotted) -> int:
    """`ssl-av eval`: measures a checkpoint on its own or other data."""
    from rich.console import Console

    from ssl_av.bench.writing.by_class import keep_predictions
    from ssl_av.config import Evaluation, merge
    from ssl_av.data.datasets import dataset_class
    from ssl_av.evaluation.engine import measure
    from ssl_av.evaluation.folds import official_folds
    from ssl_av.evaluation.glance import Glance
    from ssl_av.evaluation.leaks import Unseen, learned_from
    from ssl_av.evaluation.progress import Evaluating
    from ssl_av.evaluation.protocols import check_protocols, load_protocol
    from ssl_av.evaluation.subject import load_subject
    from ssl_av.evaluation.towers import Towers, trained_hash
    from ssl_av.options import check
    from ssl_av.quiet import quiet
    from ssl_av.runs.run import asked_views, describe, write_json
    from ssl_av.training.allocator import keep_freed_memory
    from ssl_av.training.signals import heeded

    quiet()
    keep_freed_memory()
    subject = load_subject(args.checkpoint, dotted.get("method", {}), args.seed)
    method, config = subject.method, subject.config
    data = resolve_data(config.data, args.data, dotted.get("data", {}))
    # Other data than `--data` are measured by a call of their own.
    asked = check("evaluation", Evaluation, dotted.get("evaluation", {}), skip=("elsewhere",))
    settings = merge(dataclasses.asdict(dataclasses.replace(config.evaluation, elsewhere=())), asked)
    del settings["elsewhere"]
    settings["protocols"] = settings["protocols"] if args.protocols is None else _split(args.protocols)
    if not settings["protocols"]:
        raise UserError("eval needs a protocol, e.g. --protocols linear-svm (`ssl-av list protocols`)")
    check_protocols(list(settings["protocols"]))
    config = dataclasses.replace(config, data=data, evaluation=Evaluation(**settings))
    check_map(config.evaluation.map)
    home = subject.home or Path(f"runs/eval-{method.name}-{data['name']}")
    out = Path(args.out) if args.out else home
    check_folder("--out", out)
    cache = Path(args.cache) if args.cache else (home if subject.own else out) / "features"
    check_folder("--cache", cache)
    console = Console()
    have = dataset_class(config.data["name"]).modalities
    own = trained_hash(Path(subject.said), data) if subject.own else None
    towers, glance = Towers(method, have, own), Glance()
    if not towers.modalities:
        raise UserError(
            f"'{config.data['name']}' has {' and '.join(have)}; {subject.said} has a backbone for "
            f"{' and '.join(method.backbones)} only"
        )
    protocols = [load_protocol(name) for name in config.evaluation.protocols]
    guard = Unseen(
        config.evaluation.leaks,
        learned_from(subject.trained_on, config.loading, subject.config.evaluation.leaks),
    )
    folds = official_folds(config.data, config.loading, towers.modalities, protocols, config.seed,
                           subject.trained_on, asked_views(method), guard)  # fmt: skip
    e = config.evaluation
    made = f"the same command goes on with the features that are made, in {cache}"
    with heeded(out, made if e.keep_features else "nothing is kept"), Evaluating(console) as said:
        found = measure(
            towers, folds, protocols, config.seed, cache, e.clips, e.precision, said, glance, e.keep_features
        )
    record: dict[str, Any] = {
        "checkpoint": subject.said, "method": method.name, "seed": config.seed, "evaluation": settings,
        "data": describe(folds[0].manifest, config, found.skipped) | guard.record(), "results": found.results,
        "protocols": found.protocols, "diagnostics": glance.diagnostics(method),
    }  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    place = out / "evaluation" if (out / "record.json").is_file() else out  # a report reads the run's own
    keep_predictions(found, place)
    write_json(record, out / "evaluation.json")
    _say_results(record, console)
    console.print(f"results: {out / 'evaluation.json'}")
    if args.figures:
        from ssl_av.evaluation.insight import draw_figures

        with console.status("drawing figures …"):
            files, record["insight"] = draw_figures(
                method,
                folds[0],
                place / "figures",
                seed=config.seed,
                known=bool(own or not subject.own),
                way=e.map,
            )
        write_json(record, out / "evaluation.json")
        console.print(f"figures: {', '.join(files)} in {place / 'figures'}")
    return 0


def _say_results(record: Mapping[str, Any], console: Any) -> None:
    """Prints a run's numbers and what was skipped."""
    from rich.table import Table

    from ssl_av.evaluation.certainty import bracketed, explained

    table = Table("protocol", "", "result", box=None, padding=(0, 2, 0, 0))
    for protocol, result in record["results"].items():
        if "skipped" in result:
            table.add_row(protocol, "–", result["skipped"])
            continue
        for what, numbers in result.items():
            shown = [k for k in numbers if re.fullmatch(r"(clip_)?(top[15]|map)(_tuned\w+)?|[rp]\d+", k)]
            table.add_row(protocol, what, "  ".join(f"{k} {bracketed(numbers, k)}" for k in shown))
    console.print(table)
    console.print(explained(record["results"]), end="", highlight=False, markup=False, soft_wrap=True)
    chance = record["data"].get("chance")
    if chance:
        console.print(f"chance of top-1: {100 * chance:.1f} %")
    for name, there in record.get("elsewhere", {}).items():
        share = f", chance {100 * there['chance']:.1f} %" if there["chance"] else ""
        lost = f", {there['skipped_total']} skipped" if there["skipped_total"] else ""
        console.print(f"{name}: {there['classes']} classes{share}{lost}")
    skipped = record["data"].get("skipped", [])
    if skipped:
        console.print(f"{len(skipped)} samples were skipped:")
        for s in skipped[:10]:
            console.print(f"  {s['path']}: {s['reason']}", markup=False)


def _split(text: str | None) -> list[str]:
    return [word.strip() for word in (text or "").split(",") if word.strip()]


def _jobs(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < 1:
        raise UserError(f"--jobs {text}: give a whole number of runs at a time, at least 1")
    return int(text)


def _whole_numbers(option: str, text: str) -> list[int]:
    try:
        return [int(word) for word in _split(text)]
    except ValueError:
        raise UserError(f"{option} {text}: give whole numbers, e.g. 0,1,2") from None
