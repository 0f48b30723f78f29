"""The sections of report.html: a title each, and a template of its own in partials/."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jinja2
from markupsafe import Markup

SECTIONS = {
    "results": "Results",
    "paper": "The paper's table beside ours",
    "certainty": "How sure this is",
    "classes": "By class",
    "curves": "Learning curves",
    "cost": "Cost",
    "features": "Features",
    "collapse": "Measures of collapse",
    "diagnostics": "Diagnostics",
    "budget": "Budget",
    "tuning": "Tuning",
    "skipped": "Skipped and failed",
    "settings": "Settings",
    "provenance": "Where the numbers come from",
    "reproduce": "Reproduce",
}
"""Anchor and template (partials/NAME.html.j2) to title, in the order of the page.

A section whose template comes out empty has no heading and no place in the navigation.
"""


@dataclass(frozen=True)
class Section:
    """A section as the page holds it."""

    name: str
    title: str
    body: Markup


def render_sections(environment: jinja2.Environment, **context: Any) -> list[Section]:
    """The sections that have something to say.

    Args:
        environment: where the templates are.
        context: what every template may use: ``digest``, ``figures``, ``captions``, ``notes``, ``colours``.
    """
    found = []
    for name, title in SECTIONS.items():
        body = environment.get_template(f"partials/{name}.html.j2").render(**context).strip()
        if body:
            found.append(Section(name, title, Markup(body)))
    return found
