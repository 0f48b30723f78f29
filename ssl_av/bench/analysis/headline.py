"""What a report's first table, its answer and its first pictures are about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ssl_av.bench.analysis.groups import Group, Number
from ssl_av.bench.analysis.tasks import Task, tasks
from ssl_av.bench.analysis.words import word

SVM = "linear-svm"
TABLED = ("retrieval", "av-retrieval")
"""Protocols that have a place of their own in the main table."""


@dataclass(frozen=True)
class Headline:
    """One protocol on one data set, by one number.

    Attributes:
        protocol: with ``@DATASET`` where that is not the run's own.
        metric: the number.
        sides: of its results, in the order in which they are shown.
    """

    protocol: str
    metric: str
    sides: tuple[str, ...]

    @property
    def name(self) -> str:
        """Within a sentence."""
        name, _, place = self.protocol.partition("@")
        return ("linear SVM" if name == SVM else name) + (f" on {place}" if place else "")

    @property
    def title(self) -> str:
        """With its number: "linear SVM top-1"."""
        return f"{self.name} {word(self.metric)}"

    @property
    def head(self) -> str:
        """Over its columns: "Linear SVM top-1 (%)"; the names of other protocols are written as they are."""
        return f"{self.title[0].upper() + self.title[1:] if self.is_svm else self.title} (%)"

    @property
    def is_svm(self) -> bool:
        return self.protocol == SVM

    @property
    def counts(self) -> bool:
        """Whether its number is a share of the run's own test samples."""
        return self.metric in ("top1", "accuracy") and "@" not in self.protocol

    def short(self, side: str) -> str:
        """Over a column of a terminal."""
        if self.is_svm:
            return f"SVM {word(side)} %"
        return f"{self.protocol} {word(side)} {'%' if self.metric == 'top1' else word(self.metric) + ' %'}"

    def number(self, group: Group, side: str) -> Number:
        """What a method reached."""
        return group.number("results", self.protocol, side, self.metric)


def headline(groups: Sequence[Group]) -> Headline:
    """The linear SVM where one was measured, else the first protocol that says how good features are.

    On the run's own data rather than on others. Where there is none, the linear SVM, of which there is no number.
    """
    found = [task for task in tasks(groups) if task.protocol.partition("@")[0] not in TABLED]
    own = [task for task in found if "@" not in task.protocol]
    first = next((task for task in found if task.protocol == SVM), None) or next(iter(own or found), None)
    if first is None:
        return Headline(SVM, "top1", ("video", "audio"))
    same = [t.side for t in found if (t.protocol, t.metric) == (first.protocol, first.metric)]
    usual = ("video", "audio") if first.protocol == SVM else ()
    return Headline(first.protocol, first.metric, tuple(dict.fromkeys((*usual, *same))))


def main_tasks(groups: Sequence[Group]) -> list[Task]:
    """The tasks that pairs of methods are compared on: the headline's, else the first protocol's."""
    found = tasks(groups)
    about = headline(groups).protocol
    return [task for task in found if task.protocol == about] or [
        task for task in found if task.protocol == found[0].protocol
    ]
