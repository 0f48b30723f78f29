"""Open every file of a data set once and keep what is in it: the manifest."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ssl_av.data.tools import dataset_words
from ssl_av.errors import UserError
from ssl_av.parser import Parser

if TYPE_CHECKING:
    from ssl_av.data.rows import Skip

SHOWN = 5
"""Files that are named for each way of being left out."""

EPILOG = """\
the data set's own arguments as elsewhere: --root DIR …
an interrupted run continues with the same command; other commands do this by themselves on first use
"""


def add_arguments(parser: Parser) -> None:
    """The data set, and how."""
    parser.add_argument("name", metavar="NAME", help="a data set of `ssl-av data list`")
    parser.add_argument("--out", metavar="FILE", help="keep a copy of the manifest there (.arrow)")
    parser.add_argument(
        "--skipped",
        metavar="FILE",
        help="write a table there (path, reason) of all that is missing or unreadable",
    )
    parser.add_argument("--jobs", type=int, help="processes that open files (default: one a core)")
    parser.add_argument(
        "--timeout", type=float, default=60.0, help="seconds that one file may take (default: %(default)g)"
    )


def run(args: argparse.Namespace, rest: Sequence[str]) -> int:
    """Probes what is not known yet; prints what is here of the list."""
    from pathlib import Path

    if args.jobs is not None and args.jobs < 1:
        raise UserError(f"--jobs {args.jobs}: give at least 1")
    if args.out and not args.out.endswith(".arrow"):
        raise UserError(f"--out {args.out}: a manifest's name ends in .arrow")
    given = dataset_words(args.name, rest)
    from rich.console import Console
    from rich.table import Table

    from ssl_av.data.loading import Loading
    from ssl_av.data.prepare import prepare_manifest, summary
    from ssl_av.data.probing import MISSING

    loading = Loading(num_workers=args.jobs or os.cpu_count() or 1, timeout=args.timeout)
    manifest = prepare_manifest(args.name, given, loading, again=True)
    console = Console()
    counts = summary(manifest)
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for words, number in counts.items():
        table.add_row(words, f"{number:,}")
    console.print(table)
    for word, is_missing in (("missing", True), ("unreadable", False)):
        those = manifest.skipped.where(MISSING, is_missing)
        for skip in those[:SHOWN]:
            line = f"  {word}: {skip.path}" + ("" if word == "missing" else f": {skip.reason}")
            # Names on a disk need not be Unicode.
            console.print(line.encode("utf-8", "replace").decode(), markup=False, highlight=False)
        if len(those) > SHOWN:
            console.print(f"  … and {len(those) - SHOWN:,} more {word} (--skipped FILE writes all)")
    if args.out:
        try:
            manifest.save(Path(args.out))
        except OSError as e:
            raise UserError(f"--out {args.out}: {e.strerror}") from None
    if args.skipped:
        _write(manifest.skipped, args.skipped)
    console.print(
        f"manifest {manifest.hash}: {args.out or manifest.file or 'inside the pack'}", soft_wrap=True
    )
    return 0


def _write(skipped: Sequence[Skip], file: str) -> None:
    import csv

    try:
        with open(file, "w", encoding="utf-8", errors="surrogateescape", newline="") as text:
            rows = csv.writer(text)
            rows.writerow(("path", "reason"))
            rows.writerows((skip.path, skip.reason) for skip in skipped)
    except OSError as e:
        raise UserError(f"--skipped {file}: {e.strerror}") from None
