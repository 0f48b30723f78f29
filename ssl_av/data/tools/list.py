"""Data sets that there are, with what each needs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ssl_av.data.tools import no_more
from ssl_av.parser import Parser

EPILOG = "layouts and arguments of each: docs/datasets.md"


def add_arguments(parser: Parser) -> None:
    """It has none."""


def run(args: argparse.Namespace, rest: Sequence[str]) -> int:
    """Prints the table."""
    no_more(rest, [])
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ssl_av.data.datasets import dataset_class, list_datasets

    # One column beside the name: five would leave a terminal of 80 characters nothing to describe them in.
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, line in list_datasets().items():
        of = dataset_class(name)
        labels = "no labels" if of.label_type == "none" else f"{of.label_type} label"
        folds = f", {of.folds} folds" if of.folds > 1 else ""
        about = f"{' and '.join(of.modalities)}, {labels}{folds}"
        table.add_row(
            f"[bold]{name}[/]",
            Text.assemble(line, "\n", (about, "cyan"), "\n", ("on disk: " + of.needs, "dim")),
        )
    Console().print(table)
    return 0
