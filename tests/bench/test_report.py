from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ssl_av.bench.analysis.digest import Digest, digest
from ssl_av.bench.analysis.groups import Number
from ssl_av.bench.analysis.tables import Cell, Table, formatted
from ssl_av.bench.analysis.tables import cell as one_cell
from ssl_av.bench.report import write_report
from ssl_av.bench.writing.summary import summary_table
from ssl_av.errors import UserError

Record = dict[str, Any]
Make = Callable[..., Record]
SUITE = {
    "name": "tiny",
    "methods": ["brave", "stica", "crisscross", "avid", "cma"],
    "budget": {"samples": 6000},
    "command": ["/some/where/ssl-av", "bench", "--suite", "tiny"],
}


def cell(table: Table, method: str, column: str) -> Cell:
    row = next(row for row in table.rows if row.method == method)
    return row.cells[[c.name for c in table.columns].index(column)]


@pytest.fixture
def found(suite_records: list[Record]) -> Digest:
    return digest(suite_records, SUITE)


def test_question_and_answer_come_from_the_records(found: Digest) -> None:
    assert found.question == (
        "Which of five methods learns the best features from synthav on a budget of 6,000 samples each?"
    )
    assert found.answer == (
        "Best linear SVM: AVID 33.8 % (video) and 61.2 % (audio); "
        "all five are above the untrained network on video (20.6 %) and on audio (29.4 %)."
    )
    assert (
        digest([record for g in found.groups for record in g.runs], {"question": "Why?"}).question == "Why?"
    )


def test_answer_names_who_is_above_the_untrained_network(record: Make) -> None:
    def scored(method: str, video: float) -> Record:
        return record(method, results={"linear-svm": {"video": {"top1": video}}})

    records = [scored("brave", 0.3), scored("avid", 0.2), scored("cma", 0.2999), scored("random", 0.25)]
    assert digest(records).answer == (
        "Best linear SVM: BraVe and CMA 30.0 % (video); "
        "two of three (BraVe and CMA) are above the untrained network on video (25.0 %)."
    )


def test_one_seed_is_said_and_so_is_an_unsettled_first_place(found: Digest) -> None:
    said = " ".join(found.remarks)
    assert "One seed a method: nothing can be concluded about differences between seeds" in said
    # Two accuracies of about 61 % on 160 samples: sqrt(2 * 0.61 * 0.39 / 160) = 5.5 points.
    assert "On audio, AVID leads CMA by 0.6 points, against about 5.5 points" in said


def test_supervised_below_a_method_is_said_with_what_is_known(found: Digest, record: Make) -> None:
    line = next(text for text in found.remarks if text.startswith("Supervised is not above all"))
    assert "on audio, AVID (61.2 %), CMA (60.6 %) and STiCA (57.5 %) are above it (55.6 %)" in line
    assert "same small budget (6,000 samples)" in line
    assert "on video" not in line
    fine = digest([record("crisscross"), record("supervised")])
    assert not any(text.startswith("Supervised") for text in fine.remarks)


def test_main_table(found: Digest) -> None:
    assert [row.kind for row in found.main.rows] == ["method"] * 5 + ["reference"] * 2 + ["chance"]
    assert cell(found.main, "avid", "SVM audio %") == Cell("61.2", value=0.612, best=True)
    assert cell(found.main, "avid", "gain audio").text == "+31.8"
    assert cell(found.main, "random", "gain audio").text == "–"
    assert not cell(found.main, "supervised", "SVM video %").best  # 41.9, but it is not ranked
    assert cell(found.main, "chance", "SVM audio %").text == "12.5"
    assert cell(found.main, "chance", "video R@5 %").text == "48.7"
    assert cell(found.main, "chance", "a→v R@1 %") == Cell("0.6", value=1 / 160)
    assert cell(found.main, "supervised", "a→v R@1 %") == Cell(
        "–", note="skipped: video and audio share no space"
    )
    assert cell(found.main, "random", "train s").note == "not trained"


def test_several_seeds_give_mean_and_sample_deviation(record: Make) -> None:
    def scored(method: str, seed: int, audio: float) -> Record:
        return record(method, seed, results={"linear-svm": {"audio": {"top1": audio}}})

    values = {"avid": (0.5, 0.6, 0.7), "random": (0.2, 0.3, 0.1)}
    records = [scored(method, seed, v) for method, vs in values.items() for seed, v in enumerate(vs)]
    table = digest(records).main
    assert cell(table, "avid", "SVM audio %").plain == "60.0 ± 10.0"
    # Differences seed by seed are 0.3, 0.3, 0.6.
    assert cell(table, "avid", "gain audio").plain == "+40.0 ± 17.3"
    assert "Linear SVM top-1 (%) video" in table.absent


