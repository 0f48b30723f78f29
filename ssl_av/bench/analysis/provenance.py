"""Where a report's numbers come from: versions, revision, machine and data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ssl_av.bench.analysis.groups import Group, get, seed

Pairs = tuple[tuple[str, str], ...]
"""Names with their values, in order."""


def provenance(groups: Sequence[Group]) -> Pairs:
    """Versions, revision, machine and data; where runs differ, every value with its methods."""
    runs = [(group, run) for group in groups for run in group.runs]
    names = dict.fromkeys(name for _, run in runs for name in run.get("versions") or ())
    pairs = [(name, _agreed(runs, "versions", name)) for name in names]
    pairs.append(("git revision", _agreed(runs, "git") or "not recorded"))
    pairs.append(("data hash", _agreed(runs, "data", "hash")))
    pairs.append(("protocols", _protocols([run for _, run in runs])))
    pairs.append(("seeds", ", ".join(map(str, sorted({seed(run) for _, run in runs})))))
    machines: dict[str, list[str]] = {}
    for group, run in runs:
        machines.setdefault(said_machine(run.get("machine")), []).append(group.method)
    pairs.append(("machine", _with_names(machines)))
    pairs.append(("started", min((str(run["started"]) for _, run in runs if run.get("started")), default="")))
    pairs.append(
        ("finished", max((str(run["finished"]) for _, run in runs if run.get("finished")), default=""))
    )
    return tuple((name, value) for name, value in pairs if value)


def _protocols(runs: Sequence[Mapping[str, Any]]) -> str:
    """Each with its version and hash; those of one name are the same in all runs (`comparable`)."""
    found = {name: about for run in runs for name, about in (run.get("protocols") or {}).items()}
    said = (
        f"{name} {get(about, 'version')} ({get(about, 'hash')})"
        for name, about in found.items()
        if get(about, "hash")
    )
    return ", ".join(said)


def _agreed(runs: Sequence[tuple[Group, Mapping[str, Any]]], *path: str) -> str:
    values: dict[str, list[str]] = {}
    for group, run in runs:
        value = get(run, *path)
        if value is not None:
            values.setdefault(str(value), []).append(group.method)
    return _with_names(values)


def _with_names(values: Mapping[str, Sequence[str]]) -> str:
    if len(values) == 1:
        return next(iter(values))
    return "; ".join(f"{value} ({', '.join(dict.fromkeys(who))})" for value, who in values.items())


def said_machine(machine: object) -> str:
    """What a record says of its machine, in words."""
    if not isinstance(machine, Mapping):
        return ""
    cores, memory = machine.get("cores"), machine.get("memory_gb")
    parts = [
        machine.get("gpu"),
        machine.get("cpu"),
        f"{cores} cores" if cores else "",
        f"{memory:,.0f} GB" if isinstance(memory, int | float) else "",
        "" if machine.get("gpu") else "no GPU",
    ]
    return ", ".join(str(part) for part in parts if part)
