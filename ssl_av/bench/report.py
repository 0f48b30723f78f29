"""The report of a suite: report.html (one file, no request to anywhere), .md, .tex, results.csv and plots/*.png."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from ssl_av.bench.analysis.axes import fairness
from ssl_av.bench.analysis.columns import diagnostics_table
from ssl_av.bench.analysis.digest import Digest, digest
from ssl_av.bench.analysis.headline import headline
from ssl_av.bench.analysis.tuned import tuning_note
from ssl_av.bench.analysis.wording import one_budget
from ssl_av.bench.plots import PLOTS
from ssl_av.bench.plots.hover import Spot, spots
from ssl_av.bench.plots.style import colours, png
from ssl_av.bench.records import read_records
from ssl_av.bench.shape import SUITE, misshapen
from ssl_av.bench.writing import by_class, features
from ssl_av.bench.writing.latex import to_latex
from ssl_av.bench.writing.markdown import to_markdown
from ssl_av.bench.writing.pictures import embedded
from ssl_av.bench.writing.results_csv import to_csv
from ssl_av.bench.writing.sections import render_sections
from ssl_av.errors import UserError
from ssl_av.style import Style
from ssl_av.text import parse_json, read_text
from ssl_av.whole import whole_file

LOOKS = {
    "wide": Style(),
    "narrow": Style(narrow=True),
    "wide_dark": Style(dark=True),
    "narrow_dark": Style(dark=True, narrow=True),
}

FLOPS = "FLOPs: of the networks' forward and backward, counted for each method; without transforms and loss."


def write_report(folder: Path | str) -> Path:
    """Write the report of a suite from its records.jsonl, and suite.json if there is one.

    Returns:
        The path of report.html.

    Raises:
        UserError: there are no records, or no run completed, or suite.json cannot be read.
    """
    folder = Path(folder)
    reading = read_records(folder)
    suite = read_suite(folder)
    homes = [folder, *map(Path, suite.get("merged") or ())]
    found = digest(reading.records, suite, reading.unreadable, homes)
    figures, marked = _draw(found, folder / "plots")
    captions = {name: text for name, text in _captions(found).items() if name in figures}
    notes = _notes(found)
    _write(folder / "report.tex", to_latex(found, notes["main"]))
    _write(folder / "results.csv", to_csv(reading.records))
    details, looks = (
        by_class.details(found.groups, folder, homes),
        features.looks(found.groups, folder, homes),
    )
    spread = features.side_by_side(found.groups, folder, homes)
    more = [*by_class.markdown(details), *features.markdown(looks, bool(spread))]
    _write(folder / "report.md", to_markdown(found, captions, notes, more))
    environment = _environment()
    context = {
        "digest": found,
        "figures": figures,
        "spots": marked,
        "captions": captions,
        "notes": notes,
        "by_class": details,
        "looks": looks,
        "spread": spread,
        "diagnostics": diagnostics_table(found.groups),
        "colours": {
            "light": colours(group.method for group in found.groups),
            "dark": colours((group.method for group in found.groups), Style(dark=True)),
        },
    }
    sections = render_sections(environment, **context)
    html = environment.get_template("report.html.j2").render(sections=sections, **context)
    _write(folder / "report.html", html)
    return folder / "report.html"


def _write(file: Path, text: str) -> None:
    """A file of the report, whole or as it was: a reader never sees half a page, and no pipe is waited for."""
    with whole_file(file) as opened:
        opened.write(text)


def read_suite(folder: Path) -> Mapping[str, Any]:
    """What suite.json says; nothing where there is none.

    Raises:
        UserError: if it cannot be read.
    """
    file = folder / "suite.json"
    if not file.is_file():
        return {}
    try:
        suite = parse_json(read_text(file))
    except ValueError as error:
        raise UserError(
            f"'{file}' is not JSON ({error}); mend it, or remove it to report without it"
        ) from None
    if wrong := misshapen(suite, SUITE):
        raise UserError(f"'{file}': {wrong[:200]}; mend it, or remove it to report without it")
    found: Mapping[str, Any] = suite
    return found


def _draw(
    found: Digest, folder: Path
) -> tuple[dict[str, dict[str, Markup]], dict[str, dict[str, list[Spot]]]]:
    """Draw every figure in every look: the light wide one as a file, all of them as data URIs; and their values."""
    folder.mkdir(exist_ok=True)
    figures: dict[str, dict[str, Markup]] = {}
    marked: dict[str, dict[str, list[Spot]]] = {}
    for name, draw in PLOTS.items():
        (folder / f"{name}.png").unlink(missing_ok=True)  # no figure of an earlier report may stay
        looks = {}
        for look, style in LOOKS.items():
            figure = draw(found.groups, style)
            if figure is None:
                continue
            data = png(figure)
            if not style.dark:  # dark or light, everything has its place
                marked.setdefault(name, {})[look] = spots(figure)
            if look == "wide":
                (folder / f"{name}.png").write_bytes(data)
            looks[look] = embedded(data)
        if looks:
            figures[name] = looks
    return figures, marked


def _captions(found: Digest) -> dict[str, str]:
    about = headline(found.groups)
    several = max(len(group.runs) for group in found.groups) > 1
    bars = " Error bars: standard deviation over seeds." if several else ""
    costs = [run.get("cost") or {} for group in found.groups for run in group.runs]
    most = max((cost.get("runs_at_once", 1) for cost in costs), default=1)
    shared = f" Up to {most} runs shared the machine: alone, each would have been faster." if most > 1 else ""
    band = " Line: mean over seeds; band: from the lowest to the highest seed." if several else ""
    return {
        "accuracy": f"{about.head.removesuffix(' (%)')} on the test split. Dotted: chance; "
        f"dashed: the same of the untrained network.{bars}",
        "pareto": f"Accuracy against cost. {about.head.removesuffix(' (%)')} on the test split against what the "
        "training cost; the line joins the methods that no other one beats in both (the Pareto front, references left "
        f"out).{bars}",
        "probe": "Accuracy on the validation split while training, against the samples seen. The online "
        f"probes read the features but do not train the backbone.{band}",
        "loss": "Training loss, one panel a method. The losses are different quantities, so every panel has "
        "its own scale: heights cannot be compared between methods, only the shape of each curve says "
        "something. Thin: as recorded; thick: running mean.",
        "cost": "What each run cost. Seconds: full colour is training, pale is evaluation; waiting for data: "
        f"share of the training time in which the loader was behind.{shared}{bars}",
        "ranking": "Mean ranks; 1 is the best. Lines: half of Nemenyi's critical difference (5 %) to both sides: "
        "methods whose lines do not overlap differ, if Friedman's test says that any do.",
    }


def _notes(found: Digest) -> dict[str, str]:
    gain = any(column.group.startswith("Gain") for column in found.main.columns)
    cma = any("→" in cell.text for row in found.budget.rows for cell in row.cells)
    stages = "Stages share one budget: what an earlier stage spends is not there for the next." * cma
    counted = any(column.title.endswith("FLOP") for column in found.budget.columns)
    asked = dict(found.facts).get("Budget a method", "") if one_budget(found.groups) else ""
    return {
        "main": "Higher is better. Bold: the highest of the methods as printed, which is not a test of "
        "significance; references are not ranked."
        + f" Gain: {headline(found.groups).title} minus that of the untrained network, seed by seed." * gain
        + by_class.note(found.main),
        "collapse": "Of the embeddings of the last training batches. Feature std: of the unit rows, times "
        "√D: 1 when directions are spread evenly, 0 when all rows point the same way (collapse). Effective "
        "rank: from 1 (collapse) to the width of the embedding; widths differ between methods.",
        "budget": " ".join(filter(None, [fairness(found.groups, asked), stages, FLOPS * counted])),
        "tuning": tuning_note(found.groups),
        "command": "The command was not recorded (no suite.json beside records.jsonl, or none in it).",
    }


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "writing"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["glue"] = _glue
    return environment


def _glue(text: str) -> str:
    """Keep a number on one line with its spread and unit, and top-1 in one piece."""
    text = text.replace("top-", "top\N{NON-BREAKING HYPHEN}")
    return text.replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}").replace(" %", "\N{NO-BREAK SPACE}%")
