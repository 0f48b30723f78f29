"""Open every file of a data set once and keep what is in it: the manifest."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from ssl_av.data.tools import dataset_words
from ssl_av.parser import Parser

EPILOG = """\
the data set's own arguments as elsewhere: --root DIR …
an interrupted run continues with the same command; other commands do this by themselves on first use
"""


def add_arguments(parser: Parser) -> None:
    """The data set, and how."""
    parser.add_argument("name", metavar="NAME", help="a data set of `ssl-av data list`")
    parser.add_argument("--out", metavar="FILE", help="keep a copy of the manifest there (.arrow)")
    parser.add_argument("--jobs", type=int, help="files opened at a time (default: one a core)")


def run(args: argparse.Namespace, rest: Sequence[str]) -> int:
    """Probes what is not known yet; prints what is here of the list."""
    from pathlib import Path

    from ssl_av.errors import UserError

    if args.jobs is not None and args.jobs < 1:
        raise UserError(f"--jobs {args.jobs}: give at least 1")
    if args.out and not args.out.endswith(".arrow"):
        raise UserError(f"--out {args.out}: a manifest's name ends in .arrow")
    given = dataset_words(args.name, rest)
    from rich.console import Console
    from rich.table import Table

    from ssl_av.data.loading import Loading
    from ssl_av.data.prepare import prepare_manifest, summary

    manifest = prepare_manifest(args.name, given, Loading(num_workers=args.jobs or os.cpu_count() or 1))
    console = Console()
    counts = summary(manifest)
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for words, number in counts.items():
        table.add_row(words, f"{number:,}")
    console.print(table)
    reasons = [s for s in manifest.skipped if s.reason != "no such file"]
    for skip in reasons[:10]:
        console.print(f"  {skip.path}: {skip.reason}", markup=False, highlight=False)
    if len(reasons) > 10:
        console.print(f"  … and {len(reasons) - 10} more (`ssl-av data check` names all)")
    if args.out:
        try:
            manifest.save(Path(args.out))
        except OSError as e:
            raise UserError(f"--out {args.out}: {e.strerror}") from None
    console.print(
        f"manifest {manifest.hash}: {args.out or manifest.file or 'inside the pack'}", soft_wrap=True
    )
    return 0
