"""report.tex and results.csv say what the report says."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from typing import Any

from ssl_av.bench.analysis.digest import digest
from ssl_av.bench.writing.latex import escaped, to_latex
from ssl_av.bench.writing.results_csv import COLUMNS, to_csv

Make = Callable[..., dict[str, Any]]


def test_the_table_is_whole(suite_records: list[dict[str, Any]]) -> None:
    found = digest(suite_records, {"name": "tiny_1 & more", "question": "100 % of $5?"})
    text = to_latex(found, "Bold: the highest.")
    assert r"\caption{100 \% of \$5? Bold: the highest.}" in text
    assert r"\label{tab:tiny-1-more}" in text
    begun = re.findall(r"\\begin\{(\w+\*?)\}", text)
    assert begun == re.findall(r"\\end\{(\w+\*?)\}", text)[::-1] == ["table*", "tabular"]
    for rule in ("toprule", "bottomrule"):
        assert text.count(rf"\{rule}") == 1
    assert text.count(r"\midrule") == 3  # below the head, above the references, above chance
    columns = len(re.search(r"tabular\}\{@\{\}(l+r+)@", text)[1])  # type: ignore[index]
    rows = [line for line in text.splitlines() if line.endswith(r" \\") and "multicolumn" not in line]
    assert len(rows) == 1 + len(found.main.rows)
    for row in rows:
        assert len(re.findall(r"(?<!\\)&", row)) == columns - 1
    widths = [int(n) for n in re.findall(r"\\multicolumn\{(\d+)\}", text)]
    assert sum(widths) == columns - 1
    avid = next(row for row in rows if row.startswith("AVID"))
    assert r"\textbf{61.2}" in avid
    assert r"+31.8" in avid
    letter = found.main.footnotes["skipped: video and audio share no space"]
    assert rf"--\textsuperscript{{{letter}}}" in next(row for row in rows if row.startswith("Supervised"))
    assert rf"\textsuperscript{{{letter}}}\,skipped: video and audio share no space" in text


def test_seeds_give_a_spread(record: Make) -> None:
    records = [
        record("avid", s, results={"linear-svm": {"audio": {"top1": v}}}) for s, v in enumerate((0.5, 0.6))
    ]
    assert r"55.0\,{\scriptsize$\pm$\,7.1}" in to_latex(digest(records), "")


def test_every_sign_is_printed() -> None:
    assert escaped("a_b {50 %} #1 ~ ^ \\ − ± → <x>\n y") == (
        r"a\_b \{50 \%\} \#1 \textasciitilde{} \textasciicircum{} \textbackslash{} $-$ $\pm$ $\rightarrow$ "
        r"\textless{}x\textgreater{} y"
    )


def test_csv_has_every_number_of_every_run(record: Make) -> None:
    failed = {"method": "mine, too", "seed": 3, "status": "failed", "error": "boom"}
    one = record("avid", seed=1)
    one["results"]["linear-svm"]["audio"] |= {"per_class": [0.5, 1.0], "converged": True, "kind": "text"}
    rows = list(csv.DictReader(io.StringIO(to_csv([one, failed]))))
    assert tuple(rows[0]) == COLUMNS
    values = {(r["kind"], r["of"], r["measure"]): r["value"] for r in rows if r["method"] == "avid"}
    assert (
        float(values["results", "linear-svm.audio", "top1"]) == one["results"]["linear-svm"]["audio"]["top1"]
    )
    assert values["results", "linear-svm.audio", "per_class.1"] == "1.0"
    assert values["budget", "spent", "steps"] == "188"
    assert values["cost", "", "eval_seconds"] == "14.3"
    assert values["collapse", "video", "effective_rank"]
    assert not [key for key in values if key[2] in ("converged", "kind")]
    assert {r["seed"] for r in rows if r["method"] == "avid"} == {"1"}
    assert rows[-1] == {
        "method": "mine, too", "seed": "3", "status": "failed", "kind": "", "of": "", "measure": "", "value": "",
    }  # fmt: skip
