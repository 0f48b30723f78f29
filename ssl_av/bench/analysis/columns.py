"""Which columns the tables of a report have, found from what the records hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from ssl_av.bench.analysis.axes import SPENT_AS, axis_column
from ssl_av.bench.analysis.groups import UNTRAINED, Group, Number, get
from ssl_av.bench.analysis.headline import SVM, TABLED, Headline, headline
from ssl_av.bench.analysis.tables import Cell, Column, Row, Table, cell
from ssl_av.bench.analysis.words import word
from ssl_av.bench.records import find


def main_columns(groups: Sequence[Group]) -> list[Column]:
    """The headline (linear SVM), gain over the untrained network, retrieval both kinds, training time."""
    about = headline(groups)
    untrained = next((group for group in groups if group.method == "random"), None)
    columns = [
        _measure(
            groups, (about.protocol, side, about.metric), about.head, word(side), about.short(side), True
        )
        for side in about.sides
    ]
    if untrained is not None:
        columns += [
            Column(
                word(side),
                _gain(about, untrained, side),
                "points",
                "Gain over untrained (points)",
                brief=True,
                short=f"gain {word(side)}",
            )
            for side in about.sides
        ]
    columns += _elsewhere(groups, about)
    for protocol in TABLED:
        for side in _sides(groups, protocol):
            head = (
                f"Retrieval {word(side)} (%)" if protocol == "retrieval" else f"{word(side)} (%)".capitalize()
            )
            near = {"audio_to_video": "a→v", "video_to_audio": "v→a"}.get(side, word(side))
            columns += [
                _measure(
                    groups, (protocol, side, rank), head, word(rank), f"{near} {word(rank)} %", rank == "r1"
                )
                for rank in _ranks(groups, protocol, side)
            ]
    seconds = Column(
        "seconds", _trained("cost", "train_seconds"), "seconds", "Training", brief=True, short="train s"
    )
    return [*columns, seconds]


def other_columns(groups: Sequence[Group]) -> list[Column]:
    """Accuracies of every protocol that the main table does not show."""
    columns: list[Column] = []
    about = headline(groups)
    for protocol in _keys(groups, "results"):
        if protocol in (SVM, *TABLED):
            continue
        name, _, place = protocol.partition("@")
        for side in _sides(groups, protocol):
            for metric in _keys(groups, "results", protocol, side):
                if (protocol, metric) == (about.protocol, about.metric) or (name, metric) == (SVM, "top1"):
                    continue  # in the main table
                if re.fullmatch(r"(clip_)?(top\d+|map)(_tuned_\w+)?|[rp]\d+|accuracy|auc", metric):
                    head = f"{place}: {name} {word(side)} (%)" if place else f"{protocol} {word(side)} (%)"
                    columns.append(_measure(groups, (protocol, side, metric), head, word(metric)))
    return columns


def _elsewhere(groups: Sequence[Group], about: Headline) -> list[Column]:
    """Linear SVM on other data than the run's own, where that is not the headline."""
    columns = []
    for protocol in _keys(groups, "results"):
        name, _, place = protocol.partition("@")
        if name == SVM and place and protocol != about.protocol:
            columns += [
                _measure(
                    groups, (protocol, side, "top1"), f"{place}: linear SVM top-1 (%)", word(side),
                    f"{place} {side} %", True,
                )
                for side in _sides(groups, protocol)
                if "top1" in _keys(groups, "results", protocol, side)
            ]  # fmt: skip
    return columns


