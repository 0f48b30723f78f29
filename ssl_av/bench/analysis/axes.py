"""The axes on which methods spend, and what is equal and unequal between them."""

from __future__ import annotations

from collections.abc import Sequence

from ssl_av.bench.analysis.groups import Group
from ssl_av.bench.analysis.tables import PREFIXES

AXES = {
    "samples": ("samples", "count"),
    "steps": ("steps", "count"),
    "clips": ("clips", "count"),
    "flops": ("FLOPs", "giga"),
    "seconds": ("seconds", "seconds"),
    "gpu_hours": ("GPU-hours", "number"),
    "joules": ("joules", "count"),
}
"""Axis → what tables call it, and its form."""

SPENT_AS = {"minutes": ("seconds", 60.0)}
"""A budget that is spent on an axis of another unit, and how much of that one is."""

ALIKE = 1.01
"""Amounts whose ratio is below are called equal: a budget ends with a whole step."""


def axis_column(groups: Sequence[Group], axis: str) -> tuple[str, str]:
    """Header and form of the column of an axis; operations in the largest unit of which all spent at least one."""
    title, form = AXES.get(axis, (axis.replace("_", " "), "count"))
    if axis == "flops":
        amounts = [n.mean for g in groups if (n := g.number("budget", "spent", axis)) and n.mean > 0]
        fitting = [prefix for prefix, unit in PREFIXES.items() if min(amounts, default=0) >= unit]
        form = fitting[-1] if fitting else form
        title = f"{form[0].upper()}FLOP"
    return title, form


def fairness(groups: Sequence[Group], asked: str) -> str:
    """What is equal between the methods, and how far they are apart on the other axes; of one method nothing.

    Args:
        groups: all rows; references are not counted.
        asked: the budget, in words.
    """
    methods = [group for group in groups if not group.reference and group.runs]
    if len(methods) < 2:
        return ""
    equal, apart = [], []
    for axis, (title, _) in AXES.items():
        numbers = [(group.number("budget", "spent", axis), group.label) for group in methods]
        amounts = [(number.mean, label) for number, label in numbers if number and number.mean > 0]
        if len(amounts) < len(methods):
            continue
        (low, least), (high, most) = min(amounts), max(amounts)
        if high / low < ALIKE:
            equal.append(title)
        else:
            apart.append(f"{title} {high / low:.3g} times ({least} least, {most} most)")
    said = [f"Held equal: {asked} for every method." if asked else ""]
    if equal:
        said.append(f"Equal in what was spent: {', '.join(equal)}.")
    if apart:
        said.append(
            f"Not equal, the most against the least: {', '.join(apart)}. A method that spent more on an axis is "
            "favoured here: with that axis held equal it would have had fewer steps."
        )
    return " ".join(filter(None, said))
