"""A suite digested: every sentence and number of its report, before any of them has a layout."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from ssl_av.bench.analysis import columns, wording
from ssl_av.bench.analysis.ablation import ablation_section
from ssl_av.bench.analysis.certainty import certainty_section, verdict
from ssl_av.bench.analysis.comparable import check_comparable
from ssl_av.bench.analysis.findings import Section
from ssl_av.bench.analysis.groups import Group, get, group_runs, one_line, seed
from ssl_av.bench.analysis.provenance import Pairs, provenance, said_machine
from ssl_av.bench.analysis.tables import Table, build
from ssl_av.bench.analysis.tuned import trials_table, tuning_table
from ssl_av.bench.records import find
from ssl_av.errors import UserError

NAMES = 20
"""How many names of skipped files a report lists for one reason."""


@dataclass(frozen=True)
class Failure:
    """A run that did not complete."""

    label: str
    method: str
    seed: int
    status: str
    error: str


@dataclass(frozen=True)
class SkippedFiles:
    """Files that no run read, of one reason: how many, and the first names."""

    reason: str
    count: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class Digest:
    """What a report says, in the order in which it says it."""

    name: str
    question: str
    answer: str
    remarks: tuple[str, ...]
    facts: Pairs
    groups: tuple[Group, ...]
    main: Table
    other: Table
    sections: tuple[Section, ...]
    cost: Table
    collapse: Table
    budget: Table
    tuning: Table
    trials: Table
    skipped: tuple[SkippedFiles, ...]
    failures: tuple[Failure, ...]
    unreadable: tuple[int, ...]
    common: Pairs
    differences: tuple[tuple[str, Pairs], ...]
    provenance: Pairs
    command: str


def digest(
    records: Sequence[Mapping[str, Any]],
    suite: Mapping[str, Any] | None = None,
    unreadable: Sequence[int] = (),
    folders: Sequence[Path] = (),
) -> Digest:
    """Digest the records of a suite.

    Args:
        records: one a run.
        suite: what suite.json holds, if there is one.
        unreadable: numbers of the lines of records.jsonl that could not be read.
        folders: of the suites, where runs may have left what they predicted.

    Raises:
        UserError: no run completed, so there is nothing to report; or two were measured by different protocols.
    """
    check_comparable(records)
    suite = suite or {}
    asked = suite.get("methods")
    rows = suite.get("rows") or {}
    labels = {name: row["label"] for name, row in rows.items() if row.get("label") not in (None, name)}
    groups = group_runs(records, asked if isinstance(asked, list) else (), labels)
    if not any(group.runs for group in groups):
        raise UserError(_nothing(groups))
    common, differences = _settings(groups)
    return Digest(
        name=str(suite.get("name") or _first(groups, "suite") or "suite"),
        question=wording.question(groups, suite),
        answer=" ".join(filter(None, (wording.answer(groups), verdict(groups)))),
        remarks=(*map(str, suite.get("remarks") or ()), *wording.remarks(groups)),
        facts=_facts(groups, suite),
        groups=tuple(groups),
        main=build("Results", columns.main_columns(groups), groups),
        other=build("Other measures", columns.other_columns(groups), groups),
        sections=tuple(filter(None, (ablation_section(groups, suite), certainty_section(groups, folders)))),
        cost=build("Cost", columns.cost_columns(), groups),
        collapse=columns.collapse_table(groups),
        budget=build("Budget", columns.budget_columns(groups), groups),
        tuning=tuning_table(groups),
        trials=trials_table(groups),
        skipped=_skipped(groups),
        failures=tuple(_failure(group, run) for group in groups for run in group.others),
        unreadable=tuple(unreadable),
        common=common,
        differences=differences,
        provenance=provenance(groups),
        command=_command(suite.get("command")),
    )


def _nothing(groups: Sequence[Group]) -> str:
    failed = [(group, run) for group in groups for run in group.others]
    if not failed:
        return "nothing to report: records.jsonl holds no record; run `ssl-av bench` first"
    group, run = failed[0]
    return (
        f"nothing to report: none of {len(failed)} runs completed; "
        f"the first, {group.method} (seed {seed(run)}), {run.get('status')}: {one_line(run.get('error'))}"
    )


def _failure(group: Group, run: Mapping[str, Any]) -> Failure:
    return Failure(
        group.label,
        group.method,
        seed(run),
        str(run.get("status") or "failed"),
        one_line(run.get("error"), 400),
    )


def _facts(groups: Sequence[Group], suite: Mapping[str, Any]) -> Pairs:
    """The handful of facts that a reader looks for first."""
    parts = [find(_run(groups), "data", part)[0] for part in ("train", "val", "test")]
    sizes = " / ".join("?" if size is None else f"{size:,.0f}" for size in parts)
    classes, _ = find(_run(groups), "data", "classes")
    seeds = {seed(run) for group in groups for run in group.records}
    budget = columns.said_budget(suite.get("budget") or _first(groups, "budget", "asked"))
    if not wording.one_budget(groups):
        budget = "its recipe's own" if suite.get("rows") else "not the same for all"
    seconds = [_seconds(run) for g in groups for run in g.runs]
    # Runs beside each other take less time together than one after another.
    at_once = max((int(find(r, "cost", "runs_at_once")[0] or 1) for g in groups for r in g.runs), default=1)
    together = f" (sum; {at_once} ran at a time)" if at_once > 1 else ""
    machine = said_machine(_run(groups).get("machine"))
    facts = (
        ("Data", str(_first(groups, "data", "name") or "")),
        ("Train / val / test", sizes if any(size is not None for size in parts) else ""),
        ("Classes", "" if classes is None else f"{classes:.0f}"),
        ("Also measured on", "; ".join(wording.elsewhere(groups))),
        ("Budget a method", budget),
        ("Seeds", str(len(seeds))),
        ("Runs completed", f"{sum(len(g.runs) for g in groups)} of {sum(len(g.records) for g in groups)}"),
        (
            "Time of all runs",
            total + together if (total := wording.duration(sum(seconds))) else "",
        ),
        ("Machine", machine),
    )
    return tuple((name, value) for name, value in facts if value)


def _seconds(run: Mapping[str, Any]) -> float:
    """What a run took, from its beginning to its end where that is known: with online probes, figures and logging."""
    whole, parts = ("total_seconds",), ("train_seconds", "eval_seconds")
    kinds = whole if find(run, "cost", *whole)[0] is not None else parts
    return sum(find(run, "cost", kind)[0] or 0.0 for kind in kinds)


def _settings(groups: Sequence[Group]) -> tuple[Pairs, tuple[tuple[str, Pairs], ...]]:
    """Settings that all methods share, and then what each has of its own."""
    flat = [
        (group, _varied(_flatten(run.get("settings")) for run in group.runs))
        for group in groups
        if group.runs
    ]
    flat = [(group, settings) for group, settings in flat if settings]
    if not flat:
        return (), ()
    common = {
        key: value
        for key, value in flat[0][1].items()
        if len(flat) > 1 and all(settings.get(key) == value for _, settings in flat)
    }
    own = [(g.label, tuple((k, v) for k, v in settings.items() if k not in common)) for g, settings in flat]
    return tuple(common.items()), tuple((label, pairs) for label, pairs in own if pairs)


def _varied(runs: Any) -> dict[str, str]:
    """Settings of several seeds in one: values that differ side by side; the seed is no setting."""
    values: dict[str, list[str]] = {}
    for settings in runs:
        for key, value in settings.items():
            if key != "seed" and value not in values.setdefault(key, []):
                values[key].append(value)
    return {key: " | ".join(found) for key, found in values.items() if found}


def _flatten(settings: object, prefix: str = "") -> dict[str, str]:
    if not isinstance(settings, Mapping):
        return {}
    flat: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = (
                value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            )
    return flat


def _skipped(groups: Sequence[Group]) -> tuple[SkippedFiles, ...]:
    files: dict[str, dict[str, None]] = {}
    for group in groups:
        for run in group.records:
            for place, data in [("", get(run, "data")), *(get(run, "elsewhere") or {}).items()]:
                for item in get(data, "skipped") or ():
                    if isinstance(item, Mapping):
                        why = f"{place}: {item.get('reason')}" if place else item.get("reason")
                        files.setdefault(one_line(why), {})[str(item.get("path"))] = None
    found = (SkippedFiles(why, len(paths), tuple(list(paths)[:NAMES])) for why, paths in files.items())
    return tuple(sorted(found, key=lambda one: -one.count))


def _command(command: object) -> str:
    if isinstance(command, list):
        words = [str(word) for word in command]
        # The path of the entry script says where one machine installed it, not how to repeat the run.
        return shlex.join([PurePath(words[0]).name, *words[1:]]) if words else ""
    return str(command or "")


def _run(groups: Sequence[Group]) -> Mapping[str, Any]:
    return next(run for group in groups for run in group.runs)


def _first(groups: Sequence[Group], *path: str) -> object:
    return next((v for g in groups for run in g.runs if (v := get(run, *path)) is not None), None)
