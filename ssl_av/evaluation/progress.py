"""The progress bar of an evaluation."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class Evaluating:
    """Shows what `ssl_av.runs.run.evaluate` reports: a bar with the time left; lines where there is no terminal.

    Use it as a context; it is the callback.
    """

    def __init__(self, console: Console) -> None:
        self.console, self.said = console, ""
        self.bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.task = self.bar.add_task("starting", total=None)

    def __enter__(self) -> Evaluating:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def __call__(self, what: str, done: int, total: int, numbers: dict[str, float]) -> None:
        """What is going on, and how much of it is done; a total of 0 is not known."""
        if what != self.said:
            self.said = what
            self.bar.remove_task(self.task)
            self.task = self.bar.add_task(what, total=total or None)
            if not self.console.is_terminal:
                self.console.print(f"{what} …", highlight=False)
        self.bar.update(self.task, completed=done)
