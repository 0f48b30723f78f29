"""Tables as data: every number of a report is formatted here, once, for HTML, Markdown and the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from ssl_av.bench.analysis.groups import Group, Number

MISSING = "–"
WORDS = ("stages", "embedding", "setting", "best setting", "differs from", "conclusion")
"""Columns of words."""

# form: (factor, decimals, signed)
FORMS: dict[str, tuple[float, int, bool]] = {
    "percent": (100.0, 1, False),
    "hundredths": (100.0, 2, False),
    "points": (100.0, 1, True),
    "count": (1.0, 0, False),
    "decimal": (1.0, 1, False),
    "millions": (1e-6, 2, False),
    "giga": (1e-9, 2, False),
    "tera": (1e-12, 2, False),
    "peta": (1e-15, 2, False),
    "exa": (1e-18, 2, False),
}
PREFIXES = {form: 1 / FORMS[form][0] for form in ("giga", "tera", "peta", "exa")}
"""What one of a large unit is."""


def formatted(value: float, form: str, signed: bool | None = None, padded: bool = False) -> str:
    """A number as the report prints it: ``percent`` 0.612 is "61.2" (the unit stands in the header).

    Beside the entries of `FORMS` there are ``seconds`` (one decimal below 100) and ``number`` (three
    significant digits; where it is ``padded``, zeros at the end too).
    """
    if form == "seconds":
        text = f"{value:,.1f}" if abs(value) < 100 else f"{value:,.0f}"
    elif form == "number":
        text = f"{value:{'#' if padded else ''}.3g}".rstrip(".") if abs(value) < 999.5 else f"{value:,.0f}"
    else:
        factor, decimals, wanted = FORMS[form]
        sign = "+" if (wanted if signed is None else signed) else ""
        text = format(value * factor, f"{sign},.{decimals}f")
        if not float(text.replace(",", "")):
            text = text.lstrip("+-")  # neither +0.0 nor -0.0
    return text.replace("-", "−")


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: what is printed.
        spread: standard deviation over seeds, printed after ± ("" for one seed).
        value: what to sort by; None sorts last.
        note: a footnote.
        interval: its confidence interval, printed below or after it ("" without one).
        best: the best of the methods (references are not ranked).
        exact: with more decimals, seed by seed; shown where a reader points.
    """

    text: str
    spread: str = ""
    value: float | None = None
    note: str = ""
    best: bool = False
    interval: str = ""
    exact: str = field(default="", compare=False)

    @property
    def plain(self) -> str:
        if self.interval:
            return f"{self.text} ({self.interval})"
        return f"{self.text} ± {self.spread}" if self.spread else self.text


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        title: short header, below the header of its group.
        of: the number (or text) of a method.
        form: see `formatted`.
        group: header over neighbouring columns that share it.
        better: "high" or "low" where the best method is to be marked.
        chance: what guessing would reach.
        chance_note: how that is known, when the records do not say it themselves.
        brief: also in the narrow table of the terminal.
        short: header that says it all where there is only one row of headers ("" = group and title).
        interval: the confidence interval of a method's number, where it has one.
    """

    title: str
    of: Callable[[Group], Number | str]
    form: str = "number"
    group: str = ""
    better: str = ""
    chance: float | None = None
    chance_note: str = ""
    brief: bool = False
    short: str = ""
    interval: Callable[[Group], tuple[float, float] | None] | None = None

    @property
    def words(self) -> bool:
        """Whether its cells are words, which may take several lines."""
        return self.title in WORDS

    @property
    def name(self) -> str:
        return self.short or f"{self.group} {self.title}".strip()


@dataclass(frozen=True)
class Row:
    """One row; `kind` is "method", "reference" or "chance", `detail` what is unusual about its runs."""

    label: str
    method: str
    kind: str
    cells: tuple[Cell, ...]
    detail: str = ""

    @property
    def name(self) -> str:
        return f"{self.label} ({self.detail})" if self.detail else self.label


@dataclass(frozen=True)
class Table:
    """A table with its footnotes; columns that nothing was recorded for are only named in `absent`."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    absent: tuple[str, ...] = ()

    def of_kind(self, kind: str) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.kind == kind)

    @property
    def spans(self) -> list[tuple[str, int]]:
        """Headers of the column groups and how many columns each covers."""
        spans: list[tuple[str, int]] = []
        for column in self.columns:
            if spans and spans[-1][0] == column.group:
                spans[-1] = (column.group, spans[-1][1] + 1)
            else:
                spans.append((column.group, 1))
        return spans

    @property
    def footnotes(self) -> dict[str, str]:
        """Footnote text to its letter, in order of appearance."""
        notes = dict.fromkeys(cell.note for row in self.rows for cell in row.cells if cell.note)
        return {note: _letter(number) for number, note in enumerate(notes)}

    def select(self, keep: Callable[[Column], bool], title: str | None = None) -> Table:
        """The same table with only some columns."""
        kept = [index for index, column in enumerate(self.columns) if keep(column)]
        rows = tuple(replace(row, cells=tuple(row.cells[i] for i in kept)) for row in self.rows)
        return Table(self.title if title is None else title, tuple(self.columns[i] for i in kept), rows, ())


