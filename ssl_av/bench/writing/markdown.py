"""The report as Markdown that also reads well as plain text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from ssl_av.bench.analysis.digest import Digest
from ssl_av.bench.analysis.findings import Section
from ssl_av.bench.analysis.headline import headline
from ssl_av.bench.analysis.tables import Cell, Table
from ssl_av.text import printable


def to_markdown(
    digest: Digest, captions: Mapping[str, str], notes: Mapping[str, str], details: Sequence[str] = ()
) -> str:
    """Lay a digest out as Markdown.

    Args:
        digest: what to say.
        captions: name of each figure that was drawn to its caption; it lies at plots/NAME.png.
        notes: name of a table to the paragraph below it.
        details: further blocks, after the results.
    """
    blocks = [
        f"# {escaped(digest.question)}",
        f"**{escaped(digest.answer)}**",
        _bullets(digest.remarks),
        _pairs(digest.facts, ("suite", digest.name)),
        "## Results",
        *_results(digest),
        notes["main"],
        _figure("accuracy", captions),
        _figure("pareto", captions),
        *([f"### {digest.other.title}", *_table(digest.other)] if digest.other.columns else ()),
        *(
            block
            for section in digest.sections
            for block in _section(escaped(section.title), _parts(section, captions))
        ),
        *details,
        *_section("Learning curves", [_figure("probe", captions), _figure("loss", captions)]),
        *_section("Cost", [*_table(digest.cost), _figure("cost", captions)]),
        *_section("Measures of collapse", [*_table(digest.collapse), notes["collapse"]], digest.collapse),
        *_section("Budget", [*_table(digest.budget), notes["budget"]], digest.budget),
        *_section("Tuning", [*_table(digest.tuning), notes["tuning"], *_table(digest.trials)], digest.tuning),
        "## Skipped and failed",
        *_skipped(digest),
        *_section("Settings", _settings(digest)),
        *_section("Where the numbers come from", [_pairs(digest.provenance)]),
        "## Reproduce",
        _code(digest.command) if digest.command else notes["command"],
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _results(digest: Digest) -> list[str]:
    """The main table in three, each narrow enough for plain text."""
    main, about = digest.main, headline(digest.groups)
    parts = {
        "Linear SVM on frozen features" if about.is_svm else about.name: main.select(
            lambda c: "→" not in c.group and not c.group.startswith("Retr")
        ),
        "Retrieval within a modality": main.select(lambda c: c.group.startswith("Retrieval")),
        "Retrieval across modalities": main.select(lambda c: "→" in c.group),
    }
    blocks: list[str] = []
    for title, part in parts.items():
        if part.columns:
            blocks += [f"### {title}", *_table(part)]
    if main.absent:
        blocks.append(f"Not measured in any run: {', '.join(main.absent)}.")
    return blocks


def _table(table: Table) -> list[str]:
    """A table and its footnotes; nothing when it has no columns."""
    if not table.columns:
        return []
    notes = table.footnotes
    text = [["method", *(escaped(column.name) for column in table.columns)]]
    for row in table.rows:
        name = escaped(row.name)
        text.append(
            [name if row.kind == "method" else f"*{name}*", *(_cell(cell, notes) for cell in row.cells)]
        )
    widths = [max(map(len, column)) for column in zip(*text, strict=True)]
    lines = [_line(text[0], widths), _rule(widths), *(_line(row, widths) for row in text[1:])]
    below = "  \n".join(f"[{letter}] {escaped(note)}" for note, letter in notes.items())
    if table.absent and table.title != "Results":
        below += ("  \n" if below else "") + f"Not recorded in any run: {escaped(', '.join(table.absent))}."
    return ["\n".join(lines), below]


def _cell(cell: Cell, notes: Mapping[str, str]) -> str:
    plain = escaped(cell.plain)
    text = f"**{plain}**" if cell.best else plain
    return f"{text} [{notes[cell.note]}]" if cell.note else text


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Method to the left, numbers to the right."""
    first, *rest = zip(cells, widths, strict=True)
    return "| " + " | ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]) + " |"


