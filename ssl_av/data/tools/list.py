"""Data sets that there are, with what each needs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ssl_av.data.tools import no_more
from ssl_av.parser import Parser


def add_arguments(parser: Parser) -> None:
    """It has none."""


def run(args: argparse.Namespace, rest: Sequence[str]) -> int:
    """Prints the table."""
    no_more(rest, [])
    from ssl_av.commands import list_names

    return list_names("datasets")
