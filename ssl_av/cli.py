"""The command line. Imports nothing heavy until a command needs it, so that help and lists answer at once."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from ssl_av import __version__, commands
from ssl_av.bench.space import parse_trials
from ssl_av.errors import Interrupted, UserError, unknown
from ssl_av.interop import commands as interop
from ssl_av.machine import explained
from ssl_av.parser import Parser
from ssl_av.runs import rerun
from ssl_av.secret import hide
from ssl_av.text import one_line
from ssl_av.tracking import commands as tracking
from ssl_av.unheard import unheard

FIT_GROUPS = ("method", "data", "trainer", "evaluation", "safety")
BENCH_GROUPS = ("data", "inputs", "networks", "evaluation", "trainer", "methods", "safety", "launcher")
LAUNCHERS = ("local", "submitit", "submitit-local")
EVAL_GROUPS = ("method", "data", "evaluation")
LONG = ("fit", "bench", "eval", "rerun")

DATA_AND_TRAINER = """\
  --data.*        the data set's and the loading's: --data.root DIR --data.batch_size 64 --data.reader decord
  --trainer.*     the Lightning trainer's: --trainer.max_epochs 10 --trainer.precision bf16-mixed; also
                  --trainer.compile inductor: the backbones through torch.compile
  --evaluation.*  protocols, clips, probes
  --safety.*      checkpoints, and a training that fails: --safety.checkpoint_every steps=500 --safety.keep 2
                  --safety.on_nonfinite skip --safety.on_collapse stop