def test_nan_and_failed_seeds_are_footnotes(record: Make) -> None:
    records = [record("avid", seed) for seed in range(3)]
    records[1]["results"]["linear-svm"]["audio"]["top1"] = float("nan")
    records[2] = {"method": "avid", "seed": 2, "status": "failed", "error": "out of\nmemory"}
    found = digest([*records, record("brave")])
    row = next(row for row in found.main.rows if row.method == "avid")
    assert row.name == "AVID (2 of 3 seeds)"
    assert cell(found.main, "avid", "SVM audio %").text == "61.2"
    assert cell(found.main, "avid", "SVM audio %").note == "mean of 1 of 2 seeds: seed 1 no finite number"
    (failure,) = found.failures
    assert (failure.method, failure.seed, failure.error) == ("avid", 2, "out of memory")


def test_method_that_failed_keeps_its_row(record: Make) -> None:
    bad = {"method": "stica", "paper": "STiCA", "seed": 0, "status": "failed", "error": "boom"}
    found = digest([record("brave"), bad])
    assert cell(found.main, "stica", "SVM audio %") == Cell("–", note="failed: boom")
    assert "none" not in found.answer


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "holds no record"),
        (
            [{"method": "avid", "seed": 1, "status": "failed", "error": "boom\nbang"}],
            r"none of 1 runs completed; the first, avid \(seed 1\), failed: boom bang$",
        ),
    ],
)
def test_nothing_completed_is_one_clear_line(
    records: list[Record], message: str, write: Callable[..., Path]
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        write_report(write(records))
    assert "\n" not in str(caught.value)


def test_suite_json_that_is_broken_is_a_user_error(record: Make, write: Callable[..., Path]) -> None:
    folder = write([record("brave")])
    (folder / "suite.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"suite\.json"):
        write_report(folder)


def test_only_references_completed(record: Make) -> None:
    assert digest([record("random")]).answer == "No method completed: there are only reference rows."


def test_runs_that_are_not_comparable_are_named(record: Make) -> None:
    other = record("avid")
    other["data"]["hash"] = "else"
    said = [
        text for text in digest([record("brave"), other]).remarks if text.startswith("Not one comparison")
    ]
    assert said == [
        "Not one comparison: the runs differ in data (hash of the manifest): "
        "9f86d081884c7d65 (BraVe); else (AVID)."
    ]


def test_unconverged_svm_is_said(record: Make) -> None:
    one = record("brave")
    one["results"]["linear-svm"]["audio"]["converged"] = False
    assert any("did not converge for BraVe (audio)" in text for text in digest([one]).remarks)


def test_settings_common_ones_once(found: Digest) -> None:
    assert dict(found.common) == {
        "frames": "8",
        "size": "64",
        "optimiser.name": "adamw",
        "optimiser.lr": "0.001",
    }
    own = dict(found.differences)
    assert dict(own["BraVe"]) == {"temperature": "null", "broad_seconds": "6.4"}
    assert dict(own["AVID"]) == {"temperature": "0.07"}


def test_skipped_files_by_reason_with_the_first_names(record: Make) -> None:
    one = record("brave")
    one["data"]["skipped"] = [{"path": f"{i:02}.mp4", "reason": "no audio stream"} for i in range(25)]
    one["data"]["skipped"].append({"path": "x.mp4", "reason": "truncated"})
    same = record("avid", data=one["data"])
    many, single = digest([one, same]).skipped
    assert (many.reason, many.count, len(many.names)) == ("no audio stream", 25, 20)
    assert (single.reason, single.count, single.names) == ("truncated", 1, ("x.mp4",))


def test_budget_shows_stages_and_share(found: Digest) -> None:
    assert cell(found.budget, "cma", "stages").text == "avid: 3,000 samples → cma: 3,000 samples"
    assert cell(found.budget, "cma", "Spent of asked samples (%)").text == "100.0"
    assert cell(found.budget, "random", "Spent samples").note == "not trained"


def test_collapse_has_a_row_for_every_embedding(record: Make) -> None:
    brave = record("brave", collapse={"narrow": {"std": 0.9, "effective_rank": 40.2}, "broad": {"std": 0.01}})
    rows = digest([brave, record("random", collapse={})]).collapse.rows
    assert [[c.text for c in row.cells] for row in rows] == [
        ["narrow", "0.9", "40.2"],
        ["broad", "0.01", "–"],
    ]


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (0.6125, "percent", "61.3"),
        (-0.0004, "points", "0.0"),
        (-0.05, "points", "−5.0"),
        (0.318, "points", "+31.8"),
        (99.94, "seconds", "99.9"),
        (4321.0, "seconds", "4,321"),
        (12000, "count", "12,000"),
        (0.00123456, "number", "0.00123"),
        (44.98, "number", "45"),
        (999.7, "number", "1,000"),
    ],
)
def test_formatted(value: float, form: str, text: str) -> None:
    assert formatted(value, form) == text