def cost_columns() -> list[Column]:
    """Time, operations, speed, waiting, memory and size."""
    rate = "Training speed"
    return [
        Column("train", _trained("cost", "train_seconds"), "seconds", "Seconds"),
        Column("evaluate", lambda group: group.number("cost", "eval_seconds"), "seconds", "Seconds"),
        Column("in all", lambda group: group.number("cost", "total_seconds"), "seconds", "Seconds"),
        Column("a step", _trained("cost", "flops_per_step"), "giga", "GFLOP"),
        Column("clips/s", _trained("cost", "clips_per_second"), "decimal", rate),
        Column("samples/s", _trained("cost", "samples_per_second"), "decimal", rate),
        Column("for data (%)", _trained("cost", "data_wait_share"), "percent", "Waiting"),
        Column("peak (MB)", lambda group: group.number("cost", "peak_memory_mb"), "count", "Memory"),
        *(
            Column(part, _value("parameters", part), "millions", "Parameters (M)")
            for part in ("video", "audio", "total")
        ),
    ]


def collapse_table(groups: Sequence[Group]) -> Table:
    """Measures of collapse: one row an embedding of a method, because methods name their own embeddings."""
    return _row_by_row(groups, "collapse", "Measures of collapse")


def diagnostics_table(groups: Sequence[Group]) -> Table:
    """What the test split's features are like: one row a modality, a direction or a memory of a method."""
    return _row_by_row(groups, "diagnostics", "Diagnostics")


def _row_by_row(groups: Sequence[Group], root: str, title: str) -> Table:
    """A table of what records hold as ``{root: {row: {measure: number}}}``."""
    measures = dict.fromkeys(key for name in _keys(groups, root) for key in _keys(groups, root, name))
    columns = (
        Column("embedding", lambda group: ""),
        *(Column(word(key), lambda group: "") for key in measures),
    )
    rows = []
    for group in groups:
        for name in _keys([group], root):
            held = _keys([group], root, name)
            # what a row has no measure for is no gap: an alignment is of two modalities
            cells = (cell(group.number(root, name, k) if k in held else "", "number") for k in measures)
            kind = "reference" if group.reference else "method"
            rows.append(Row(group.label, group.method, kind, (Cell(word(name)), *cells)))
    return Table(title, columns if rows else (), tuple(rows))


def budget_columns(groups: Sequence[Group]) -> list[Column]:
    """What was asked, what was spent of each kind, and in which stages."""
    columns = [Column("asked", lambda group: said_budget(_first(group, "budget", "asked")))]
    for kind in _keys(groups, "budget", "spent"):
        title, form = axis_column(groups, kind)
        columns.append(Column(title, _spent(kind), form, "Spent"))
    for kind in _keys(groups, "budget", "asked"):
        columns.append(Column(f"{kind} (%)", _spent_share(kind), "percent", "Spent of asked"))
    if any(_first(group, "stages") for group in groups):
        columns.append(Column("stages", _stages))
    return columns


def said_budget(budget: object) -> str:
    """``{"samples": 6000}`` as "6,000 samples"."""
    if not isinstance(budget, dict) or not budget:
        return ""
    parts = []
    for kind, amount in budget.items():
        if isinstance(amount, int | float) and not isinstance(amount, bool):
            parts.append(f"{amount:,.0f} {kind}" if 10 <= amount < 1e9 else f"{amount:g} {kind}")
        else:
            parts.append(f"{amount} {kind}")
    return ", ".join(parts)


def _measure(
    groups: Sequence[Group],
    path: tuple[str, str, str],
    head: str,
    title: str,
    short: str = "",
    brief: bool = False,
) -> Column:
    chance, note = _chance(groups, path)
    return Column(
        title, _value("results", *path), "percent", head, "high", chance, note, brief, short, _interval(*path)
    )


