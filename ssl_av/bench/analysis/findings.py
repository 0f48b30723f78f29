"""A section of a report that a module of its own makes: sentences and tables, without a layout."""

from __future__ import annotations

from dataclasses import dataclass

from ssl_av.bench.analysis.tables import Table


@dataclass(frozen=True)
class Part:
    """A table with what is to be read with it.

    Attributes:
        said: sentences above it; bullets where there are several.
        table: may have no columns; then only the sentences stand.
        note: the small print below it.
        figure: name of the figure of `ssl_av.bench.plots.PLOTS` that goes with it.
    """

    said: tuple[str, ...]
    table: Table
    note: str = ""
    figure: str = ""


@dataclass(frozen=True)
class Section:
    """A titled part of a report.

    Attributes:
        anchor: its place in the page's navigation.
        title: its heading.
        parts: what it holds, in order.
    """

    anchor: str
    title: str
    parts: tuple[Part, ...]
