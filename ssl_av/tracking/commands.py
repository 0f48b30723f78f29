"""The options about Weights & Biases and TensorBoard, and the dashboard's command. Imports nothing heavy."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ssl_av.tracking.settings import MODES, Tracking


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `fit` and `bench` that say where runs are logged to."""
    parser.add_argument(
        "--wandb", metavar="MODE", choices=MODES, help="log to Weights & Biases: off, offline, online"
    )
    parser.add_argument(
        "--wandb-project", metavar="NAME", help="its project (default: $WANDB_PROJECT or ssl-av)"
    )
    parser.add_argument(
        "--wandb-entity", metavar="NAME", help="its account or team (default: $WANDB_ENTITY or yours)"
    )
    parser.add_argument("--wandb-tags", metavar="A,B,…", help="tags of every run")
    parser.add_argument(
        "--wandb-checkpoints",
        action="store_true",
        help="keep each run's last checkpoint there, as an artifact",
    )
    parser.add_argument(
        "--tensorboard",
        action=argparse.BooleanOptionalAction,
        help="also write TensorBoard's files into each run's folder",
    )


def options(args: argparse.Namespace) -> dict[str, Any]:
    """``{"wandb": …, "tensorboard": …}`` of the options that were given, to be laid over a configuration's."""
    given: dict[str, Any] = {"mode": args.wandb, "project": args.wandb_project, "entity": args.wandb_entity}
    found = {k: v for k, v in given.items() if v is not None}
    if args.wandb_tags:
        found["tags"] = [t.strip() for t in args.wandb_tags.split(",") if t.strip()]
    if args.wandb_checkpoints:
        found["checkpoints"] = True
    out: dict[str, Any] = {"wandb": found} if found else {}
    return out if args.tensorboard is None else out | {"tensorboard": args.tensorboard}


def add_dashboard(parser: argparse.ArgumentParser) -> None:
    """The arguments of `ssl-av dashboard`."""
    parser.add_argument("folder", metavar="DIR", help="a suite's folder")
    parser.add_argument(
        "--project", metavar="NAME", default="", help="of W&B (default: $WANDB_PROJECT or ssl-av)"
    )
    parser.add_argument(
        "--entity", metavar="NAME", default="", help="account or team (default: $WANDB_ENTITY)"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print its panels; needs no account and no network"
    )


def run_dashboard(args: argparse.Namespace) -> int:
    """`ssl-av dashboard`: a W&B workspace from a suite's records."""
    from ssl_av.tracking.dashboard import show_dashboard

    tracking = Tracking("online", project=args.project, entity=args.entity)
    return show_dashboard(Path(args.folder), tracking, args.dry_run)
