"""How sure a comparison is: intervals over seeds, methods two by two, ranks over tasks; one section of the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ssl_av.bench.analysis.findings import Part, Section
from ssl_av.bench.analysis.groups import Group
from ssl_av.bench.analysis.headline import main_tasks
from ssl_av.bench.analysis.pairs import LEVEL, SAME, Pair, over_samples, over_seeds, pair_table
from ssl_av.bench.analysis.predictions import right_of
from ssl_av.bench.analysis.ranking import rank, ranking_part
from ssl_av.bench.analysis.tables import Column, Table, build, formatted
from ssl_av.bench.analysis.tasks import Task, tasks
from ssl_av.evaluation.statistics import over_runs

ONE_SEED = (
    "Over seeds: every row has one, so there is no deviation, no interval and no test, and nothing can be concluded "
    "about seeds. Another seed may give another order (--seeds 0,1,2)."
)


def certainty_section(groups: Sequence[Group], folders: Sequence[Path] = ()) -> Section | None:
    """What may be concluded from the seeds and the test samples; none of a suite without a result.

    Args:
        groups: all rows of the report.
        folders: of the suites, where runs may have left their predictions.
    """
    found = tasks(groups)
    if not found:
        return None
    main = main_tasks(groups)
    ranking = rank(groups, found)
    parts = [
        _intervals(groups, found),
        _seed_pairs(groups, main),
        _sample_pairs(groups, main, folders),
        ranking_part(ranking) if ranking else None,
    ]
    return Section("certainty", "How sure this is", tuple(part for part in parts if part))


def verdict(groups: Sequence[Group]) -> str:
    """Whether methods differ by more than chance over the seeds, in a sentence; "" where nothing was tested."""
    tested = [pair for pair in over_seeds(groups, main_tasks(groups)) if pair.adjusted is not None]
    held = sum(pair.verdict != SAME for pair in tested)
    if not tested:
        return ""
    if len(tested) == 1:
        return f"Over the seeds the difference between them is {'' if held else 'not '}significant."
    if not held:
        return f"Over the seeds none of the {len(tested)} differences between two methods is significant."
    are = "is" if held == 1 else "are"
    return f"Over the seeds {held} of the {len(tested)} differences between two methods {are} significant."


def _intervals(groups: Sequence[Group], found: Sequence[Task]) -> Part:
    """Intervals of the means over seeds, or that there are none."""
    if max(len(group.runs) for group in groups) < 2:
        return Part((ONE_SEED,), Table("", (), ()))
    columns = [Column(task.measure, _ends(task), "percent", task.protocol) for task in found]
    note = (
        "In per cent: Student's t over the seeds, of the mean that the tables above give with its sample standard "
        "deviation, cut at 0 and 100. It is of training once more on the same data; it says nothing of other test "
        "samples."
    )
    return Part((), build("95 % intervals over seeds", columns, groups), note)


def _ends(task: Task) -> Callable[[Group], str]:
    def ends(group: Group) -> str:
        number = group.number(*task.path)
        interval = over_runs(number.values, level=LEVEL).interval if number else None
        if interval is None:
            return "one seed" if number else ""
        low, high = max(interval.low, 0.0), min(interval.high, 1.0)
        return f"{formatted(low, 'percent')} to {formatted(high, 'percent')}"

    return ends


def _seed_pairs(groups: Sequence[Group], main: Sequence[Task]) -> Part | None:
    pairs = over_seeds(groups, main)
    if not any(pair.difference for pair in pairs):
        return None
    table, left_out = pair_table("Two by two, over seeds", pairs)
    note = (
        f"{left_out}In points: the mean difference seed by seed, with its t interval (not corrected, cut at ±100). "
        f"p: paired t-test over the seeds that both have, two-sided, by Holm's correction for the "
        f"{_tested(pairs)} tests made here."
    )
    return Part((f"Over seeds, the test samples staying as they are: {_found(pairs)}",), table, note)


def _sample_pairs(groups: Sequence[Group], main: Sequence[Task], folders: Sequence[Path]) -> Part | None:
    """The comparison over test samples, where runs kept what they predicted."""
    right = {
        (group.method, task): one
        for group in groups
        for task in main
        if task.metric == "top1" and (one := right_of(group, task, folders))
    }
    pairs = over_samples(groups, main, right)
    if not any(pair.difference for pair in pairs):
        return None
    table, left_out = pair_table("Two by two, over test samples", pairs)
    several = max(one.runs for one in right.values()) > 1
    test = (
        "paired t-test over samples of the share of seeds that are right"
        if several
        else "McNemar's exact test"
    )
    note = (
        f"{left_out}In points: the difference on the samples that both predicted, with its paired bootstrap interval "
        f"(not corrected). p: {test}, two-sided, by Holm's correction for the {_tested(pairs)} tests made here."
    )
    return Part(
        (f"Over test samples, the trained networks staying as they are: {_found(pairs)}",), table, note
    )


def _tested(pairs: Sequence[Pair]) -> int:
    return sum(pair.adjusted is not None for pair in pairs)


def _found(pairs: Sequence[Pair]) -> str:
    """How many differences hold at 5 %, and between whom where they are few."""
    tested = [pair for pair in pairs if pair.adjusted is not None]
    held = [pair for pair in tested if pair.verdict != SAME]
    if not held:
        return f"{SAME} in any of {len(tested)} comparisons at 5 %."
    text = f"{len(held)} of {len(tested)} differences are significant at 5 %"
    if len(held) > 4:
        return f"{text}; for the others: {SAME}."
    said = "; ".join(f"{pair.task.title}: {_order(pair)}" for pair in held)
    rest = f". For the others: {SAME}." if len(held) < len(tested) else "."
    return f"{text} ({said}){rest}"


def _order(pair: Pair) -> str:
    over = pair.difference is not None and pair.difference.value > 0
    first, second = (pair.first, pair.second) if over else (pair.second, pair.first)
    return f"{first.label} above {second.label}"
