"""What methods are compared on: one number for each protocol, side and data set that a suite measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ssl_av.bench.analysis.groups import Group, get
from ssl_av.bench.analysis.words import word

METRICS = ("top1", "map", "r1", "accuracy", "auc")
"""The number that speaks for a protocol is the first of these that it has; higher is better in all."""


@dataclass(frozen=True)
class Task:
    """One protocol on one side, by one number.

    Attributes:
        protocol: with ``@DATASET`` where that is not the run's own.
        side: of its results.
        metric: of `METRICS`.
    """

    protocol: str
    side: str
    metric: str

    @property
    def path(self) -> tuple[str, ...]:
        """Where the number lies in a record."""
        return "results", self.protocol, self.side, self.metric

    @property
    def title(self) -> str:
        return f"{self.protocol} {self.measure}"

    @property
    def measure(self) -> str:
        return f"{word(self.side)} {word(self.metric)}"


def tasks(groups: Sequence[Group]) -> list[Task]:
    """Every task that a completed run has a number of, in the order of the records."""
    found = []
    for protocol in _keys(get(run, "results") for group in groups for run in group.runs):
        for side in _keys(get(run, "results", protocol) for group in groups for run in group.runs):
            metric = next(
                (m for m in METRICS if any(group.number("results", protocol, side, m) for group in groups)),
                None,
            )
            if metric:
                found.append(Task(protocol, side, metric))
    return found


def _keys(levels: Iterable[object]) -> list[str]:
    keys = (str(key) for level in levels if isinstance(level, Mapping) for key in level)
    return [key for key in dict.fromkeys(keys) if key != "skipped"]
