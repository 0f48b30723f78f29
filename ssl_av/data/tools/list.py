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

    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("name", "labels", "modalities", "folds", "what it is; what it needs on the disk"):
        table.add_column(column, justify="right" if column == "folds" else "left")
    for name, line in list_datasets().items():
        of = dataset_class(name)
        about = Text.assemble(line, "\n", (of.needs, "dim"))
        table.add_row(f"[bold]{name}[/]", of.label_type, " ".join(of.modalities), str(of.folds), about)
    Console().print(table)
    return 0
