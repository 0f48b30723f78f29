"""The main table of a report for a paper: LaTeX with booktabs."""

from __future__ import annotations

import re

from ssl_av.bench.analysis.digest import Digest
from ssl_av.bench.analysis.tables import Cell, Row, Table
from ssl_av.text import printable

GREEK = """alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau
upsilon phi chi psi omega"""
SIGNS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "%": r"\%", "&": r"\&", "#": r"\#", "_": r"\_", "$": r"\$",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "−": "$-$", "±": r"$\pm$", "→": r"$\rightarrow$", "√": r"$\surd$", "×": r"$\times$", "–": "--", "…": r"\dots{}",
    "↔": r"$\leftrightarrow$", "≤": r"$\leq$", "≥": r"$\geq$", "≈": r"$\approx$", "²": r"$^2$", "³": r"$^3$",
    "·": r"$\cdot$",
    **{sign: rf"$\{name}$" for sign, name in zip("αβγδεζηθικλμνξπρστυφχψω", GREEK.split(), strict=True)},
}  # fmt: skip


def to_latex(digest: Digest, note: str) -> str:
    """A table that stands alone but for ``\\usepackage{booktabs}``.

    Args:
        digest: what the report says.
        note: how to read its main table.
    """
    table = digest.main
    name = re.sub(r"[^a-z0-9]+", "-", digest.name.lower()).strip("-") or "suite"
    lines = [
        f"% suite {' '.join(digest.name.split())}, written by ssl-av; needs \\usepackage{{booktabs}}",
        r"\begin{table*}[t]",
        r"\centering\footnotesize\setlength{\tabcolsep}{3.5pt}",
        rf"\caption{{{escaped(digest.question)} {escaped(note)}}}",
        rf"\label{{tab:{name}}}",
        rf"\begin{{tabular}}{{@{{}}l{'r' * len(table.columns)}@{{}}}}",
        r"\toprule",
        *_heads(table),
        *_body(table),
        r"\bottomrule",
        r"\end{tabular}",
        *_footnotes(table),
        r"\end{table*}",
    ]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """A text whose every character is printed, whatever TeX thinks of it."""
    return "".join(SIGNS.get(sign, sign) for sign in printable(" ".join(text.split())))


def _heads(table: Table) -> list[str]:
    """Headers of the column groups with a rule below each, then the columns'."""
    groups, rules, at = [], [], 2
    for name, width in table.spans:
        # A long header is broken: the columns below it are narrow.
        text = rf"\shortstack{{{_broken(escaped(name))}}}" if name else ""
        groups.append(rf"\multicolumn{{{width}}}{{c}}{{{text}}}")
        rules += [rf"\cmidrule(lr){{{at}-{at + width - 1}}}"] if name else []
        at += width
    titles = " & ".join(["Method", *(escaped(column.title) for column in table.columns)])
    return [" & ".join(["", *groups]) + r" \\", "".join(rules), titles + r" \\", r"\midrule"]


def _broken(text: str) -> str:
    head, bracket, unit = text.partition(" (")
    return rf"{head}\\({unit}" if bracket else head


def _body(table: Table) -> list[str]:
    lines: list[str] = []
    for kind in ("method", "reference", "chance"):
        rows = table.of_kind(kind)
        if rows and lines:
            lines.append(r"\midrule")
        lines += [_row(row, table) for row in rows]
    return lines


def _row(row: Row, table: Table) -> str:
    return " & ".join([escaped(row.name), *(_cell(cell, table) for cell in row.cells)]) + r" \\"


def _cell(cell: Cell, table: Table) -> str:
    text = escaped(cell.text)
    text = rf"\textbf{{{text}}}" if cell.best else text
    if cell.spread:
        text += rf"\,{{\scriptsize$\pm$\,{escaped(cell.spread)}}}"
    return text + (rf"\textsuperscript{{{table.footnotes[cell.note]}}}" if cell.note else "")


def _footnotes(table: Table) -> list[str]:
    notes = [rf"\textsuperscript{{{letter}}}\,{escaped(note)}" for note, letter in table.footnotes.items()]
    return [rf"\par\smallskip\raggedright\scriptsize {'; '.join(notes)}."] if notes else []