def _chance(groups: Sequence[Group], path: tuple[str, str, str]) -> tuple[float | None, str]:
    """What guessing reaches: as recorded beside the measure, else from the chance of the classes."""
    protocol, side, metric = path
    runs = [run for group in groups for run in group.runs]
    for run in runs:
        for key in (f"chance_{metric}", "chance"):
            value, _ = find(run, "results", protocol, side, key)
            if value is not None and (key != "chance" or re.fullmatch(r"top1|r1|p\d+", metric)):
                return value, ""
    name, _, place = protocol.partition("@")
    where = ("elsewhere", place) if place else ("data",)
    by_class = next((c for c, _ in (find(run, *where, "chance") for run in runs) if c is not None), None)
    if by_class is None or name == "av-retrieval":
        return None, ""
    if metric in ("top1", "clip_top1"):
        return by_class, ""
    if name == "retrieval":
        # One of k neighbours drawn at random has the query's class, when the classes are of one size.
        return 1 - (1 - by_class) ** int(metric[1:]), "for classes of equal size: 1 − (1 − chance)^k"
    return None, ""


def _interval(protocol: str, side: str, metric: str) -> Callable[[Group], tuple[float, float] | None]:
    """Over test samples, of a single run: over several seeds the spread between them says more."""

    def interval(group: Group) -> tuple[float, float] | None:
        found = get(group.runs[0], "results", protocol, side, "interval") if len(group.runs) == 1 else None
        return (found["low"], found["high"]) if found and found.get("metric") == metric else None

    return interval


def _value(*path: str) -> Callable[[Group], Number]:
    return lambda group: group.number(*path)


def _trained(*path: str) -> Callable[[Group], Number]:
    """A number that only training gives: the untrained network has none, whatever was recorded."""
    return lambda group: Number(why="not trained") if group.method in UNTRAINED else group.number(*path)


def _gain(about: Headline, untrained: Group, side: str) -> Callable[[Group], Number]:
    def gain(group: Group) -> Number:
        if group.method == "random":
            return Number()
        return about.number(group, side).minus(about.number(untrained, side))

    return gain


def _spent(kind: str) -> Callable[[Group], Number]:
    def amount(group: Group) -> Number:
        number = _trained("budget", "spent", kind)(group)
        # A machine without a GPU or a counter of energy is no failure of the run.
        return Number(why="not recorded") if number.why == "no finite number" else number

    return amount


def _spent_share(kind: str) -> Callable[[Group], Number]:
    axis, unit = SPENT_AS.get(kind, (kind, 1.0))

    def share(group: Group) -> Number:
        if group.method in UNTRAINED:
            return Number(why="not trained")
        spent, asked = _spent(axis)(group), group.number("budget", "asked", kind)
        if not spent or not asked or not asked.mean:
            return Number(why=spent.why or asked.why)
        return Number((spent.mean / unit / asked.mean,), (spent.seeds[0],))

    return share


def _stages(group: Group) -> str:
    stages = _first(group, "stages")
    if not isinstance(stages, list):
        return ""
    return " → ".join(
        f"{stage.get('name', '?')}: "
        + said_budget({kind: amount for kind, amount in stage.items() if kind != "name"})
        for stage in stages
        if isinstance(stage, dict)
    )


def _first(group: Group, *path: str) -> object:
    return next((found for run in group.records if (found := get(run, *path)) is not None), None)


def _sides(groups: Sequence[Group], protocol: str) -> list[str]:
    usual = {"retrieval": ("video",), "av-retrieval": ("audio_to_video", "video_to_audio")}
    return list(dict.fromkeys((*usual.get(protocol, ()), *_keys(groups, "results", protocol))))


def _ranks(groups: Sequence[Group], protocol: str, side: str) -> list[str]:
    ranks = (key for key in _keys(groups, "results", protocol, side) if re.fullmatch(r"r\d+", key))
    return sorted(ranks, key=lambda rank: int(rank[1:])) or ["r1"]


def _keys(groups: Sequence[Group], *path: str) -> list[str]:
    """Keys that any completed run has at a path, in order of appearance, without the reasons for skipping."""
    found: Iterable[object] = (get(run, *path) for group in groups for run in group.runs)
    keys = (str(key) for level in found if isinstance(level, dict) for key in level)
    return [key for key in dict.fromkeys(keys) if key != "skipped"]
