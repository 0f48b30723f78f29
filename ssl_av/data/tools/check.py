"""Look for what is wrong: missing, broken, silent, doubled or leaking files, labels out of range."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from ssl_av.data.tools import dataset_words, no_more
from ssl_av.parser import Parser

EPILOG = """\
the data set's own arguments as elsewhere: --root DIR …
exit code: 0 nothing is wrong (warnings aside), 1 there are errors, 2 wrong usage
"""


def add_arguments(parser: Parser) -> None:
    """The manifest or data set, and how."""
    parser.add_argument(
        "what", metavar="MANIFEST|NAME", help="a manifest's file, or a data set of `ssl-av data list`"
    )
    parser.add_argument("--json", metavar="FILE", help="write all that was found there too")
    parser.add_argument(
        "--fast", action="store_true", help="look at lists and headers only: nothing is decoded"
    )
    parser.add_argument("--jobs", type=int, help="processes that decode (default: one a core)")
    parser.add_argument(
        "--timeout",
        type=float,
        default=600.0,
        help="seconds that decoding one file may take (default: %(default)g)",
    )


def run(args: argparse.Namespace, rest: Sequence[str]) -> int:
    """Checks; prints a table."""
    from pathlib import Path

    from ssl_av.errors import UserError

    if args.jobs is not None and args.jobs < 1:
        raise UserError(f"--jobs {args.jobs}: give at least 1")
    if not args.timeout > 0:
        raise UserError(f"--timeout {args.timeout:g}: give more than 0 seconds")
    jobs = args.jobs or os.cpu_count() or 1
    if args.what.endswith(".arrow"):
        no_more(rest, ["--json", "--fast", "--jobs", "--timeout"])
        from ssl_av.data.manifest import Manifest

        manifest = Manifest.load(Path(args.what))
    else:
        given = dataset_words(args.what, rest)
        from ssl_av.data.loading import Loading
        from ssl_av.data.prepare import prepare_manifest

        manifest = prepare_manifest(
            args.what, given, Loading(num_workers=jobs, timeout=min(args.timeout, 60.0))
        )
    from ssl_av.data.check import CODES, check_manifest

    found = check_manifest(manifest, args.fast, jobs, progress=True, limit=args.timeout)
    if args.json:
        import dataclasses
        import json

        lines = [{**dataclasses.asdict(f), "severity": f.severity} for f in found]
        report = {
            "hash": manifest.hash,
            "root": str(manifest.root),
            "samples": len(manifest),
            "findings": lines,
        }
        try:
            Path(args.json).write_text(json.dumps(report, indent=1), encoding="utf-8")
        except OSError as e:
            raise UserError(f"--json {args.json}: {e.strerror}") from None
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("found", "", "files", "meaning", "such as", box=None, padding=(0, 2, 0, 0))
    for code, (severity, meaning) in CODES.items():
        those = [f for f in found if f.code == code]
        if those:
            such = "\n".join(f"{f.path}{': ' if f.detail else ''}{f.detail}" for f in those[:3])
            style = "red" if severity == "error" else "yellow"
            files = len({f.path for f in those})
            table.add_row(f"[{style}]{code}[/]", severity, str(files), meaning, such.replace("[", r"\["))
    if found:
        console.print(table)
    errors = sum(f.severity == "error" for f in found)
    how = "lists and headers" if args.fast else "every file decoded"
    console.print(
        f"{len(manifest)} samples ({how}): {errors} errors, {len(found) - errors} warnings; hash {manifest.hash}",
        highlight=False,
    )
    return 1 if errors else 0