def test_a_spread_has_as_many_decimals_as_three_digits_of_the_mean() -> None:
    assert one_cell(Number((44.9, 45.06), (0, 1)), "number").plain == "45.0 ± 0.1"
    assert one_cell(Number((123.0, 124.0), (0, 1)), "number").plain == "124 ± 1"
    assert one_cell(Number((45.0,), (0,)), "number").plain == "45"


def test_terminal_table(suite_records: list[Record]) -> None:
    console = Console(width=100, file=io.StringIO())
    console.print(
        summary_table([*suite_records, {"method": "mine", "seed": 0, "status": "failed", "error": "boom"}])
    )
    text = console.file.getvalue()  # type: ignore[attr-defined]
    avid = next(line for line in text.splitlines() if "AVID" in line)
    assert avid.split()[1:5] == ["33.8", "61.2", "+13.2", "+31.8"]
    assert "mine (failed)" in text
    assert "…" not in text


@pytest.mark.parametrize("seeds", [1, 3])
def test_terminal_table_fits_80_columns_without_cutting_a_name(record: Make, seeds: int) -> None:
    names = ("brave", "stica", "crisscross", "avid", "cma", "random", "supervised")
    records = [record(name, seed) for name in names for seed in range(seeds)]
    for one in records:
        for sides in one["results"].values():
            for numbers in sides.values() if "skipped" not in sides else ():
                metric = "top1" if "top1" in numbers else "r1"
                numbers["interval"] = {"low": 0.123, "high": 0.234, "level": 0.95, "metric": metric}
    console = Console(width=80, file=io.StringIO())
    console.print(summary_table(records))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for name in ("CrissCross", "Untrained", "Supervised", "Chance"):
        assert name in text
    assert text.count("12.3–23.4") == (2 * len(names) if seeds == 1 else 0)


class Page(HTMLParser):
    """Collects what the tests ask about a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.raw: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]
        if tag not in ("meta", "link", "img", "source"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        (self.raw if self.open and self.open[-1] in ("style", "script") else self.text).append(data)


@pytest.mark.slow
def test_written_report(suite_records: list[Record], write: Callable[..., Path]) -> None:
    evil = '<script>alert("1 | 2")</script>'
    suite_records.append({"method": "mine", "seed": 0, "status": "failed", "error": evil})
    suite_records[2]["results"]["retrieval"] = {"skipped": "too few samples"}
    folder = write(suite_records, SUITE)
    with (folder / "records.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"method": "cut')
    (folder / "plots").mkdir()
    path = write_report(folder)
    assert path == folder / "report.html"
    assert {p.name for p in (folder / "plots").iterdir()} == {
        "accuracy.png",
        "pareto.png",
        "probe.png",
        "ranking.png",
        "loss.png",
        "cost.png",
    }

    html = path.read_text(encoding="utf-8")
    page = Page()
    page.feed(html)
    assert not page.open
    # Nothing is asked of any other place: only data URIs and anchors of the page itself.
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert not re.search(r"url\(|@import|https?:", "".join(page.raw))
    assert evil not in html
    text = " ".join("".join(page.text).replace("\N{NO-BREAK SPACE}", " ").split())
    assert evil in text

    markdown = (folder / "report.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\((.+?)\)", markdown)
    assert len(links) == 6
    assert all((folder / link).is_file() for link in links)
    assert "<script" not in markdown
    order = (
        "Results",
        "Learning curves",
        "Cost",
        "Measures of collapse",
        "Budget",
        "Skipped and failed",
        "Settings",
    )
    for said in (
        "AVID 33.8 % (video) and 61.2 % (audio)",
        "skipped: too few samples",
        "cannot be compared between methods",
        "avid: 3,000 samples → cma: 3,000 samples",
        "train/clap_007.mp4",
        "line 9",
        "made-up CPU",
        "9f86d081884c7d65",
        "ssl-av bench --suite tiny",
    ):
        assert said in text, said
        assert said in markdown, said
    assert "/some/where" not in text + markdown
    places = [markdown.index(f"\n## {title}\n") for title in order]
    assert places == sorted(places)
    for block in re.findall(r"(?:^\|.*\n)+", markdown, flags=re.M):  # tables line up as plain text
        assert len({len(line) for line in block.splitlines()}) == 1, block


def test_report_of_records_that_hold_almost_nothing(write: Callable[..., Path]) -> None:
    folder = write([{"method": "brave", "seed": 0, "status": "completed"}])
    for name in (
        "report.html",
        "report.md",
        "report.tex",
        "results.csv",
    ):  # that nobody reads: not waited for
        os.mkfifo(folder / name)
    html = write_report(folder).read_text(encoding="utf-8")
    assert (folder / "results.csv").is_file()
    assert "the methods are not ranked here" in html
    assert "<figure" not in html
    assert json.loads((folder / "records.jsonl").read_text(encoding="utf-8"))["method"] == "brave"