def build(title: str, columns: Sequence[Column], groups: Sequence[Group]) -> Table:
    """Fill a table: one row a method, then the references, then chance where it is known."""
    grid = [[column.of(group) for group in groups] for column in columns]
    live = [_recorded(numbers, groups) for numbers in grid]
    absent = tuple(
        f"{column.group} {column.title}".strip()
        for column, keep in zip(columns, live, strict=True)
        if not keep
    )
    columns = [column for column, keep in zip(columns, live, strict=True) if keep]
    grid = [numbers for numbers, keep in zip(grid, live, strict=True) if keep]
    if not columns:
        return Table(title, (), (), absent)
    filled = [_column_cells(column, numbers, groups) for column, numbers in zip(columns, grid, strict=True)]
    rows = [
        Row(group.label, group.method, "reference" if group.reference else "method", cells, _detail(group))
        for group, cells in zip(groups, zip(*filled, strict=True), strict=True)
    ]
    if any(column.chance is not None for column in columns):
        rows.append(Row("Chance", "chance", "chance", tuple(_chance_cell(column) for column in columns)))
    return Table(title, tuple(columns), tuple(rows), absent)


def _recorded(numbers: Sequence[Number | str], groups: Sequence[Group]) -> bool:
    """Whether a column says anything: a value, or at least a reason of the record's own."""
    silent = ("", "not recorded", "not trained")
    pairs = zip(numbers, groups, strict=True)
    return any(
        bool(n) if isinstance(n, str) else bool(n) or (n.why not in silent and g.runs) for n, g in pairs
    )


def _column_cells(column: Column, numbers: Sequence[Number | str], groups: Sequence[Group]) -> list[Cell]:
    cells = [cell(number, column.form) for number in numbers]
    if column.interval is not None:
        ends = map(column.interval, groups)
        cells = [replace(c, interval=_range(e, column.form)) for c, e in zip(cells, ends, strict=True)]
    ranked = [
        (index, one)
        for index, (one, group) in enumerate(zip(cells, groups, strict=True))
        if one.value is not None and not group.reference
    ]
    if column.better and len(ranked) > 1:
        pick = max if column.better == "high" else min
        top = pick((one for _, one in ranked), key=lambda one: one.value or 0.0).text
        for index, one in ranked:  # equal as printed is equal: one decimal more would not be knowledge
            cells[index] = replace(one, best=one.text == top)
    return cells


def cell(number: Number | str, form: str) -> Cell:
    """A number over seeds, or a text, as a cell."""
    if isinstance(number, str):
        return Cell(number or MISSING)
    if not number:
        return Cell(MISSING, note=number.why)
    return Cell(
        formatted(number.mean, form, padded=number.std is not None),
        _spread(number, form),
        number.mean,
        number.why,
        exact=_exact(number, form),
    )


def _exact(number: Number, form: str) -> str:
    factor = FORMS[form][0] if form in FORMS else 1.0
    values = [f"{value * factor:.5g}" for value in number.values]
    if len(values) == 1:
        return values[0]
    return ", ".join(f"seed {at}: {value}" for at, value in zip(number.seeds, values, strict=True))


def _spread(number: Number, form: str) -> str:
    """The standard deviation with the decimals of the mean; none for a count that is always the same."""
    if number.std is None or (not number.std and form in ("count", "millions")):
        return ""
    if form in ("number", "seconds"):
        _, _, decimals = formatted(number.mean, form, padded=True).partition(".")
        return f"{number.std:,.{len(decimals) if decimals.isdigit() else 0}f}"
    return formatted(number.std, form, signed=False)


def _range(interval: tuple[float, float] | None, form: str) -> str:
    return "–".join(formatted(end, form) for end in interval) if interval else ""


def _chance_cell(column: Column) -> Cell:
    if column.chance is None:
        return Cell(MISSING)
    return Cell(formatted(column.chance, column.form), value=column.chance, note=column.chance_note)


def _detail(group: Group) -> str:
    done, asked = len(group.runs), len(group.records)
    if not done:
        return str(group.others[0].get("status") or "failed") if group.others else ""
    return "" if done == asked else f"{done} of {asked} seeds"


def _letter(number: int) -> str:
    letters = "abcdefghijklmnopqrstuvwxyz"
    return letters[number] if number < 26 else _letter(number // 26 - 1) + letters[number % 26]
