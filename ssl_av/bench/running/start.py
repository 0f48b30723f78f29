"""`ssl-av bench` once its words are read: a dry run, or the runs by the launcher that was asked for."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from ssl_av.bench.running.launch import locally
from ssl_av.bench.running.only import whole_command
from ssl_av.bench.running.run_suite import Launch, run_suite
from ssl_av.bench.suite import Suite
from ssl_av.errors import UserError
from ssl_av.training.signals import heeded


def start(
    suite: Suite,
    methods: Sequence[str],
    out: Path,
    command: str,
    args: argparse.Namespace,
    launching: Mapping[str, Any],
) -> int:
    """Begins a suite that is known to be right; returns the exit code.

    Args:
        suite: what is compared.
        methods: names of the methods.
        out: the suite's folder.
        command: the command line.
        args: ``only``, ``dry_run`` and ``launcher`` of it.
        launching: ``--launcher.*`` of it.

    Raises:
        UserError: as the command says.
    """
    wanted = [word.strip() for word in (args.only or "").split(",") if word.strip()]
    if launching and args.launcher == "local":
        raise UserError(f"--launcher.{next(iter(launching))} is for jobs: add --launcher submitit")
    if args.dry_run:
        from ssl_av.bench.running.dry_run import dry_run

        return dry_run(suite, methods, out, Console(), wanted)
    launch: Launch = locally
    at_once = None
    if args.launcher != "local":
        from ssl_av.bench.running.submit import submitted

        # A cluster has its own limits: without --jobs every run is a job at once.
        at_once = suite.jobs if args.jobs or args.launcher == "submitit-local" else len(suite.plan(methods))
        launch = submitted(args.launcher, launching, out, at_once)
    with heeded(out):
        return run_suite(suite, methods, out, whole_command(command), Console(), wanted, launch, at_once)
