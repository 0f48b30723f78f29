"""What `--tune` did, for the report: a row a method, a row a trial, and the sentence about both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ssl_av.bench.analysis.groups import Group, Number, get
from ssl_av.bench.analysis.tables import Cell, Column, Row, Table, build, cell
from ssl_av.bench.space import said


def tuning_table(groups: Sequence[Group]) -> Table:
    """Trials, the best of them, their spread and what all of them together spent."""
    if not any(tuning(group) for group in groups):
        return Table("Tuning", (), ())
    score = "Top-1 on validation (%)"
    columns = [
        Column("run", _number("trials"), "count", "Trials"),
        Column("failed", _number("failed"), "count", "Trials"),
        Column("best", _number("best", "score"), "percent", score),
        Column("suite's own", _number("own"), "percent", score),
        Column("std of trials", _number("spread"), "percent", score),
        Column("best setting", lambda group: said(get(tuning(group), "best", "settings"))),
        *(
            Column(title, _number("spent", axis), form, "Spent by all trials")
            for axis, title, form in (
                ("samples", "samples", "count"),
                ("flops", "GFLOP", "giga"),
                ("seconds", "seconds", "seconds"),
            )
        ),
        Column("with evaluation", _number("spent", "total_seconds"), "seconds", "Spent by all trials"),
    ]
    return build("Tuning", columns, [group for group in groups if tuning(group)])


def trials_table(groups: Sequence[Group]) -> Table:
    """Every trial."""
    columns = tuple(
        Column(title, lambda group: "") for title in ("trial", "setting", "validation (%)", "seconds")
    )
    rows = []
    for group in groups:
        best = get(tuning(group), "best", "trial")
        for one in get(tuning(group), "all") or ():
            number = one["trial"]
            cells = (
                Cell(str(number + 1), value=number),
                Cell(said(one["settings"])),
                _measured(one["score"], "percent", str(one.get("error") or ""), best == number),
                _measured(get(one, "spent", "seconds"), "seconds", ""),
            )
            rows.append(Row(group.label, group.method, "reference" if group.reference else "method", cells))
    return Table("All trials", columns if rows else (), tuple(rows))


def tuning_note(groups: Sequence[Group]) -> str:
    """How it was tuned; nothing where it was not."""
    about: Mapping[str, Any] = next((t for group in groups if (t := tuning(group))), {})
    if not about:
        return ""
    unused = [group.label for group in groups if tuning(group) and not tuning(group).get("best")]
    budget = ", ".join(f"{amount:,.6g} {unit}" for unit, amount in about["budget"].items())
    return (
        f"Every trained row was given {about['trials']} trials of {100 * about['share']:.3g} % of the budget each "
        f"({budget}), over the same space where it has the same settings. Judged by: {about['measure']}. The test "
        "split was not read. The best setting was then trained on the whole budget, with all seeds; what the trials "
        "spent is counted here alone."
        + (
            f" No trial of {', '.join(unused)} was completed: the suite's own setting was used."
            if unused
            else ""
        )
    )


def tuning(group: Group) -> Mapping[str, Any]:
    """What a method's records say of its tuning; all seeds say the same."""
    return next((found for run in group.records if (found := get(run, "tuning"))), {})


def _number(*path: str) -> Callable[[Group], Number]:
    def of(group: Group) -> Number:
        value = get(tuning(group), *path)
        return Number(why="not recorded") if value is None else Number((float(value),), (0,))

    return of


def _measured(value: object, form: str, why: str, best: bool = False) -> Cell:
    if not isinstance(value, (int, float)):
        return cell(Number(why=why or "not recorded"), form)
    made = cell(Number((float(value),), (0,)), form)
    return Cell(made.text, value=made.value, best=best)
