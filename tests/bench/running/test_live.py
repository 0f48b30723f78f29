"""The table of runs: states, times, what fits, and lines where there is no terminal."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from ssl_av.bench.running import live
from ssl_av.bench.running.live import Board, clock

Make = Callable[..., dict[str, Any]]


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock, to be set."""
    at = [100.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: at[0])
    return at


def board(
    labels: list[str], width: int = 120, height: int = 40, terminal: bool = True, jobs: int = 1
) -> Board:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=terminal)
    return Board(console, labels, jobs)


def text(shown: Board) -> str:
    console = Console(file=io.StringIO(), width=shown.console.width, height=50)
    console.print(shown.table())
    return console.file.getvalue()  # type: ignore[attr-defined]


def line(shown: Board, label: str) -> list[str]:
    return next(row for row in text(shown).splitlines() if row.lstrip().startswith(label)).split()


def test_a_run_from_waiting_to_done(now: list[float], record: Make) -> None:
    shown = board(["brave", "avid"])
    assert line(shown, "avid") == ["avid", "waiting"]
    shown.begin("avid")
    shown.show("avid", ("training", 10, 110, {"loss": 3.25}))
    now[0] += 20
    shown.show("avid", ("training", 30, 110, {"val/probe_video": 0.25, "val/probe_audio": 0.5}))
    words = line(shown, "avid")
    assert "30/110" in words
    assert "3.25" in words
    assert words[words.index("probe") :][:4] == ["probe", "25.0", "/", "50.0"]
    assert words[-2:] == ["0:20", "1:20"]  # 80 steps at one a second; of the 10 before nothing is known
    shown.show("avid", ("linear-svm", 0, 0, {}))
    assert "linear-svm" in line(shown, "avid")
    done = record("avid")
    done["cost"]["total_seconds"] = 75.0
    shown.over("avid", done)
    words = line(shown, "avid")
    assert words[1] == "done"
    assert words[-4:] == ["33.8", "/", "61.2", "1:15"]


def test_time_left_counts_what_waits_and_the_evaluation(now: list[float], record: Make) -> None:
    shown = board(["brave", "avid", "cma", "stica"], jobs=2)
    done = record("brave")
    done["cost"] |= {"total_seconds": 100.0, "eval_seconds": 20.0}
    shown.over("brave", done, before=True)
    for label in ("avid", "cma"):
        shown.begin(label)
        shown.show(label, ("training", 0, 100, {}))
    now[0] += 40
    for label in ("avid", "cma"):
        shown.show(label, ("training", 50, 100, {}))
    assert line(shown, "avid")[-1] == "1:00"  # 40 s of training and 20 s of evaluation
    # Two runs of 60 s and one of 100 s, on two places.
    assert "1 of 4 over, 1 waiting, about 1:50 left" in text(shown)


def test_failures_stay_visible_where_not_all_rows_fit(record: Make) -> None:
    labels = [f"run{n:02}" for n in range(40)]
    shown = board(labels, height=16)
    for label in labels[:20]:
        shown.over(label, record("avid"))
    shown.over("run03", {"method": "avid", "seed": 3, "status": "failed", "error": "boom"})
    shown.begin("run25")
    said = text(shown)
    assert "run03" in said
    assert "run25" in said
    assert "20 of 40 over, 1 failed, 19 waiting" in said
    assert (
        sum(row.lstrip().startswith("run") for row in said.splitlines()) == 11
    )  # the head of the column is one


@pytest.mark.parametrize("width", [80, 100, 160])
def test_nothing_is_cut_at_usual_widths(width: int, record: Make) -> None:
    shown = board(["crisscross seed 0", "avid seed 0"], width=width)
    shown.begin("crisscross seed 0")
    shown.show("crisscross seed 0", ("training", 1234, 2500, {"loss": 12.345, "val/probe_video": 0.125}))
    shown.over("avid seed 0", record("avid"))
    said = text(shown)
    assert "…" not in said
    for word in ("crisscross seed 0", "1234/2500", "12.3", "probe 12.5 / –", "33.8 / 61.2"):
        assert word in said


def test_lines_without_a_terminal(now: list[float], record: Make) -> None:
    with board(["avid", "brave", "cma"], terminal=False) as shown:
        shown.over("brave", record("brave"), before=True)
        shown.begin("avid")
        for step in range(0, 101, 20):
            shown.show("avid", ("training", step, 100, {"loss": 2.5}))
            now[0] += 12
        done = record("avid")
        done["cost"]["total_seconds"] = 75.0
        shown.over("avid", done)
        shown.over("cma", {"method": "cma", "seed": 0, "status": "failed", "error": "a list [/x] of"})
    said = shown.console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert said == [
        "  brave: done before",
        "  avid: step 60 of 100, loss 2.5, 0:24 left",
        "  avid: trained 100 steps",
        "  avid: video 33.8 %, audio 61.2 % (75 s)",
        "  cma: failed: a list [/x] of",
    ]


@pytest.mark.parametrize(
    ("seconds", "said"), [(None, ""), (0, "0:00"), (42.4, "0:42"), (725, "12:05"), (11045, "3:04:05")]
)
def test_clock(seconds: float | None, said: str) -> None:
    assert clock(seconds) == said
