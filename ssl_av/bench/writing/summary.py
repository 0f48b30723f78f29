"""The table of a suite for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from ssl_av.bench.analysis.columns import main_columns
from ssl_av.bench.analysis.groups import group_runs
from ssl_av.bench.analysis.headline import headline
from ssl_av.bench.analysis.tables import Cell, Row, build


def summary_table(records: Sequence[Mapping[str, Any]]) -> RichTable:
    """The main columns of the report, narrow enough for a terminal.

    Methods that did not complete have a row too; chance stands in the last one. Unlike the report this
    works without any completed run.
    """
    groups = group_runs(records)
    about = headline(groups).head
    full = build("Results", main_columns(groups), groups)
    table = full.select(lambda column: column.brief)
    notes = [f"{letter}  {note}" for note, letter in table.footnotes.items()]
    shown = RichTable(
        box=box.SIMPLE_HEAD,
        caption=Text("\n".join(notes), style="dim") if notes else None,
        caption_justify="left",
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    # A name may wrap between its words; it is never cut.
    words = [word for row in table.rows for word in row.name.split()]
    shown.add_column("Method", min_width=max(map(len, words), default=0))
    for column in table.columns:
        shown.add_column(column.name.replace(" ", "\n", 1), justify="right", no_wrap=True)
    for row, following in zip_longest(table.rows, table.rows[1:]):
        last = following is not None and following.kind != row.kind
        pairs = zip(row.cells, table.columns, strict=True)
        cells = [_cell(cell, row, table.footnotes, column.group == about) for cell, column in pairs]
        shown.add_row(Text(row.name, style=_style(row)), *cells, end_section=last)
    return shown


def _style(row: Row) -> str:
    return "" if row.kind == "method" else "dim"


def _cell(cell: Cell, row: Row, notes: Mapping[str, str], spread: bool) -> Text:
    # ± or the interval of every column would not fit a terminal: only the first question keeps them.
    said = f"{cell.text} ± {cell.spread}" if spread and cell.spread else cell.text
    text = Text(said, style="bold" if cell.best else _style(row))
    if cell.note:
        text.append(f" {notes[cell.note]}", style="dim")
    if spread and cell.interval:
        text.append(f"\n{cell.interval}", style="not bold dim")
    return text
