"""The runs of one method together, and numbers over their seeds."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ssl_av.bench.records import find, row_name

REFERENCES = {"random": "Untrained", "statistics": "Statistics", "supervised": "Supervised"}
"""Rows that say what the numbers of the methods mean, in the order in which tables show them."""

UNTRAINED = ("random", "statistics")

LABEL = 18  # characters: a paper's name that is longer (a whole title) gives way to the method's name


@dataclass(frozen=True)
class Number:
    """One number of a method over its seeds; no values and a reason where there is none.

    Attributes:
        values: the finite values, one a seed.
        seeds: the seeds they belong to.
        why: why values are missing ("" when every run has one).
    """

    values: tuple[float, ...] = ()
    seeds: tuple[int, ...] = ()
    why: str = ""

    def __bool__(self) -> bool:
        return bool(self.values)

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values) if self.values else math.nan

    @property
    def std(self) -> float | None:
        """Sample standard deviation over seeds; None with fewer than two."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    def minus(self, other: Number) -> Number:
        """The difference: seed by seed where both have the same seeds, else of the two means."""
        if not self or not other:
            return Number(why=self.why or other.why)
        if sorted(self.seeds) == sorted(other.seeds):
            theirs = dict(zip(other.seeds, other.values, strict=True))
            pairs = zip(self.seeds, self.values, strict=True)
            return Number(tuple(value - theirs[seed] for seed, value in pairs), self.seeds, self.why)
        return Number((self.mean - other.mean,), (self.seeds[0],), self.why)


@dataclass(frozen=True)
class Group:
    """All runs of one method, or of one row of a suite.

    Attributes:
        method: its name in the registry, or the row's.
        label: how tables and plots call it.
        runs: the completed records, by seed.
        others: the records of runs that failed or were skipped.
    """

    method: str
    label: str
    runs: tuple[Mapping[str, Any], ...]
    others: tuple[Mapping[str, Any], ...] = ()

    @property
    def reference(self) -> bool:
        return self.method in REFERENCES

    @property
    def records(self) -> tuple[Mapping[str, Any], ...]:
        return self.runs + self.others

    def number(self, *path: str) -> Number:
        """The number at a path of the records, over the completed seeds."""
        if not self.runs:
            other = self.others[0] if self.others else {}
            return Number(why=f"{other.get('status', 'not run')}: {one_line(other.get('error'))}")
        found = [(seed(run), *find(run, *path)) for run in self.runs]
        good = [(at, value) for at, value, _ in found if value is not None]
        bad = [(at, why) for at, value, why in found if value is None]
        why = ""
        if bad and not good:
            why = "; ".join(dict.fromkeys(reason for _, reason in bad))
        elif bad:
            missing = "; ".join(f"seed {at} {reason}" for at, reason in bad)
            why = f"mean of {len(good)} of {len(found)} seeds: {missing}"
        return Number(tuple(value for _, value in good), tuple(at for at, _ in good), why)

    def curve(self, name: str) -> list[tuple[list[float], list[float]]]:
        """The curve of that name of every seed as (x, y), without the points that are not finite."""
        lines = []
        for run in self.runs:
            curves = run.get("curves")
            raw = curves.get(name) if isinstance(curves, Mapping) else None
            pairs = [p for p in (raw if isinstance(raw, list) else ()) if isinstance(p, list | tuple)]
            points = [pair for pair in pairs if len(pair) == 2 and all(map(_finite, pair))]
            if points:
                lines.append(([float(x) for x, _ in points], [float(y) for _, y in points]))
        return lines


def group_runs(
    records: Iterable[Mapping[str, Any]], order: Sequence[str] = (), labels: Mapping[str, str] | None = None
) -> list[Group]:
    """Group records by row or method: in the order asked for, then of appearance, the references last.

    Args:
        records: one a run.
        order: names of rows and methods.
        labels: of the rows whose own name is not for tables.
    """
    by_method: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        by_method.setdefault(row_name(record), []).append(record)
    named = [name for name in order if name in by_method]
    names = [*named, *(name for name in by_method if name not in named)]
    names = [n for n in names if n not in REFERENCES] + [n for n in REFERENCES if n in by_method]
    papers = {name: str(by_method[name][0].get("paper") or name) for name in names if name not in REFERENCES}
    papers |= {name: name for name in papers if by_method[name][0].get("row")}  # rows share a paper
    shared = Counter(papers.values())
    groups = []
    for name in names:
        runs = sorted(by_method[name], key=seed)
        # Two methods of one paper (AVID and its CMA) are told apart by their own names.
        label = papers.get(name, name)
        label = name.upper() if shared[label] > 1 else label if len(label) <= LABEL else name
        groups.append(
            Group(
                name,
                REFERENCES.get(name) or (labels or {}).get(name) or label,
                tuple(run for run in runs if run.get("status") == "completed"),
                tuple(run for run in runs if run.get("status") != "completed"),
            )
        )
    return groups


def seed(record: Mapping[str, Any]) -> int:
    """The seed of a record, 0 when it names none."""
    return int(record.get("seed") or 0)


def one_line(text: object, most: int = 160) -> str:
    """A text on one line, cut to `most` characters."""
    line = " ".join(str(text or "no reason recorded").split())
    return line if len(line) <= most else line[: most - 1] + "…"


def get(record: Mapping[str, Any], *path: str) -> Any:
    """What lies at a path of a record, whatever it is; None where the path ends early."""
    here: Any = record
    for name in path:
        here = here.get(name) if isinstance(here, Mapping) else None
    return here


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