"""
FIT_SETTINGS = f"""
settings, written --group.name VALUE:
  --method.*      the method's own: --method.optim.lr 3e-4 --method.inputs.frames 16
{DATA_AND_TRAINER}"""
BENCH_SETTINGS = f"""
settings, written --group.name VALUE:
  --inputs.*      what every backbone sees: --inputs.frames 16 --inputs.size 112
  --networks.*    every method's backbones: --networks.video r2plus1d_18
  --methods.*     one method's own: --methods.avid.optim.lr 3e-4
  --launcher.*    submitit's: --launcher.partition gpu --launcher.timeout_min 600 --launcher.gpus_per_node 1
{DATA_AND_TRAINER}"""

ELSEWHERE: dict[str, Any] = {
    "metavar": "NAME:DIR,…", "action": "append",
    "help": "other data to measure on as well: esc50:DIR,csv:FILE+label=COLUMN+as=NAME (see docs/protocols.md)",
}  # fmt: skip


def build_parser() -> tuple[Parser, dict[str, Parser]]:
    """The parser and its commands' parsers."""
    top = Parser(
        prog="ssl-av",
        description="Pretrain, evaluate and fairly compare audio-visual self-supervised methods.",
        epilog="start here: ssl-av bench --methods brave,stica,crisscross,avid,cma",
    )
    top.add_argument("--version", action="version", version=f"ssl-av {__version__}")
    sub = top.add_subparsers(dest="command", metavar="command", required=True, parser_class=Parser)

    fit = sub.add_parser("fit", help="train one method", description="Train one method.", epilog=FIT_SETTINGS)
    fit.add_argument("--method", metavar="NAME", help="a method of `ssl-av list methods`")
    fit.add_argument(
        "--recipe",
        metavar="NAME|FILE",
        help="a paper's setting, of `ssl-av list recipes`; options win over it",
    )
    fit.add_argument(
        "--data", metavar="NAME", help="a data set of `ssl-av list datasets` (default: the suite's)"
    )
    fit.add_argument("--eval", **ELSEWHERE)
    fit.add_argument(
        "--suite",
        metavar="NAME|FILE",
        help="suite whose sizes are the defaults without --recipe (default: tiny)",
    )
    fit.add_argument("--config", metavar="FILE", help="YAML with the same groups; options win over it")
    fit.add_argument(
        "--budget",
        metavar="UNIT=N",
        help="samples=N, steps=N, flops=X, minutes=M or epochs=N (default: the suite's)",
    )
    fit.add_argument("--seed", type=int, help="of everything random (default: 0)")
    tracking.add_options(fit)
    fit.add_argument("--out", metavar="DIR", help="the run's folder (default: runs/METHOD-DATA-seedN)")
    fit.add_argument(
        "--init", metavar="FILE", help="begin with the weights of a checkpoint, an export or an import"
    )
    fit.add_argument(
        "--init-parts", metavar="NAME", choices=("all", "networks", "backbones"),
        help="of them: all (default), networks (not the memory) or backbones",
    )  # fmt: skip
    fit.add_argument(
        "--resume", nargs="?", const="yes", choices=("yes", "auto"), metavar="MODE",
        help="continue from the folder's last checkpoint; with MODE auto, begin if there is none",
    )  # fmt: skip
    fit.add_argument(
        "--shrink", action="store_true", help="the recipe at toy size: two steps on synthav, in seconds"
    )
    fit.add_argument(
        "--dry-run", action="store_true", help="print the run, its networks, steps and cost; needs no data"
    )
    fit.add_argument(
        "--devices", type=int, default=1, metavar="N", help="--dry-run: GPUs that share a batch (default: 1)"
    )
    fit.add_argument(
        "--tflops", type=float, default=10, metavar="T",
        help="--dry-run: sustained speed of a GPU, 10¹² operations a second (default: 10)",
    )  # fmt: skip

    what = "compare methods under one budget"
    bench = sub.add_parser("bench", help=what, description=f"{what.capitalize()}.", epilog=BENCH_SETTINGS)
    bench.add_argument(
        "--methods",
        metavar="A,B,…",
        help="methods of `ssl-av list methods`, or rows of the suite (default: its rows)",
    )
    bench.add_argument(
        "--suite", metavar="NAME|FILE", default="tiny", help="a suite of `ssl-av list suites` (default: tiny)"
    )
    bench.add_argument(
        "--data", metavar="NAME", help="a data set of `ssl-av list datasets` (default: the suite's)"
    )
    bench.add_argument("--eval", **ELSEWHERE)
    bench.add_argument(
        "--budget",
        metavar="UNIT=N",
        help="of every run: samples=N, steps=N, flops=X, minutes=M or epochs=N",
    )
    bench.add_argument(
        "--tune",
        type=parse_trials,
        metavar="trials=N",
        help="first, as many trials of every method over the suite's search space, judged on validation",
    )
    bench.add_argument("--jobs", metavar="N", help="runs at a time, each with its share of the cores")
    bench.add_argument("--seeds", metavar="0,1,…", help="one run of each method for each seed")
    tracking.add_options(bench)
    bench.add_argument("--only", metavar="A,B:1,…", help="of these runs, do METHOD, or METHOD:SEED, now")
    bench.add_argument(
        "--dry-run", action="store_true", help="print what would run, and for how long; needs no data"
    )
    bench.add_argument(
        "--shrink",
        action="store_true",
        help="the suite's recipes at toy size: two steps on synthav, in seconds",
    )
    bench.add_argument(
        "--launcher", metavar="NAME", choices=LAUNCHERS, default="local",
        help="local (default), submitit (SLURM, a job a run) or submitit-local (the same jobs on this machine)",
    )  # fmt: skip
    bench.add_argument("--out", metavar="DIR", help="the suite's folder (default: runs/bench-SUITE-DATA)")

    ev = sub.add_parser(
        "eval", help="measure a checkpoint", description="Measure the backbones of a checkpoint.",
        epilog="settings: --data.* and --evaluation.* as in `ssl-av fit --help`; of a reference also --method.*",
    )  # fmt: skip
    ev.add_argument(
        "checkpoint", metavar="CHECKPOINT",
        help="a checkpoint of ours, a run's folder, or an untrained reference: random, statistics",
    )  # fmt: skip
    ev.add_argument("--protocols", metavar="A,B,…", help="of `ssl-av list protocols` (default: the run's)")
    ev.add_argument("--data", metavar="NAME", help="a data set (default: the one it was trained on)")
    ev.add_argument("--seed", type=int, help="of the protocols (default: the run's)")
    ev.add_argument(
        "--cache",
        metavar="DIR",
        help="where features stay for the next time (default: the run's folder)",
    )
    ev.add_argument(
        "--figures", action="store_true",
        help="also draw maps, nearest neighbours, saliency and more, into OUT/figures",
    )  # fmt: skip
    ev.add_argument("--out", metavar="DIR", help="where evaluation.json goes (default: the run's folder)")

    sub.add_parser(
        "data",
        help="list, prepare, check and look at data sets",
        description="Work with data sets.",
        add_help=False,
    )

    what = "read an official checkpoint"
    imp = sub.add_parser("import", help=what, description=f"{what.capitalize()}: it becomes one of ours.")
    interop.add_import_arguments(imp)
    exp = sub.add_parser(
        "export", help="write backbones, or embeddings of data, for use elsewhere",
        description="Write backbones for use elsewhere, or what they make of a data set's samples.",
        epilog="settings of embeddings: --data.*, --evaluation.clips and .precision; of a reference also --method.*",
    )  # fmt: skip
    interop.add_export_arguments(exp)

    what = "write a suite's report again, or one of several suites"
    report = sub.add_parser("report", help=what, description=f"{what.capitalize()}.")
    report.add_argument("folders", metavar="DIR", nargs="+", help="a suite's folder")
    report.add_argument("--out", metavar="DIR", help="where the report of several goes (needed for them)")

    what = "make a W&B workspace of a suite's comparison"
    board = sub.add_parser("dashboard", help=what, description=f"{what.capitalize()}.")
    tracking.add_dashboard(board)
    what = "run a record's run again"
    again = sub.add_parser(
        "rerun",
        help=what,
        description=f"{what.capitalize()}, and say what differs from then: versions, results.",
    )
    again.add_argument("record", metavar="RECORD", help="a record.json, or a run's folder")
    again.add_argument("--out", metavar="DIR", help="the new run's folder (default: the old one's, -rerun)")
    again.add_argument("--new-data", action="store_true", help="also if the data are others than then")

    lst = sub.add_parser("list", help="what there is by name", description="What there is by name.")
    kinds = ("methods", "backbones", "protocols", "datasets", "suites", "recipes")
    lst.add_argument("what", metavar="KIND", choices=kinds, help=", ".join(kinds))
    lst.add_argument("--method", metavar="NAME", help="recipes of this method only")
    return top, {
        "fit": fit, "bench": bench, "eval": ev, "import": imp, "export": exp, "report": report,
        "rerun": again, "dashboard": board, "list": lst,
    }  # fmt: skip


