"""The sentences of a report: computed from the records, and saying no more than they allow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ssl_av.bench.analysis.columns import said_budget
from ssl_av.bench.analysis.groups import UNTRAINED, Group, Number, get, seed
from ssl_av.bench.analysis.headline import Headline, headline
from ssl_av.bench.analysis.tables import formatted
from ssl_av.bench.analysis.words import word
from ssl_av.bench.records import find

COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
SIDES = ("video", "audio")


def question(groups: Sequence[Group], suite: Mapping[str, Any]) -> str:
    """The question that the suite asks, in one sentence: its own words, else from what it compares."""
    if suite.get("question"):
        return str(suite["question"])
    methods = [group for group in groups if not group.reference]
    first = next(run for group in groups for run in group.runs)
    budget = (
        said_budget(suite.get("budget")) or said_budget(get(first, "budget", "asked")) or "the same budget"
        if one_budget(groups)
        else "its own"
    )
    data = get(first, "data", "name") or "the data"
    if not methods:
        return f"What do the reference rows reach on {data}?"
    if len(methods) == 1:
        return f"What does {methods[0].label} learn from {data} on a budget of {budget}?"
    return (
        f"Which of {count(len(methods))} methods learns the best features from {data} "
        f"on a budget of {budget} each?"
    )


def one_budget(groups: Sequence[Group]) -> bool:
    """Whether all methods were asked to spend the same."""
    asked = (get(run, "budget", "asked") for group in groups if not group.reference for run in group.runs)
    return len({said for budget in asked if (said := said_budget(budget))}) < 2


def answer(groups: Sequence[Group]) -> str:
    """The answer in one sentence: the best by modality, and who is above the untrained network."""
    methods = [group for group in groups if not group.reference and group.runs]
    if not methods:
        return "No method completed: there are only reference rows."
    about = headline(groups)
    best: dict[str, list[str]] = {}
    for side in about.sides:
        names, reached = _best(about, methods, side)
        if names:
            best.setdefault(names, []).append(f"{reached} ({word(side)})")
    if not best:
        return "No accuracy was measured, so the methods are not ranked here."
    above = _above_untrained(about, methods, groups)
    won = " and ".join(f"{names} {' and '.join(reached)}" for names, reached in best.items())
    return f"Best {about.name if about.metric == 'top1' else about.title}: {won}" + (
        f"; {above}." if above else "."
    )


def remarks(groups: Sequence[Group]) -> list[str]:
    """What a careful reader has to know before believing a difference."""
    methods = [group for group in groups if not group.reference and group.runs]
    about = headline(groups)
    leads = [_lead(about, methods, side) for side in about.sides]
    said = [_seeds(groups), *leads, _sampling(about, groups), _supervised(about, groups)]
    said.append(_unconverged(groups))
    return [text for text in (*said, *_unequal(groups)) if text]


def elsewhere(groups: Sequence[Group]) -> list[str]:
    """The other data sets, each with its sizes."""
    found = {
        name: data
        for group in groups
        for run in group.runs
        for name, data in (get(run, "elsewhere") or {}).items()
    }
    said = []
    for name, data in found.items():
        sizes = " / ".join(f"{data.get(part, 0):,}" for part in ("train", "val", "test"))
        said.append(f"{name} ({sizes}; {data.get('classes', 0)} classes)")
    return said


def percent(number: Number) -> str:
    """A fraction over seeds as "61.2 %" or "61.2 ± 0.8 %"."""
    spread = "" if number.std is None else f" ± {formatted(number.std, 'percent')}"
    return f"{formatted(number.mean, 'percent')}{spread} %"


def count(number: int) -> str:
    """A count in words up to ten."""
    return COUNTS[number] if number < len(COUNTS) else str(number)


def duration(seconds: float) -> str:
    """Seconds as "42 s", "12 min", "3.4 h"; nothing for none."""
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds else ""
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def listed(names: Sequence[str]) -> str:
    """Names as a person lists them: "A", "A and B", "A, B and C"."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1] if names else ""]))


def _ranked(about: Headline, methods: Sequence[Group], side: str) -> list[tuple[Group, Number]]:
    found = [(group, about.number(group, side)) for group in methods]
    return sorted(((g, n) for g, n in found if n), key=lambda pair: -pair[1].mean)


def _best(about: Headline, methods: Sequence[Group], side: str) -> tuple[str, str]:
    """The best method of a modality, or those that share the first place, and what it reached."""
    ranked = _ranked(about, methods, side)
    if not ranked:
        return "", ""
    tied = [group.label for group, number in ranked if _tenths(number) == _tenths(ranked[0][1])]
    return listed(tied), percent(ranked[0][1])


def _above_untrained(about: Headline, methods: Sequence[Group], groups: Sequence[Group]) -> str:
    untrained = next((group for group in groups if group.method == "random" and group.runs), None)
    parts = []
    for side in about.sides:
        floor = about.number(untrained, side) if untrained else Number()
        ranked = _ranked(about, methods, side)
        if not floor or not ranked:
            continue
        above = [g.label for g, n in ranked if _tenths(n) > _tenths(floor)]
        if len(ranked) == 1:
            who = "it is" if above else "it is not"
        elif len(above) == len(ranked):
            who = "both are" if len(above) == 2 else f"all {count(len(above))} are"
        elif not above:
            who = "none is"
        else:
            verb = "is" if len(above) == 1 else "are"
            who = f"{count(len(above))} of {count(len(ranked))} ({listed(above)}) {verb}"
        parts.append((who, f"on {word(side)} ({percent(floor)})"))
    if len(parts) == 2 and parts[0][0] == parts[1][0]:
        return f"{parts[0][0]} above the untrained network {parts[0][1]} and {parts[1][1]}"
    return ", ".join(f"{who} above the untrained network {where}" for who, where in parts)


