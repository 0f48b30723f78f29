"""Every number of a suite's records as a table of one number a line, for other programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ssl_av.bench.analysis.groups import seed
from ssl_av.bench.records import row_name

COLUMNS = ("method", "seed", "status", "kind", "of", "measure", "value")

KINDS = ("results", "budget", "cost", "parameters", "collapse")
"""Parts of a record that hold numbers to compare; its curves are in records.jsonl."""


def to_csv(records: Iterable[Mapping[str, Any]]) -> str:
    """The numbers of all runs: ``avid,0,completed,results,linear-svm.video,top1,0.612``.

    A run without numbers (it failed) has one line, with its status alone. Numbers are as recorded, accuracies from
    0 to 1; lists (of classes, of intervals) have their place in them as the last part of the measure's name.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for record in records:
        who = [row_name(record), seed(record), record.get("status", "")]
        lines = [
            [*who, kind, ".".join(path[:-1]), path[-1], repr(value)]
            for kind in KINDS
            for path, value in _numbers(record.get(kind))
        ]
        writer.writerows(lines or [[*who, "", "", "", ""]])
    return text.getvalue()


def _numbers(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], float]]:
    """The numbers below a value, each with its path."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _numbers(item, (*path, str(key)))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            name = f"{path[-1]}.{place}" if path else str(place)
            yield from _numbers(item, (*path[:-1], name))
    elif isinstance(value, int | float) and not isinstance(value, bool) and path:
        yield path, value
