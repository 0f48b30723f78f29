"""A report of records that a stranger wrote: whole, or one line that says what is wrong; nothing in it is run."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssl_av.bench.analysis.digest import digest
from ssl_av.bench.records import read_records
from ssl_av.bench.report import _captions, _notes, read_suite, write_report
from ssl_av.bench.shape import RECORD, misshapen
from ssl_av.bench.writing.latex import to_latex
from ssl_av.bench.writing.markdown import to_markdown
from ssl_av.bench.writing.results_csv import to_csv
from ssl_av.errors import UserError

Make = Callable[..., dict[str, Any]]

STRANGE: list[Any] = [
    None, True, -1, 3.5, 1e308, 10**30, float("nan"), float("inf"), "", "<script>", "$\\frac{$", "a\nb", "\ud800",
    "\x1b[2J", "[/]", [], {}, ["a"], {"a": 1}, {"skipped": "x"}, [[1, "a"]], [None], {"top1": "x"}, [[[]]],
]  # fmt: skip


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a nested value, of lists the first three."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value[:3]))
    return [path, *(place for key, item in inner for place in leaves(item, (*path, key)))]


def changed(value: Any, rng: random.Random) -> Any:
    """The value with something strange in one place, or without what was there."""
    value = copy.deepcopy(value)
    top = rng.choice([place for place in leaves(value) if len(place) == 1])
    path = rng.choice([place for place in leaves(value) if place[:1] == top])
    here = value
    for key in path[:-1]:
        here = here[key]
    if rng.random() < 0.15:
        del here[path[-1]]
    else:
        here[path[-1]] = copy.deepcopy(rng.choice(STRANGE))
    return value


def test_records_with_anything_in_them_are_reported_or_refused(record: Make, tmp_path: Path) -> None:
    records = [record(name, seed) for name in ("brave", "cma", "random") for seed in (0, 1)]
    suite = {"name": "s", "question": "q?", "methods": ["brave"], "budget": {"samples": 6000}, "command": "c",
             "rows": {"brave": {"label": "B", "reported": {"ucf101": {"linear": 1.0}}}}, "paper": {}}  # fmt: skip
    rng, reported = random.Random(0), 0
    for _ in range(80):
        place = rng.randrange(len(records) + 1)
        strange = [changed(one, rng) if place == n else one for n, one in enumerate(records)]
        about = changed(suite, rng) if place == len(records) else suite
        (tmp_path / "records.jsonl").write_text("".join(json.dumps(one) + "\n" for one in strange))
        (tmp_path / "suite.json").write_text(json.dumps(about))
        try:
            reading, told = read_records(tmp_path), read_suite(tmp_path)
            found = digest(reading.records, told, reading.unreadable, [tmp_path])
        except UserError:
            continue
        notes = _notes(found)
        for text in (
            to_latex(found, notes["main"]), to_csv(reading.records), to_markdown(found, _captions(found), notes)
        ):  # fmt: skip
            text.encode()
        reported += 1
    assert 30 < reported < 80


@pytest.mark.parametrize(
    "line", ["[" * 100_000, '{"method": "avid", "seed": ' + "9" * 5000 + "}", '{"method": "avid", "data": 3}',
             '{"method": "avid", "results": {"a": 1}}', '{"method": ["avid"]}', '{"method": "avid", "seed": "0"}'],
)  # fmt: skip
def test_a_line_that_is_no_record_is_counted(line: str, record: Make, tmp_path: Path) -> None:
    (tmp_path / "records.jsonl").write_text(f"{line}\n{json.dumps(record('avid'))}\n")
    found = read_records(tmp_path)
    assert (len(found.records), found.unreadable) == (1, (1,))


def test_what_is_wrong_is_named(record: Make) -> None:
    assert misshapen(record("cma"), RECORD) == ""
    assert (
        misshapen({**record("cma"), "data": {"skipped": [{"path": 1}]}}, RECORD)
        == "data.skipped.0.path is no text"
    )


def test_names_in_a_record_are_text_in_every_form_of_the_report(record: Make, tmp_path: Path) -> None:
    name = "$\\evil{$ [x](javascript:y) `z` <em>|\x1b[2J"
    one = record("avid") | {"row": name, "figures": ["../../secret.png", "/etc/passwd"], "git": name}
    one["data"] |= {"name": name, "skipped": [{"path": name, "reason": name}]}
    one["settings"] = {name: name}
    one["budget"]["asked"] = {name: 5}
    (tmp_path / "secret.png").write_bytes(b"secret")
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite" / "records.jsonl").write_text(
        "".join(json.dumps(r) + "\n" for r in (one, record("random")))
    )
    (tmp_path / "suite" / "suite.json").write_text(json.dumps({"name": name, "command": f"```\n{name}"}))
    write_report(tmp_path / "suite")
    html, text, tex = (
        (tmp_path / "suite" / f"report.{kind}").read_text(encoding="utf-8") for kind in ("html", "md", "tex")
    )
    assert "<em>" not in html
    body, code, _ = text.split("````")  # the command stands between longer fences than it has itself
    assert name in code
    said = re.sub("``.*``", "", body)  # names of files are code, longer marks around them than in them
    assert not re.search(r"(?<!\\)(\]\(java|`z|\x1b|<em>)", said)
    assert "\x1b" not in tex
    assert "\\evil{" not in tex.partition("\n")[2]  # the first line is a comment
    assert sorted(p.name for p in tmp_path.iterdir()) == ["secret.png", "suite"]
