"""The report as Markdown that also reads well as plain text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ssl_av.bench.digest import Digest
from ssl_av.bench.escape import as_code, for_markdown
from ssl_av.bench.findings import Section
from ssl_av.bench.tables import Cell, Table


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
        f"# {for_markdown(digest.question)}",
        f"**{for_markdown(digest.answer)}**",
        _bullets(digest.remarks),
        _pairs(digest.facts, ("suite", digest.name)),
        "## Results",
        *_results(digest.main),
        notes["main"],
        _figure("accuracy", captions),
        _figure("pareto", captions),
        *([f"### {digest.other.title}", *_table(digest.other)] if digest.other.columns else ()),
        *(
            block
            for section in digest.sections
            for block in _section(section.title, _parts(section, captions))
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
        as_code(digest.command) if digest.command else notes["command"],
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _results(main: Table) -> list[str]:
    """The main table in three, each narrow enough for plain text."""
    parts = {
        "Linear SVM on frozen features": main.select(
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
    rows = [["method", *(column.name for column in table.columns)]]
    for row in table.rows:
        label = row.name if row.kind == "method" else f"*{row.name}*"
        rows.append([label, *(_cell(cell, notes) for cell in row.cells)])
    text = [[for_markdown(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*text, strict=True)]
    lines = [_line(text[0], widths), _rule(widths), *(_line(row, widths) for row in text[1:])]
    below = "  \n".join(f"[{letter}] {for_markdown(note)}" for note, letter in notes.items())
    if table.absent and table.title != "Results":
        below += ("  \n" if below else "") + f"Not recorded in any run: {', '.join(table.absent)}."
    return ["\n".join(lines), below]


def _cell(cell: Cell, notes: Mapping[str, str]) -> str:
    text = f"**{cell.plain}**" if cell.best else cell.plain
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
        said = _bullets(part.said) if len(part.said) > 1 else for_markdown("".join(part.said))
        blocks += [title, said, *_table(part.table), for_markdown(part.note), _figure(part.figure, captions)]
    return blocks


def _skipped(digest: Digest) -> list[str]:
    blocks = []
    for files in digest.skipped:
        more = files.count - len(files.names)
        names = "\n".join(f"  - {for_markdown(name)}" for name in files.names) + (
            f"\n  - and {more:,} more" if more else ""
        )
        blocks.append(
            f"- {files.count:,} file{'s' * (files.count > 1)} skipped: {for_markdown(files.reason)}\n{names}"
        )
    for bad in digest.failures:
        blocks.append(f"- {for_markdown(f'{bad.label} (seed {bad.seed}) {bad.status}: {bad.error}')}")
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
        blocks.append(f"{for_markdown(label)}\n\n{_pairs(pairs)}")
    return blocks


def _pairs(pairs: Iterable[tuple[str, str]], *first: tuple[str, str]) -> str:
    return "\n".join(f"- {for_markdown(name)}: {for_markdown(value)}" for name, value in (*first, *pairs))


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {for_markdown(line)}" for line in lines)
