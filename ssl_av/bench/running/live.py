"""What the runs of a suite are doing: a table that keeps itself up to date; plain lines where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich import box
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ssl_av.bench.analysis.groups import Group
from ssl_av.bench.analysis.headline import headline
from ssl_av.bench.running.perform import Message

STYLES = {
    "waiting": "dim", "running": "bold cyan", "evaluating": "cyan", "done": "green", "done before": "dim green",
    "failed": "bold red", "skipped": "yellow",
}  # fmt: skip

BETWEEN = 30.0
"""Seconds between two lines about one run, at least, where there is no terminal."""


@dataclass
class Row:
    """What is known of a run.

    Attributes:
        label: its name.
        state: a key of `STYLES`.
        what: what it is doing.
        done: steps of the training.
        total: of so many.
        numbers: the last of each name.
        begun: when its process was started.
        first: when the first step of this process was reported, and which it was.
        trained: when the training ended.
        seconds: what it took, once it is over.
        evaluation: seconds of that for the evaluation.
        record: once it is over.
        said: when and at which step a line was printed about it.
    """

    label: str
    state: str = "waiting"
    what: str = ""
    done: int = 0
    total: int = 0
    numbers: dict[str, float] = field(default_factory=dict)
    begun: float | None = None
    first: tuple[float, int] | None = None
    trained: float | None = None
    seconds: float | None = None
    evaluation: float | None = None
    record: Mapping[str, Any] | None = None
    said: float = 0.0

    def elapsed(self, now: float) -> float | None:
        """Seconds since it began, or that it took."""
        if self.seconds is not None:
            return self.seconds
        return None if self.begun is None else now - self.begun

    def left(self, now: float, evaluation: float | None) -> float | None:
        """Seconds that it still needs, where that can be said.

        Args:
            now: the time.
            evaluation: seconds that an evaluation took in other runs.
        """
        if self.state == "evaluating" and self.trained is not None:
            return None if evaluation is None else max(evaluation - (now - self.trained), 0.0)
        if self.state != "running" or self.first is None or self.done <= self.first[1]:
            return None
        since, at = self.first
        return (now - since) / (self.done - at) * (self.total - self.done) + (evaluation or 0.0)


class Board:
    """The table of a suite's runs; use it as a context. Its methods may be called from several threads.

    Args:
        console: where it is shown.
        labels: of all runs, in their order.
        jobs: how many run at a time.
    """

    def __init__(self, console: Console, labels: Sequence[str], jobs: int = 1) -> None:
        self.console, self.jobs = console, jobs
        self.rows = {label: Row(label) for label in labels}
        # Four times a second: the clock is seen to go, and little is sent through a slow connection.
        self._live = Live(console=console, get_renderable=self.table, refresh_per_second=4)

    def __enter__(self) -> Board:
        if self.console.is_terminal:
            self._live.start(refresh=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self._live.stop()

    def begin(self, label: str, what: str = "starting") -> None:
        """A run begins."""
        row = self.rows[label]
        row.state, row.what, row.begun = "running", what, time.monotonic()

    def show(self, label: str, message: Message) -> None:
        """A run has got so far."""
        row, now = self.rows[label], time.monotonic()
        row.what, done, total, numbers = message
        row.numbers.update(numbers)
        if row.what == "training":
            row.done, row.total = done, total
            row.first = row.first or (now, done)
            self._say(row, now)
        elif row.state == "running" and not row.what.startswith("init:"):
            row.state, row.trained = "evaluating", now

    def over(self, label: str, record: Mapping[str, Any], before: bool = False) -> None:
        """A run is over; ``before``: it was when the command was given."""
        row, cost = self.rows[label], record.get("cost") or {}
        status = str(record.get("status"))
        row.state = "done before" if before else "done" if status == "completed" else status
        row.record, row.what = record, ""
        row.seconds, row.evaluation = cost.get("total_seconds"), cost.get("eval_seconds")
        if row.seconds is None:  # it failed: its clock stands still
            row.seconds = row.elapsed(time.monotonic())
        row.done = row.total = int(((record.get("budget") or {}).get("spent") or {}).get("steps") or 0)
        if not self.console.is_terminal:
            self.console.print(f"  {label}: done before" if before else _line(label, record))

    def table(self) -> Table:
        """The table as it is now, as wide and as high as the terminal allows."""
        now, wide = time.monotonic(), self.console.width >= 100
        usual = self._usual_evaluation()
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), caption_justify="left")
        table.add_column("run", no_wrap=True, overflow="ellipsis", min_width=8)
        table.add_column("state", no_wrap=True)
        if wide:
            table.add_column("", width=16)
        table.add_column("step", justify="right", no_wrap=True)
        table.add_column("loss", justify="right", no_wrap=True)
        table.add_column("video / audio %", justify="right", no_wrap=True)
        table.add_column("time", justify="right", no_wrap=True)
        table.add_column("left", justify="right", no_wrap=True)
        for row in self._shown():
            bar = [ProgressBar(max(row.total, 1), row.done, width=16)] if wide and row.total else [""] * wide
            state = (
                row.what if row.state in ("running", "evaluating") and row.what != "training" else row.state
            )
            table.add_row(
                Text(row.label, style="dim" if row.state in ("waiting", "done before") else ""),
                Text(state[:24], style=STYLES.get(row.state, "")),
                *bar,
                f"{row.done}/{row.total}" if row.total else "",
                f"{row.numbers['loss']:.3g}" if "loss" in row.numbers else "",
                accuracies(row),
                clock(row.elapsed(now)),
                clock(row.left(now, usual)),
            )
        table.caption = Text(self._count(now, usual), style="dim")
        return table

    def _shown(self) -> list[Row]:
        """The rows that fit: first what runs or failed, then what waits, then what is done."""
        room = max(self.console.height - 6, 3)
        order = ("running", "evaluating", "failed", "skipped", "waiting", "done", "done before")
        by_weight = sorted(self.rows.values(), key=lambda row: order.index(row.state))
        kept = {row.label for row in by_weight[:room]}
        return [row for row in self.rows.values() if row.label in kept]

    def _count(self, now: float, usual: float | None) -> str:
        states = [row.state for row in self.rows.values()]
        over = sum(state not in ("waiting", "running", "evaluating") for state in states)
        parts = [f"{over} of {len(states)} over"]
        parts += [f"{states.count(state)} {state}" for state in ("failed", "waiting") if state in states]
        left = self._left(now, usual)
        if left is not None:
            parts.append(f"about {clock(left)} left")
        return ", ".join(parts)

    def _usual_evaluation(self) -> float | None:
        found = [row.evaluation for row in self.rows.values() if row.evaluation]
        return sum(found) / len(found) if found else None

    def _left(self, now: float, usual: float | None) -> float | None:
        """Seconds until all is done, from what the other runs took; None where nothing is known."""
        going = [row for row in self.rows.values() if row.state in ("running", "evaluating")]
        lefts = [left for row in going if (left := row.left(now, usual)) is not None]
        waiting = sum(row.state == "waiting" for row in self.rows.values())
        totals = [row.seconds for row in self.rows.values() if row.seconds and row.total]
        totals += [(row.elapsed(now) or 0) + (row.left(now, usual) or 0) for row in going if row.first]
        if len(lefts) < len(going) or (waiting and not totals) or not (going or waiting):
            return None
        rest = sum(lefts) + (waiting * sum(totals) / len(totals) if waiting else 0.0)
        return max(rest / max(min(self.jobs, len(going) + waiting), 1), *lefts, 0.0)

    def _say(self, row: Row, now: float) -> None:
        """A line about a training, now and then, where there is no table."""
        if self.console.is_terminal:
            return
        if row.done == row.total:
            self.console.print(f"  {row.label}: trained {row.done} steps")
        elif now - row.said > BETWEEN and row.said:
            loss = f", loss {row.numbers['loss']:.3g}" if "loss" in row.numbers else ""
            left = clock(row.left(now, None))
            self.console.print(
                f"  {row.label}: step {row.done} of {row.total}{loss}{f', {left} left' * bool(left)}",
                highlight=False,
            )
        elif row.said:
            return
        row.said = now


def accuracies(row: Row) -> Text:
    """The online probes while a run trains, the headline (linear SVM) once it is over."""
    if row.record is not None:
        if row.record.get("status") != "completed":
            return Text("")
        found = _reached(row.record)
        return Text(" / ".join(f"{100 * value:.1f}" for value in found.values()), style="bold")
    probes = [row.numbers.get(f"val/probe_{side}") for side in ("video", "audio")]
    shown = " / ".join("–" if value is None else f"{100 * value:.1f}" for value in probes)
    return Text(f"probe {shown}" if any(value is not None for value in probes) else "", style="dim")


def clock(seconds: float | None) -> str:
    """Seconds as "0:42", "12:05", "3:04:05"."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _reached(record: Mapping[str, Any]) -> dict[str, float]:
    group = Group("", "", (record,))
    about = headline([group])
    found = {side: about.number(group, side) for side in about.sides}
    return {side: number.mean for side, number in found.items() if number}


def _line(label: str, record: Mapping[str, Any]) -> str:
    """What a run that is over says where there is no table."""
    if record["status"] != "completed":
        return f"  [red]{label}: {record['status']}[/]: {escape(str(record['error']))}"
    scores = ", ".join(f"{side} {100 * value:.1f} %" for side, value in _reached(record).items())
    return f"  {label}: {scores or 'done'} ({record['cost']['total_seconds']:.0f} s)"