def _rule(widths: Sequence[int]) -> str:
    first, *rest = widths
    return "|".join(["", "-" * (first + 2), *("-" * (width + 1) + ":" for width in rest), ""])


def _figure(name: str, captions: Mapping[str, str]) -> str:
    if name not in captions:
        return ""
    return f"![{captions[name].split('.')[0]}](plots/{name}.png)\n\n{captions[name]}"


def _section(title: str, blocks: Sequence[str], table: Table | None = None) -> list[str]:
    """A section, left out when there is nothing in it."""
    if table is not None and not table.columns:
        return []
    return [f"## {title}", *blocks] if any(blocks) else []


def _parts(section: Section, captions: Mapping[str, str]) -> list[str]:
    blocks: list[str] = []
    for part in section.parts:
        title = f"### {part.table.title}" if part.table.columns and part.table.title != section.title else ""
        said = _bullets(part.said) if len(part.said) > 1 else escaped("".join(part.said))
        blocks += [title, said, *_table(part.table), escaped(part.note), _figure(part.figure, captions)]
    return blocks


def _skipped(digest: Digest) -> list[str]:
    blocks = []
    for files in digest.skipped:
        more = files.count - len(files.names)
        names = "\n".join(f"  - {_code_span(name)}" for name in files.names) + (
            f"\n  - and {more:,} more" if more else ""
        )
        blocks.append(
            f"- {files.count:,} file{'s' * (files.count > 1)} skipped: {escaped(files.reason)}\n{names}"
        )
    for bad in digest.failures:
        blocks.append(f"- {escaped(bad.label)} (seed {bad.seed}) {escaped(bad.status)}: {escaped(bad.error)}")
    if digest.unreadable:
        lines = ", ".join(map(str, digest.unreadable))
        blocks.append(f"- {len(digest.unreadable)} line(s) of records.jsonl could not be read (line {lines})")
    return blocks or ["Nothing: every file was read and every run completed."]


def _settings(digest: Digest) -> list[str]:
    blocks = []
    if digest.common:
        blocks.append(f"Common to all methods\n\n{_pairs(digest.common)}")
    if digest.common and digest.differences:
        blocks.append("Different between methods, or only in one:")
    for label, pairs in digest.differences:
        blocks.append(f"{escaped(label)}\n\n{_pairs(pairs)}")
    return blocks


def _pairs(pairs: Iterable[tuple[str, str]], *first: tuple[str, str]) -> str:
    return "\n".join(f"- {escaped(name)}: {escaped(value)}" for name, value in (*first, *pairs))


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {escaped(line)}" for line in lines)


def escaped(text: str) -> str:
    """Keep a value from becoming markup: a column, a line, a tag, an emphasis, code or a link of its own.

    What only looks like markup stays as it is, for the text is read as it is too: a ``_`` within a word, a ``[``.
    """
    line = re.sub(
        r"([\\`*|]|\](?=[(\[:])|~(?=~)|(?<!\w)_|_(?!\w)|&(?=#?\w+;))",
        r"\\\1",
        printable(" ".join(text.split())),
    )
    line = re.sub(r"^(#(?=[#\s])|>|[+-](?=\s)|\d+(?=[.)]\s))", _first, line)
    return line.replace("<", "&lt;")


def _first(found: re.Match[str]) -> str:
    """What would begin a heading or a list at the beginning of a line."""
    return f"{found[0]}\\" if found[0].isdigit() else f"\\{found[0]}"


def _code_span(text: str) -> str:
    fence = _fence(text, 1)
    gap = " " if "`" in text else ""
    return f"{fence}{gap}{printable(' '.join(text.split()))}{gap}{fence}"


def _code(text: str) -> str:
    fence = _fence(text, 3)
    return f"{fence}\n{text}\n{fence}"


def _fence(text: str, least: int) -> str:
    """More backticks than the text has beside each other."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    return "`" * max(least, longest + 1)