#: commands without dotted options
PLAIN: dict[str, Callable[[argparse.Namespace], int]] = {
    "import": interop.run_import,
    "dashboard": tracking.run_dashboard,
    "rerun": lambda args: rerun.rerun(args.record, args.out, args.new_data),
    "report": lambda args: commands.write_report(args.folders, args.out),
    "list": lambda args: commands.list_names(args.what, args.method),
}


def run(argv: Sequence[str]) -> int:
    """Runs a command line; returns the exit code. Raises `UserError` for the user's mistakes."""
    if argv and argv[0] == "data":
        from ssl_av.data.tools import run_tool

        return run_tool(argv[1:])
    top, parsers = build_parser()
    if not argv:
        top.print_help()
        return 0
    args, rest = top.parse_known_args(list(argv))
    parser = parsers[args.command]
    if args.command in PLAIN:
        if rest:
            raise (
                unknown("option", rest[0], parser.options())
                if rest[0].startswith("-")
                else UserError(f"unexpected argument '{rest[0]}' (see `ssl-av {args.command} --help`)")
            )
        return PLAIN[args.command](args)
    groups = {"fit": FIT_GROUPS, "bench": BENCH_GROUPS}.get(args.command, EVAL_GROUPS)
    from ssl_av.options import check_named_once, parse_dotted

    dotted = parse_dotted(rest, groups, parser.options())
    for group in ("method", "data"):
        check_named_once(group, getattr(args, group, None), dotted.get(group, {}))
    if getattr(args, "eval", None):
        from ssl_av.evaluation.places import read_places

        dotted.setdefault("evaluation", {})["elsewhere"] = read_places(args.eval)
    if args.command == "fit":
        return commands.fit(args, dotted)
    if args.command == "bench":
        return commands.bench(args, dotted, "ssl-av " + shlex.join(argv))
    from ssl_av.training.faults import machine_explained

    with machine_explained():
        return (
            interop.run_export(args, dotted) if args.command == "export" else commands.evaluate(args, dotted)
        )


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Entry point of ``ssl-av``."""
    words = sys.argv[1:] if argv is None else argv
    with unheard(told=bool(words) and words[0] in LONG):  # `ssl-av list … | head`
        code = _code(words)
    sys.exit(code)


def _code(words: Sequence[str]) -> int:
    """Runs a command line, and says what went wrong; the exit code."""
    try:
        return run(words)
    except UserError as e:
        print(f"ssl-av: {one_line(hide(str(e)))}", file=sys.stderr)
        return 2
    except Interrupted as e:
        print(f"ssl-av: {e.said}", file=sys.stderr)
        return 128 + e.number
    except KeyboardInterrupt:
        print("ssl-av: interrupted; the same command continues where it stopped", file=sys.stderr)
        return 130
    except (OSError, RuntimeError, MemoryError, ImportError) as e:
        if (said := explained(e)) is None:
            raise
        print(f"ssl-av: {one_line(hide(said))}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    main()
