"""Say how much room the cached features of measurements take, and remove what is of no more use."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ssl_av.data.tools import no_more
from ssl_av.errors import UserError, unknown
from ssl_av.parser import Parser

if TYPE_CHECKING:
    from ssl_av.evaluation.upkeep import Kept

REMOVE = ("stale", "unfinished", "all")

EPILOG = """\
stale: made by other code, of files that have gone, or of weights that no checkpoint of their run has
what is removed is made again by the next measurement that asks for it
"""


def add_arguments(parser: Parser) -> None:
    """The folders, and what goes."""
    parser.add_argument(
        "folders", metavar="DIR", nargs="+", help="runs, suites, what --cache named, or a folder of them"
    )
    parser.add_argument(
        "--remove", metavar="WHAT", help="stale, unfinished (what an interrupted pass left) or all"
    )


def run(args: argparse.Namespace, rest: Sequence[str]) -> int:
    """Prints a line for each folder of features; removes what was asked for."""
    no_more(rest, getattr(rest, "options", []))
    if args.remove is not None and args.remove not in REMOVE:
        raise unknown("--remove", args.remove, REMOVE)
    from pathlib import Path

    folders = [Path(folder).expanduser() for folder in args.folders]
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder")
    from rich.console import Console
    from rich.filesize import decimal
    from rich.table import Table

    from ssl_av.evaluation.upkeep import discard, kept_below

    console = Console()
    found = {kept.folder.resolve(): kept for folder in folders for kept in kept_below(folder)}.values()
    table = Table("features", "size", "samples", "state", box=None, padding=(0, 2, 0, 0))
    removed = 0
    for kept in found:
        state = kept.state
        if _goes(kept, args.remove):
            try:
                gone = discard(kept.folder)
            except OSError as e:
                raise UserError(f"{kept.folder}: cannot be removed: {e.strerror or e}") from None
            state, removed = (f"{state}: removed", removed + kept.bytes) if gone else ("in use", removed)
        # Names on a disk need not be Unicode.
        name = str(kept.folder).encode("utf-8", "replace").decode()
        table.add_row(name, decimal(kept.bytes), f"{kept.samples:,}", state)
    if not found:
        console.print(f"no features in {', '.join(args.folders)}", markup=False, highlight=False)
        return 0
    console.print(table, soft_wrap=True)
    said = f"{len(found)} in all, {decimal(sum(kept.bytes for kept in found))}"
    console.print(said + (f"; {decimal(removed)} removed" if args.remove else ""), highlight=False)
    return 0


def _goes(kept: Kept, what: str | None) -> bool:
    if what is None or kept.state == "in use":
        return False
    if what == "unfinished":
        return kept.state == "unfinished"
    return what == "all" or kept.state not in ("usable", "unfinished")