def _seeds(groups: Sequence[Group]) -> str:
    most = max(len(group.runs) for group in groups)
    if most == 1:
        return (
            "One seed a method: nothing can be concluded about differences between seeds, "
            "and a small gap between two methods may be chance."
        )
    seeds = sorted({seed(run) for group in groups for run in group.runs})
    single = [group.label for group in groups if len(group.runs) == 1]
    alone = f" {listed(single)}: one seed only, so nothing can be said about its spread." if single else ""
    return (
        f"Numbers are means over seeds ({listed([str(s) for s in seeds])}); "
        f"± is their sample standard deviation.{alone}"
    )


def _lead(about: Headline, methods: Sequence[Group], side: str) -> str:
    """Whether the first place is settled by what the suite measured."""
    ranked = _ranked(about, methods, side)
    if len(ranked) < 2:
        return ""
    (first, best), (second, next_best) = ranked[:2]
    gap = best.mean - next_best.mean
    spreads = [number.std for number in (best, next_best) if number.std is not None]
    if len(spreads) == 2:
        yardstick, what = math.hypot(*spreads), "the spread of such a difference over seeds"
    else:
        clips = _test_clips([first, second])
        if not clips or not about.counts:
            return ""
        yardstick = math.hypot(*(_standard_error(n.mean, clips) for n in (best, next_best)))
        what = "the standard error of such a difference on this test set"
    if gap > 2 * yardstick:
        return ""
    points, against = formatted(gap, "percent"), formatted(yardstick, "percent")
    if not float(points):
        return f"On {word(side)}, {first.label} and {second.label} are level: the first place is not settled."
    return (
        f"On {word(side)}, {first.label} leads {second.label} by {points} points, "
        f"against about {against} points for {what}: the first place is not settled."
    )


def _sampling(about: Headline, groups: Sequence[Group]) -> str:
    clips = _test_clips(groups)
    found = [number.mean for g in groups for side in about.sides if (number := about.number(g, side))]
    if not clips or not found or not about.counts:
        return ""
    widest = max(_standard_error(value, clips) for value in found)
    error = formatted(widest, "percent")
    return f"The test split has {clips:,} samples: accuracies have a standard error of up to {error} points."


def _supervised(about: Headline, groups: Sequence[Group]) -> str:
    """Say so where learning with labels is not above everything, and what is known about why."""
    labelled = next((group for group in groups if group.method == "supervised" and group.runs), None)
    if labelled is None:
        return ""
    parts = []
    for side in about.sides:
        own = about.number(labelled, side)
        over = [
            f"{group.label} ({percent(number)})"
            for group, number in _ranked(about, [g for g in groups if g.method != "supervised"], side)
            if own and _tenths(number) > _tenths(own)
        ]
        if over:
            parts.append(
                f"on {word(side)}, {listed(over)} {'is' if len(over) == 1 else 'are'} above it ({percent(own)})"
            )
    if not parts:
        return ""
    budget = said_budget(get(labelled.runs[0], "budget", "asked")) or "the same budget"
    return (
        f"Supervised is not above all: {'; '.join(parts)}. "
        f"It saw labels, but with the same small budget ({budget}): it is a reference, not an upper bound."
    )


def _unconverged(groups: Sequence[Group]) -> str:
    """Which linear SVMs stopped before they converged, where the records say so."""
    found = [
        f"{group.label} ({side})"
        for group in groups
        for side in SIDES
        if any(get(run, "results", "linear-svm", side, "converged") is False for run in group.runs)
    ]
    return (
        f"The linear SVM did not converge for {listed(found)}: these accuracies are not final."
        if found
        else ""
    )


def _unequal(groups: Sequence[Group]) -> list[str]:
    """What makes the rows not comparable, if anything does."""
    said = []
    places = dict.fromkeys(name for g in groups for run in g.runs for name in get(run, "elsewhere") or ())
    for path, what in (
        (("data", "hash"), "data (hash of the manifest)"),
        (("budget", "asked"), "budget asked for"),
        (("versions", "torch"), "version of torch"),
        (("git",), "revision of the code"),
        *((("elsewhere", name, "hash"), f"data of {name} (hash of the manifest)") for name in places),
    ):
        values: dict[str, list[str]] = {}
        for group in groups:
            if path[0] == "budget" and group.method in UNTRAINED:
                continue
            for run in group.runs:
                value = get(run, *path)
                if value is not None:
                    text = said_budget(value) if isinstance(value, dict) else str(value)
                    values.setdefault(text, []).append(group.label)
        if len(values) > 1:
            parts = (f"{value} ({listed(list(dict.fromkeys(who)))})" for value, who in values.items())
            said.append(f"Not one comparison: the runs differ in {what}: {'; '.join(parts)}.")
    return said


def _tenths(number: Number) -> float:
    """Compare as printed: a difference that the table does not show is not claimed in words."""
    return float(formatted(number.mean, "percent").replace("−", "-"))


def _standard_error(accuracy: float, clips: int) -> float:
    return math.sqrt(max(accuracy * (1 - accuracy), 0.0) / clips)


def _test_clips(groups: Sequence[Group]) -> int:
    found = (find(run, "data", "test")[0] for group in groups for run in group.runs)
    return int(min((clips for clips in found if clips is not None), default=0))
